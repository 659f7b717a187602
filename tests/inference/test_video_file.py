"""Reading of video files: times, orientation and damage."""

import gc
from fractions import Fraction

import av
import numpy as np
import pytest
import video_files
from video_files import NUM_FRAMES, RATE, SIZE_HW, cut, damage, image, index_of, make, read

from wing_tf.inference.video import open_video


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mkv", {}),
        ("a.ts", {"format": "mpegts"}),
        ("a.avi", {"codec": "mpeg4"}),
        ("a.webm", {"codec": "libvpx", "options": {"deadline": "realtime"}}),
        ("a.h264", {}),  # no time stamps
        ("b.avi", {"options": {"bf": "2"}}),  # time stamps are guessed, and some are wrong
        ("12:30 %03d?.mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    ],
)
def test_all_frames_are_read_in_order(tmp_path, name, options):
    frames, video = read(make(tmp_path / name, **options))
    assert [index_of(frame.image) for frame in frames] == list(range(NUM_FRAMES))
    assert [frame.number for frame in frames] == list(range(NUM_FRAMES))
    assert (video.size_hw, video.frames_per_s, video.num_broken) == (SIZE_HW, RATE, 0)
    times = [frame.time_s for frame in frames]
    np.testing.assert_allclose(times, np.arange(NUM_FRAMES) / RATE, atol=0.05)
    if name[0] != "b":
        np.testing.assert_allclose(times, np.arange(NUM_FRAMES) / RATE, atol=1e-3)
    assert np.all(np.diff(times) > 0)
    for frame in frames[::13]:
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        assert frame.image.flags.writeable
        assert np.abs(frame.image.astype(int) - image(frame.number)).mean() < 8
    video.close()
    assert list(video) == []


def test_variable_frame_rate_keeps_the_times(tmp_path):
    stamps = np.cumsum([0, *np.random.default_rng(0).integers(1, 30, NUM_FRAMES - 1)])
    for name in ("a.mp4", "a.mkv"):
        frames, video = read(make(tmp_path / name, stamps=stamps.tolist()))
        np.testing.assert_allclose([f.time_s for f in frames], stamps / RATE, atol=6e-4)
        assert len(frames) == NUM_FRAMES


def test_times_start_with_the_first_frame(tmp_path):
    path = make(tmp_path / "a.mkv", stamps=list(range(100, 100 + NUM_FRAMES)))
    frames, video = read(path)
    assert frames[0].time_s == 0
    assert frames[-1].time_s == pytest.approx((NUM_FRAMES - 1) / RATE, abs=1e-3)
    assert video.start_s == pytest.approx(100 / RATE)


@pytest.mark.parametrize(
    ("matrix", "orient"),
    [
        ((1, 0, 0, 1), lambda a: a),
        ((0, 1, -1, 0), lambda a: np.rot90(a, -1)),  # as phones held upright: clockwise
        ((-1, 0, 0, -1), lambda a: np.rot90(a, 2)),
        ((0, -1, 1, 0), lambda a: np.rot90(a, 1)),
        ((-1, 0, 0, 1), lambda a: a[:, ::-1]),
        ((1, 0, 0, -1), lambda a: a[::-1]),
        ((0, 1, 1, 0), lambda a: a.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda a: np.rot90(a, 2).swapaxes(0, 1)),
    ],
)
def test_frames_are_rotated_and_flipped(tmp_path, matrix, orient):
    quadrants = np.zeros((64, 96, 3), np.uint8)
    quadrants[:32, :48], quadrants[:32, 48:] = (200, 20, 20), (20, 200, 20)
    quadrants[32:, :48], quadrants[32:, 48:] = (20, 20, 200), (200, 200, 200)
    path = make(tmp_path / "a.mp4", images=[quadrants] * 3, sample_aspect_ratio=Fraction(4, 3))
    frames, video = read(video_files.set_display_matrix(path, matrix))
    expected = orient(quadrants).astype(int)
    assert video.size_hw == expected.shape[:2]
    assert video.pixel_aspect == (Fraction(4, 3) if matrix[0] else Fraction(3, 4))
    for frame in frames:
        assert np.median(np.abs(frame.image - expected)) < 12
        assert np.abs(frame.image - expected).mean() < 14


