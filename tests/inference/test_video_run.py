import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import video_files
from video_files import audio_packets, make

from wing_tf.inference import Face
from wing_tf.inference.drawing import draw_faces
from wing_tf.inference.video import open_video
from wing_tf.inference.video_run import run_video
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


@pytest.fixture
def video_file(tmp_path):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (COUNT, 120, 160, 3), np.uint8)
    return make(
        tmp_path / "video.mov", images=list(images), codec="mjpeg", pix_fmt="yuvj420p", audio="aac"
    )


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


def test_drawn_video_has_the_times_and_the_audio_of_the_video(tmp_path):
    stamps = np.cumsum([0, *np.random.default_rng(0).integers(1, 9, video_files.NUM_FRAMES - 1)])
    source = make(tmp_path / "a.mp4", stamps=stamps.tolist(), audio="aac", options={"g": "5"})
    times = [frame.time_s for frame in open_video(source)]
    run_video(open_video(source), _track, tmp_path / "out", name="a", scheme=SCHEME, draw=_draw)
    drawn = tmp_path / "out/output.mp4"
    np.testing.assert_allclose([f.time_s for f in open_video(drawn)], times, atol=1e-5)
    assert [p for p, _ in audio_packets(drawn)] == [p for p, _ in audio_packets(source)]
    assert max(np.diff(times)) > 3 * min(np.diff(times))


def test_damaged_frames_leave_gaps_in_results_and_video(tmp_path):
    source = make(
        tmp_path / "a.mp4", options={"g": "10", "bf": "0"},
        container_options={"movflags": "faststart"},
    )  # fmt: skip
    source = video_files.damage(source, tmp_path / "b.mp4", 0.6, 0.66)
    summary = run_video(
        open_video(source), _track, tmp_path / "out", name="video", scheme=SCHEME, format="csv",
        draw=_draw,
    )  # fmt: skip
    assert summary.num_broken > 0
    rows = list(csv.DictReader((tmp_path / "out/landmarks.csv").read_text().splitlines()))
    times = sorted({float(row["time_s"]) for row in rows})
    assert len(times) == summary.num_frames < video_files.NUM_FRAMES
    drawn = [frame.time_s for frame in open_video(tmp_path / "out/output.mp4")]
    np.testing.assert_allclose(drawn, times, atol=1e-3)
    assert max(np.diff(drawn)) > 1.9 / video_files.RATE


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


def test_results_get_their_final_name_at_the_end(video_file, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "landmarks.partial.jsonl").write_text("what a killed run left\n")
    seen = []

    def track(image, time_s):
        seen.append({path.name for path in out.iterdir()})
        return _track(image, time_s)

    run_video(open_video(video_file), track, out, name="f", scheme=SCHEME)
    assert seen == [{"landmarks.partial.jsonl", ".lock"}] * COUNT
    assert [path.name for path in out.iterdir()] == ["landmarks.jsonl"]
    assert len((out / "landmarks.jsonl").read_text().splitlines()) == COUNT


def test_error_keeps_the_landmarks_so_far_and_says_where(video_file, tmp_path):
    def track(image, time_s):
        if time_s > 0.3:
            raise OSError("no more")
        return _track(image, time_s)

    partial = tmp_path / "out/landmarks.partial.jsonl"
    with pytest.raises(OSError, match="no more") as caught:
        run_video(
            open_video(video_file), track, tmp_path / "out", name="f", scheme=SCHEME, draw=_draw
        )
    assert caught.value.__notes__ == [f"The landmarks of the frames before it are in {partial}."]
    assert len(partial.read_text().splitlines()) == 8
    assert list((tmp_path / "out").iterdir()) == [partial]


LIMITED = """
import resource, sys
sys.path[:0] = [sys.argv[3]]
from inference.test_video_run import SCHEME, _draw, _track
from wing_tf.inference.video import open_video
from wing_tf.inference.video_run import run_video
import pathlib
source, output, _, limit, draw = sys.argv[1:]
video = open_video(source)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit),) * 2)
try:
    run_video(video, _track, pathlib.Path(output), name="f", scheme=SCHEME,
              draw=_draw if draw == "True" else None)
except OSError as error:
    print(error, *error.__notes__)
    sys.exit(1)
"""


@pytest.mark.parametrize("draw", [False, True])
def test_full_disk_leaves_whole_lines_and_no_final_file(video_file, tmp_path, draw):
    """A limit of the file size fails like a full disk: first the results, or first the video."""
    out = tmp_path / "out"
    limit = 30_000
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, video_file, out, pathlib.Path(__file__).parents[1],
         str(limit), str(draw)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("\n") == 1
    partial = out / "landmarks.partial.jsonl"
    assert done.stdout.endswith(f" The landmarks of the frames before it are in {partial}.\n")
    assert str(out / "output.mp4" if draw else partial) in done.stdout
    assert list(out.iterdir()) == [partial]
    text = partial.read_text()
    assert text.endswith("\n")
    frames = [json.loads(line)["frame"] for line in text.splitlines()]
    assert frames == list(range(len(frames)))
    assert 1 <= len(frames) < COUNT


def test_second_run_in_one_folder_is_refused(video_file, tmp_path):
    said = []

    def track(image, time_s):
        if not said:
            with pytest.raises(ValueError, match="Another process is writing") as caught:
                run_video(open_video(video_file), _track, tmp_path / "o", name="f", scheme=SCHEME)
            said.append(str(caught.value))
        return _track(image, time_s)

    run_video(open_video(video_file), track, tmp_path / "o", name="f", scheme=SCHEME)
    assert said == [
        f"Another process is writing to this folder: it holds {tmp_path / 'o/.lock'}. "
        "Wait until it ends, or name another folder."
    ]
    assert len((tmp_path / "o/landmarks.jsonl").read_text().splitlines()) == COUNT
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["landmarks.jsonl"]


def test_failed_start_leaves_no_files(video_file, tmp_path):
    def broken(image, time_s):
        raise OSError("at once")

    video = open_video(video_file)
    video.frames_per_s = 0.001  # of no file
    with pytest.raises(ValueError, match="`frames_per_s` must be"):
        run_video(video, _track, tmp_path / "out", name="f", scheme=SCHEME, draw=_draw)
    for form in ("jsonl", "csv"):
        with pytest.raises(OSError, match="at once"):
            run_video(
                open_video(video_file), broken, tmp_path / "out", name="f", scheme=SCHEME,
                format=form,
                draw=_draw,
            )  # fmt: skip
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(tmp_path):
    images = [video_files.image(index, size_hw=(240, 320)) for index in range(40)] * 75
    source = make(
        tmp_path / "a.mp4", images=images, audio="aac", options={"preset": "ultrafast"}
    )  # fmt: skip
    pages = []

    def track(image, time_s):
        pages.append(int(pathlib.Path("/proc/self/statm").read_text().split()[1]))
        return _track(image, time_s)

    run_video(open_video(source), track, tmp_path / "out", name="a", scheme=SCHEME, draw=_draw)
    assert len(pages) == len(images) == 3000
    frame_pages = 240 * 320 * 3 / 4096
    assert max(pages[1000:]) - max(pages[:1000]) < 200 * frame_pages  # of 2000 frames
