"""Damaged files to every reader of images, boxes and JSON: a declared error, or sound values."""

import faulthandler
import json

import cv2
import numpy as np
import pillow_heif
import pytest
from fuzzed import fuzzed_bytes, fuzzed_text
from PIL import Image

from wing_tf.data.crop_rules import CropRule
from wing_tf.detection import BoxFile, Correction
from wing_tf.landmarks import load_scheme_map
from wing_tf.landmarks.scheme_file import scheme_from_dict, scheme_to_dict
from wing_tf.utils.image_files import load_image
from wing_tf.utils.text_files import read_json

NUM_INPUTS = 300


@pytest.fixture(autouse=True)
def no_hang():
    faulthandler.dump_traceback_later(300, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def _inputs(path, data, fuzz):
    generator = np.random.default_rng(0)
    for _ in range(NUM_INPUTS):
        path.write_bytes(fuzz(data, generator))
        yield path


def _is_one_line(error) -> bool:
    return "\n" not in str(error) and len(str(error)) < 2000


SUFFIXES = [".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".jp2", ".avif", ".ppm", ".heic"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_images_are_refused_or_read(tmp_path, suffix):
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    path = tmp_path / f"a{suffix}"
    if suffix == ".heic":
        pillow_heif.from_pillow(Image.fromarray(image)).save(path)
    else:
        assert cv2.imwrite(str(path), image)
    assert load_image(path).shape == image.shape
    refused = 0
    for damaged in _inputs(path, path.read_bytes(), fuzzed_bytes):
        try:
            read = load_image(damaged)
        except ValueError as error:
            assert _is_one_line(error)  # noqa: PT017
            refused += 1
        else:
            assert read.dtype == np.uint8
            assert read.ndim == 3
            assert read.shape[2] == 3
            assert read.size
    assert refused > 20


BOX_CSV = b"path,x0,y0,x1,y1\na.jpg,1,2,30,40\nb/c.jpg,5.5,6,70,80\nd.jpg,,,,\n"
BOX_JSON = (
    b'{"path": "a.jpg", "boxes_xyxy_px": [[1, 2, 30, 40], [3, 4, 50, 60]]}\n'
    b'{"image": "b.jpg", "faces": [{"box_xyxy_px": [1, 2, 30, 40]}]}\n'
)


@pytest.mark.parametrize("data", [BOX_CSV, BOX_JSON])
def test_damaged_box_files_are_refused_or_give_boxes(tmp_path, data):
    read = 0
    for path in _inputs(tmp_path / "boxes", data, fuzzed_text):
        try:
            detector = BoxFile(path)
        except ValueError as error:
            assert _is_one_line(error)  # noqa: PT017
            continue
        for name in detector.names:
            boxes = detector.raw_boxes(np.zeros((9, 9, 3), np.uint8), name)
            assert np.isfinite(boxes).all()
            assert (boxes[:, 2:] > boxes[:, :2]).all()
            read += 1
    assert read > 20


SCHEME = {
    "name": "fuzzed_7", "points": list("abcdefg"), "pairs": [["a", "b"], ["c", "d"]],
    "normalizer": ["a", "b"], "curves": [["a", "e", "b"]], "regions": {"all": list("abcdefg")},
    "subsets": {"eyes": ["a", "b"]}, "reference": "none",
}  # fmt: skip
MAP = {
    "source": "ibug_68", "target": "celeba_5", "reference": "none", "known_residual": 0.5,
    "groups": [[36, 39], [42, 45], [30], [48], [54]],
}  # fmt: skip


def _read_scheme(path):
    scheme = scheme_from_dict(read_json(path))
    flip = scheme.flip_permutation
    assert [flip[flip[i]] for i in range(scheme.num_landmarks)] == list(range(scheme.num_landmarks))
    assert scheme_from_dict(scheme_to_dict(scheme)) == scheme


def _read_map(path):
    scheme_map = load_scheme_map(path)
    assert len(scheme_map.groups) == scheme_map.target.num_landmarks


def _read_correction(path):
    correction = Correction.load(path)
    assert np.isfinite([*correction.center_shift_xy, correction.side_ratio]).all()
    assert correction.side_ratio > 0


def _read_crop_rule(path):
    rule = CropRule.from_json(json.dumps(read_json(path)))
    assert np.isfinite(rule.margin)


JSON = {
    "scheme": (SCHEME, _read_scheme),
    "map": (MAP, _read_map),
    "correction": ({"center_shift_xy": [0.0, 0.1], "side_ratio": 0.9}, _read_correction),
    "crop rule": (json.loads(CropRule(name="a", box="landmark").to_json()), _read_crop_rule),
}


@pytest.mark.parametrize("name", JSON)
def test_damaged_json_files_are_refused_or_read(tmp_path, name):
    values, read = JSON[name]
    accepted = 0
    for path in _inputs(tmp_path / "a.json", json.dumps(values).encode(), fuzzed_text):
        try:
            read(path)
        except ValueError as error:
            assert _is_one_line(error)  # noqa: PT017
        else:
            accepted += 1
    assert accepted > 2