def test_frames_are_released_when_they_are_converted(tmp_path):
    """Side data of a frame refers to the frame, which the garbage collector would have to find."""
    video = open_video(make(tmp_path / "a.mp4"))
    gc.collect()
    gc.disable()
    try:
        assert sum(1 for _ in video) == NUM_FRAMES
        kept = sum(isinstance(value, av.VideoFrame) for value in gc.get_objects())
    finally:
        gc.enable()
    assert kept < 3


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mjpeg"])
def test_damaged_frames_are_skipped_and_counted(tmp_path, codec):
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = make(
        tmp_path / "a.mp4", codec=codec, pix_fmt=pix_fmt, options={"g": "10", "bf": "0"},
        container_options={"movflags": "faststart"},
    )  # fmt: skip
    frames, video = read(damage(path, tmp_path / "b.mp4", 0.6, 0.66))
    assert len(frames) + video.num_broken <= NUM_FRAMES
    assert np.all(np.diff([frame.number for frame in frames]) > 0)
    assert np.all(np.diff([frame.time_s for frame in frames]) > 0)
    for frame in frames[:8]:
        assert index_of(frame.image) == frame.number
    for frame in frames[-3:]:  # from the next key frame on
        assert index_of(frame.image) == round(frame.time_s * RATE) >= frame.number
    if codec == "libx264":  # others return frames with wrong parts
        assert 1 <= video.num_broken <= 10


def test_truncated_files_are_read_as_far_as_they_go(tmp_path):
    """The last packet is damaged, too, which must not cost the frames before it."""
    front = {"container_options": {"movflags": "faststart"}}
    for name, options, num_absent in (
        ("a.mp4", front, None),
        ("a.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, None),
        ("a.mkv", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, 0),
        ("a.ts", {"format": "mpegts", "options": {"bf": "0"}}, 0),
    ):
        whole, _ = read(make(tmp_path / name, **options))
        path = cut(tmp_path / name, tmp_path / f"cut_{name}", 0.7)
        frames, video = read(path)
        assert 3 <= len(frames) < NUM_FRAMES
        for frame, intact in zip(frames, whole, strict=False):
            np.testing.assert_array_equal(frame.image, intact.image)
        if num_absent is None:  # the file states the number
            assert len(frames) + video.num_broken == NUM_FRAMES


def test_recordings_that_were_joined_are_read_through(tmp_path):
    """Time stamps jump back, and the frames have another size, which is fitted into the first."""
    make(tmp_path / "a.ts", format="mpegts")
    tall = [np.full((128, 64, 3), (30, 200, 30), np.uint8)] * 5
    make(tmp_path / "b.ts", format="mpegts", images=tall)
    path = tmp_path / "joined.ts"
    path.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    frames, video = read(path)
    assert len(frames) == NUM_FRAMES + 5
    times = [frame.time_s for frame in frames]
    np.testing.assert_allclose(times, np.arange(NUM_FRAMES + 5) / RATE, atol=1e-3)
    assert {frame.image.shape for frame in frames} == {(*SIZE_HW, 3)}
    last = frames[-1].image.astype(int)  # 96 x 48, centered in 96 x 128
    assert np.abs(last[:, 44:84] - (30, 200, 30)).max() < 8
    assert np.abs(last[:, :36]).max() == np.abs(last[:, 92:]).max() == 0


def test_dropped_frames_of_avi_files_leave_a_gap(tmp_path):
    """An empty chunk stands for a frame that was not recorded."""
    path = make(tmp_path / "a.avi", codec="mjpeg", pix_fmt="yuvj420p", stamps=[0, 1, 2, 5, 6, 9] +
                list(range(10, 44)))  # fmt: skip
    frames, video = read(path)
    assert len(frames) == NUM_FRAMES
    assert video.num_broken == 0
    times = [round(frame.time_s * RATE) for frame in frames[:7]]
    assert times == [0, 1, 2, 5, 6, 9, 10]


def test_trimmed_video_shows_the_frames_of_its_edit_list(tmp_path):
    path = make(tmp_path / "a.mp4", options={"bf": "0"})
    content = bytearray(path.read_bytes())
    start = content.index(b"elst") + 12  # behind the kind, the version and the number of entries
    length = int.from_bytes(content[start : start + 4], "big")
    content[start : start + 4] = (length // 2).to_bytes(4, "big")
    path.write_bytes(content)
    frames, video = read(path)
    assert [index_of(frame.image) for frame in frames] == list(range(NUM_FRAMES // 2))
    assert video.num_broken == 0


def test_animations_and_still_images_are_videos(tmp_path):
    frames, video = read(make(tmp_path / "a.gif", codec="gif", pix_fmt="rgb8"))
    assert [index_of(frame.image) for frame in frames] == list(range(NUM_FRAMES))
    for name, codec, pix_fmt in (("a.jpg", "mjpeg", "yuvj420p"), ("a.png", "png", "rgb24")):
        make(
            tmp_path / name, images=[image(3)], codec=codec, pix_fmt=pix_fmt, format="image2",
            container_options={"update": "1"},
        )  # fmt: skip
        frames, video = read(tmp_path / name)
        assert [index_of(frame.image) for frame in frames] == [3]
        assert frames[0].time_s == 0


def test_nothing_is_printed_for_damaged_videos(tmp_path, capfd):
    read(damage(make(tmp_path / "a.mp4"), tmp_path / "b.mp4", 0.5, 0.6))
    assert capfd.readouterr() == ("", "")
