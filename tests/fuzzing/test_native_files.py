"""Damaged files of native parsers are refused in one line, also where they crash the parser."""

import pathlib

import cv2
import numpy as np
import pytest
from fuzzed import check_reader, damaged_bytes
from video_files import make

from wing_tf.detection import YuNetDetector
from wing_tf.detection.blazeface import blazeface_path
from wing_tf.detection.haar import open_cascade
from wing_tf.inference.video import open_video
from wing_tf.utils.litert import LiteRtModel

pytestmark = pytest.mark.slow  # 300 inputs for each reader

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
CASCADE = pathlib.Path(cv2.data.haarcascades, "haarcascade_smile.xml")  # the smallest one
MAX_PIXELS = 2**20


def _yunet(path):
    boxes = YuNetDetector(path).raw_boxes(np.full((64, 64, 3), 128, np.uint8))
    assert boxes.shape[1:] == (5,)


def _cascade(path):
    found, _ = open_cascade(path).detectMultiScale2(np.full((64, 64), 128, np.uint8))
    assert np.size(found) % 4 == 0


def _litert(path):
    model = LiteRtModel(path.read_bytes(), path=path, num_threads=1)
    (detail,) = model.interpreter.get_input_details()
    image = np.zeros(detail["shape"], detail["dtype"])
    assert model.run(detail["index"], image, [detail["index"]])[0].shape == image.shape


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
    "a.onnx": (lambda _: (GOLDEN / "blob_yunet.onnx").read_bytes(), _yunet),
    "a.xml": (lambda _: CASCADE.read_bytes(), _cascade),
    "a.tflite": (lambda _: blazeface_path().read_bytes(), _litert),
    "a.mp4": (lambda path: make(path).read_bytes(), _video),
    "a.mkv": (lambda path: make(path).read_bytes(), _video),
}


@pytest.mark.parametrize("name", FILES)
def test_damaged_native_files_are_refused_or_read(name, tmp_path):
    make_valid, read = FILES[name]
    path = tmp_path / name
    valid = make_valid(path)
    check_reader(path, valid, lambda: read(path), damaged_bytes(valid))
