"""Damaged cascades and videos are refused in one line, or read."""

import pathlib

import cv2
import numpy as np
import pytest
from fuzzed import check_reader, damaged_bytes
from video_files import make

from wing_tf.detection.haar import open_cascade
from wing_tf.inference.video import open_video

pytestmark = pytest.mark.slow  # 300 inputs for each reader

CASCADE = pathlib.Path(cv2.data.haarcascades, "haarcascade_smile.xml")  # the smallest one
MAX_PIXELS = 2**20


def _cascade(path):
    found, _ = open_cascade(path).detectMultiScale2(np.full((64, 64), 128, np.uint8))
    assert np.size(found) % 4 == 0


def _video(path):
    with open_video(path, max_pixels=MAX_PIXELS) as video:
        times_s = []
        for frame in video:
            assert frame.image.dtype == np.uint8
            assert frame.image.shape == (*video.size_hw, 3)
            times_s.append(frame.time_s)
    assert video.size_hw[0] * video.size_hw[1] <= MAX_PIXELS
    assert np.all(np.diff(times_s) > 0)


FILES = {
    "a.xml": (lambda _: CASCADE.read_bytes(), _cascade),
    "a.mp4": (lambda path: make(path).read_bytes(), _video),
    "a.mkv": (lambda path: make(path).read_bytes(), _video),
}


@pytest.mark.parametrize("name", FILES)
def test_damaged_cascades_and_videos_are_refused_or_read(name, tmp_path):
    make_valid, read = FILES[name]
    path = tmp_path / name
    valid = make_valid(path)
    check_reader(path, valid, lambda: read(path), damaged_bytes(valid))
