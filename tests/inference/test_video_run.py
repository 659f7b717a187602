import csv
import json

import numpy as np
import pytest

from wing_tf.inference import Face
from wing_tf.inference.drawing import draw_faces
from wing_tf.inference.video import open_video
from wing_tf.inference.video_run import run_video
from wing_tf.inference.video_writer import VideoWriter
from wing_tf.landmarks import get_scheme
from wing_tf.landmarks.head import AVERAGE_HEAD_MM

SCHEME = get_scheme("ibug_68")
COUNT = 20


def _track(image, time_s):
    """One face that moves by 100 pixels a second, another one in the second half."""
    shifts = [80 + 100 * time_s, *([200] if time_s > 0.39 else [])]
    landmarks = [AVERAGE_HEAD_MM[:, :2] + [shift, 60] for shift in shifts]
    box = np.array([10.0, 10, 90, 90])
    return [Face(p, box, scheme=SCHEME, identity=i) for i, p in enumerate(landmarks)]


def _draw(image, faces):
    return draw_faces(image, faces, SCHEME)


def _noise_video(folder, *, rate):
    path = folder / "video.avi"
    generator = np.random.default_rng(0)
    with VideoWriter(path, frames_per_s=rate, size_hw=(120, 160)) as writer:
        for _ in range(COUNT):
            writer.write(generator.integers(0, 256, (120, 160, 3), np.uint8))
    return path


@pytest.fixture
def video_file(tmp_path):
    return _noise_video(tmp_path, rate=25)


def _frames(path):
    with open_video(path) as video:
        return [frame.image for frame in video]


def test_every_frame_has_a_line_and_a_drawn_frame(video_file, tmp_path):
    summary = run_video(
        open_video(video_file), _track, tmp_path / "out", name="video", scheme=SCHEME, draw=_draw
    )
    assert (summary.num_frames, summary.num_broken, summary.num_faces, summary.stopped) == (
        20,
        0,
        2,
        False,
    )
    lines = (tmp_path / "out/landmarks.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in lines]
    assert [line["frame"] for line in lines] == list(range(COUNT))
    assert lines[5]["time_s"] == pytest.approx(0.2)
    assert [face["identity"] for face in lines[15]["faces"]] == [0, 1]
    assert lines[5]["faces"][0]["landmarks_px"][27] == pytest.approx([100, 60], abs=0.01)
    drawn, plain = _frames(tmp_path / "out/output.mp4"), _frames(video_file)
    assert len(drawn) == COUNT
    assert drawn[3].shape == plain[3].shape
    with pytest.raises(ValueError, match="landmarks.jsonl exists already"):
        run_video(open_video(video_file), _track, tmp_path / "out", name="video", scheme=SCHEME)


def test_drawn_video_repeats_frames_for_broken_ones(video_file, tmp_path):
    data = bytearray(video_file.read_bytes())
    starts = [i for i in range(len(data) - 4) if data[i : i + 4] == b"00dc"][:COUNT]
    for number in (6, 7, 11):
        data[starts[number] + 8 : starts[number + 1]] = bytes(
            starts[number + 1] - starts[number] - 8
        )
    video_file.write_bytes(data)
    summary = run_video(
        open_video(video_file), _track, tmp_path / "out", name="video", scheme=SCHEME, format="csv",
        draw=_draw,
    )  # fmt: skip
    assert (summary.num_frames, summary.num_broken) == (COUNT - 3, 3)
    rows = list(csv.DictReader((tmp_path / "out/landmarks.csv").read_text().splitlines()))
    frames = {int(row["frame"]) for row in rows}
    assert len(frames) == COUNT - 3
    assert {0, COUNT - 1} <= frames
    assert len(_frames(tmp_path / "out/output.mp4")) == COUNT


def test_closing_the_window_ends_the_run_with_complete_files(video_file, tmp_path):
    shown = []

    def show(image):
        shown.append(image)
        return len(shown) < 4

    summary = run_video(
        open_video(video_file), _track, tmp_path / "out", name="video", scheme=SCHEME, draw=_draw,
        show=show,
    )  # fmt: skip
    assert (summary.num_frames, summary.stopped) == (4, True)
    assert len(_frames(tmp_path / "out/output.mp4")) == 4
    plain = run_video(
        open_video(video_file), _track, tmp_path / "plain", name="video", scheme=SCHEME
    )
    assert [path.name for path in plain.files] == ["landmarks.jsonl"]
    assert sorted(path.name for path in (tmp_path / "plain").iterdir()) == ["landmarks.jsonl"]


def test_drawn_frames_may_be_shown_without_being_written(video_file, tmp_path):
    shown = []
    summary = run_video(
        open_video(video_file), _track, tmp_path / "out", name="video", scheme=SCHEME, draw=_draw,
        write_video=False, show=lambda image: shown.append(image) is None,
    )  # fmt: skip
    assert sorted((tmp_path / "out").iterdir()) == list(summary.files)
    assert [path.name for path in summary.files] == ["landmarks.jsonl"]
    for image, plain in zip(shown, _frames(video_file), strict=True):
        assert (image != plain).any()


def test_wrong_frame_rate_does_not_multiply_drawn_frames(tmp_path):
    """As a browser's: times are of 30 frames a second, 1000 are stated."""
    with open_video(_noise_video(tmp_path, rate=30)) as video:
        video.frames_per_s = 1000.0
        run_video(video, _track, tmp_path / "out", name="video", scheme=SCHEME, draw=_draw)
    with open_video(tmp_path / "out/output.mp4") as drawn:
        assert drawn.frames_per_s == 60
        assert len(list(drawn)) == 2 * COUNT - 1


def test_results_get_their_final_name_at_the_end(video_file, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "landmarks.partial.jsonl").write_text("what a killed run left\n")
    seen = []

    def track(image, time_s):
        seen.append({path.name for path in out.iterdir()})
        return _track(image, time_s)

    run_video(open_video(video_file), track, out, name="f", scheme=SCHEME)
    assert seen == [{"landmarks.partial.jsonl"}] * COUNT
    assert [path.name for path in out.iterdir()] == ["landmarks.jsonl"]
    assert len((out / "landmarks.jsonl").read_text().splitlines()) == COUNT


def test_error_keeps_the_landmarks_so_far(video_file, tmp_path):
    def track(image, time_s):
        if time_s > 0.3:
            raise OSError("no more")
        return _track(image, time_s)

    with pytest.raises(OSError, match="no more"):
        run_video(
            open_video(video_file), track, tmp_path / "out", name="f", scheme=SCHEME, draw=_draw
        )
    assert len((tmp_path / "out/landmarks.jsonl").read_text().splitlines()) == 8
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["landmarks.jsonl"]


def test_failed_start_leaves_no_files(video_file, tmp_path):
    def broken(image, time_s):
        raise OSError("at once")

    video = open_video(video_file)
    video.frames_per_s = 0.001
    with pytest.raises(ValueError, match="`frames_per_s` must be"):
        run_video(video, _track, tmp_path / "out", name="f", scheme=SCHEME, draw=_draw)
    for form in ("jsonl", "csv"):
        with pytest.raises(OSError, match="at once"):
            run_video(
                open_video(video_file), broken, tmp_path / "out", name="f", scheme=SCHEME,
                format=form,
                draw=_draw,
            )  # fmt: skip
        assert list((tmp_path / "out").iterdir()) == []
