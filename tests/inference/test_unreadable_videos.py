"""Files that are no videos, or whose frames are too large."""

import os

import av
import cv2
import numpy as np
import pytest
import video_files
from video_files import RATE, SIZE_HW, cut, make

from wing_tf.inference.video import open_video


def _sound(path, *, cover=False):
    with av.open(str(path), "w") as file:
        sound = file.add_stream("libmp3lame" if path.suffix == ".mp3" else "aac", rate=44100)
        if cover:
            image = file.add_stream("png", rate=1)
            image.height, image.width, image.pix_fmt = 20, 30, "rgb24"
            image.disposition = 1 << 10
            black = av.VideoFrame.from_ndarray(np.zeros((20, 30, 3), np.uint8), "rgb24")
            file.mux(image.encode(black))
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
