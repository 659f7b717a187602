"""Reading of video files: times, orientation, colors, damage, and files that are none."""

import os
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import video_files
from video_files import NUM_FRAMES, RATE, SIZE_HW, cut, damage, image, index_of, make

from wing_tf.inference.video import open_video


def read(path):
    """Returns the frames, and the reader after its end."""
    with open_video(path) as video:
        return list(video), video


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


def yuv(color, *, kr, kb, bits, full):
    """Y, Cb and Cr of a color as ITU-R BT.601 and BT.709 define them (equations of section 3)."""
    red, green, blue = np.array(color) / 255
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    unit = 2 ** (bits - 8)
    if full:
        top = 2**bits - 1
        return [luma * top, *(c * top + 128 * unit for c in chroma)]
    return [(16 + 219 * luma) * unit, *((128 + 224 * c) * unit for c in chroma)]


BT601, BT709 = {"kr": 0.299, "kb": 0.114}, {"kr": 0.2126, "kb": 0.0722}


@pytest.mark.parametrize(
    ("pix_fmt", "bits", "matrix", "space", "full", "size_hw"),
    [
        ("yuv420p", 8, BT601, 6, False, (48, 64)),
        ("yuv420p", 8, BT709, 1, False, (48, 64)),
        ("yuv420p", 8, BT709, 1, True, (48, 64)),
        ("yuv420p10le", 10, BT709, 1, False, (48, 64)),
        ("yuv420p10le", 10, BT601, 5, True, (48, 64)),
        ("yuv444p", 8, BT601, 6, True, (33, 47)),
        ("yuva420p", 8, BT709, 1, False, (48, 64)),
        ("yuv420p", 8, BT601, 2, False, (47, 63)),  # not stated: standard definition
        ("yuv420p", 8, BT709, 2, False, (720, 64)),  # not stated: high definition
    ],
)
def test_colors_follow_matrix_range_and_depth(
    tmp_path, pix_fmt, bits, matrix, space, full, size_hw
):
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (250, 120, 10), (30, 30, 30), (255, 255, 255)]
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=RATE)  # lossless
        stream.height, stream.width, stream.pix_fmt = *size_hw, pix_fmt
        context = stream.codec_context
        context.colorspace, context.color_range = space, 2 if full else 1
        for index, color in enumerate(colors):
            frame = av.VideoFrame(size_hw[1], size_hw[0], pix_fmt)
            values = [*yuv(color, bits=bits, full=full, **matrix), 255]
            for plane, value in zip(frame.planes, values, strict=False):
                count = plane.buffer_size // (1 if bits == 8 else 2)
                dtype = np.uint8 if bits == 8 else np.uint16
                plane.update(np.full(count, np.clip(round(value), 0, 2**bits - 1), dtype))
            frame.colorspace, frame.color_range = space, 2 if full else 1
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    frames, video = read(tmp_path / "a.mkv")
    assert video.size_hw == size_hw
    assert len(frames) == len(colors)
    for frame, color in zip(frames, colors, strict=True):
        assert np.abs(frame.image.astype(int) - color).max() <= 3


@pytest.mark.parametrize(
    ("pix_fmt", "codec"), [("gray", "ffv1"), ("rgba", "png"), ("rgb24", "png")]
)
def test_gray_and_rgb_pixels_are_kept(tmp_path, pix_fmt, codec):
    images = [np.full((20, 30, 3), value, np.uint8) for value in (0, 16, 100, 235, 255)]
    frames, _ = read(make(tmp_path / "a.avi", images=images, codec=codec, pix_fmt=pix_fmt))
    for frame, expected in zip(frames, images, strict=True):
        assert np.abs(frame.image.astype(int) - expected).max() <= 1


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


