"""Damaged models of LiteRT and OpenCV are refused in one line, or run; none ends the process."""

import pathlib

import numpy as np
import pytest
from fuzzed import check_reader, damaged_bytes

from wing_tf.detection import YuNetDetector
from wing_tf.inference import Landmarker
from wing_tf.zoo import LITERT, resolve_model

pytestmark = pytest.mark.slow  # 300 inputs for each reader, each opened in a child process

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def test_damaged_onnx_files_are_refused_or_run(tmp_path):
    path, valid = tmp_path / "model.onnx", (GOLDEN / "blob_yunet.onnx").read_bytes()
    image = np.zeros((64, 64, 3), np.uint8)
    image[20:40, 20:40, 0] = 255

    def read():
        boxes = YuNetDetector(path).raw_boxes(image)
        assert boxes.shape[1:] == (5,)
        assert np.isfinite(boxes[:, 4]).all()

    check_reader(path, valid, read, damaged_bytes(valid))


def test_damaged_exports_are_refused_or_run(tmp_path):
    path = tmp_path / "model.tflite"
    valid = pathlib.Path(resolve_model("face_68", LITERT)).read_bytes()
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)

    def read():
        (face,) = Landmarker(path)(image, [[4, 4, 60, 60]])
        assert face.landmarks_px.shape == (68, 2)
        assert np.isfinite(face.landmarks_px).all()

    # Most of the file are weights, of which any bytes are valid.
    damaged = damaged_bytes(valid[:4000]).map(lambda part: part + valid[4000:])
    damaged |= damaged_bytes(valid[-60000:]).map(lambda part: valid[:-60000] + part)
    check_reader(path, valid, read, damaged)