def _sound(path, *, cover=False):
    with av.open(str(path), "w") as file:
        sound = file.add_stream("libmp3lame" if path.suffix == ".mp3" else "aac", rate=44100)
        cover = None
        if cover:
            cover = file.add_stream("png", rate=1)
            cover.height, cover.width, cover.pix_fmt = 20, 30, "rgb24"
            cover.disposition = 1 << 10
            file.mux(
                cover.encode(av.VideoFrame.from_ndarray(np.zeros((20, 30, 3), np.uint8), "rgb24"))
            )
        for index in range(20):
            file.mux(sound.encode(video_files.tone(index)))
        file.mux(sound.encode(None))
    return path


def _no_frames(path):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = *SIZE_HW, "yuv420p"
        file.start_encoding()
    return path


def _unknown_codec(path):
    content = make(path).read_bytes()
    path.write_bytes(content.replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    return path


def _noise_frames(path):
    content = make(path, container_options={"movflags": "faststart"}).read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[:start] + np.random.default_rng(0).bytes(len(content) - start))
    return path


def _written(path, content):
    path.write_bytes(content)
    return path


def _still(width, height):
    ok, data = cv2.imencode(".png", np.zeros((height, width, 3), np.uint8))
    assert ok
    return data.tobytes()


def _fifo(path):
    os.mkfifo(path)
    return path


NO_VIDEOS = {
    "text": (lambda d: _written(d / "a.mp4", b"not a video\n" * 100), "Invalid data found"),
    "plain text": (
        lambda d: _written(d / "a.txt", b"not a video\n" * 100),
        "is a text, not a video",
    ),
    "noise": (
        lambda d: _written(d / "a.mp4", np.random.default_rng(0).bytes(20_000)),
        "is not a video that can be read",
    ),
    "empty file": (lambda d: _written(d / "a.avi", b""), r"a\.avi is empty"),
    "folder": (lambda d: d, "is a folder, not a video"),
    "FIFO": (lambda d: _fifo(d / "a.mp4"), "is not a regular file"),
    "absent": (lambda d: d / "a.mp4", r"^No video at .*a\.mp4"),
    "index cut off": (
        lambda d: cut(make(d / "b.mp4"), d / "a.mp4", 0.5),
        "is not a video that can be read: Invalid data",
    ),
    "audio only": (lambda d: _sound(d / "a.m4a"), "has no video stream, only: audio"),
    "audio with a cover": (
        lambda d: _sound(d / "a.mp3", cover=True),
        "has no video stream, only: audio",
    ),
    "no frames": (lambda d: _no_frames(d / "a.mp4"), "has no video stream, only: nothing"),
    "unknown codec": (lambda d: _unknown_codec(d / "a.mp4"), "a codec that FFmpeg can't decode"),
    "all frames damaged": (
        lambda d: _noise_frames(d / "a.mp4"),
        "no frame, of at most .*, can be decoded",
    ),
}


@pytest.mark.parametrize("kind", NO_VIDEOS)
def test_files_that_are_no_videos_raise_one_line(tmp_path, kind, capfd):
    build, message = NO_VIDEOS[kind]
    path = build(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        open_video(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "options"), [("a.mp4", {}), ("a.mkv", {})])
def test_frames_with_too_many_pixels_are_not_decoded(tmp_path, name, options):
    path = make(tmp_path / name, **options)
    with open_video(path) as video:
        height, width = video.size_hw
    with open_video(path, max_pixels=height * width) as video:
        assert video.size_hw == (height, width)
    message = (
        rf"has {height * width} pixels, more than max_pixels={height * width - 1}\. If .*raise"
    )
    with pytest.raises(ValueError, match=message):
        open_video(path, max_pixels=height * width - 1)
    with pytest.raises(ValueError, match="no frame, of at most max_pixels=9 pixels"):
        open_video(_written(tmp_path / "a.png", _still(10, 1)), max_pixels=9)


def test_nothing_is_printed_for_damaged_videos(tmp_path, capfd):
    read(damage(make(tmp_path / "a.mp4"), tmp_path / "b.mp4", 0.5, 0.6))
    assert capfd.readouterr() == ("", "")
