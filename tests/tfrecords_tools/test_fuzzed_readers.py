"""Damaged files to every reader of data sets: a declared error, or a face that makes sense."""

import faulthandler
import pathlib

import cv2
import numpy as np
import pytest
import scipy.io
from fuzzed import fuzzed_bytes, fuzzed_text
from official_files import (
    LISTS,
    dotted,
    spread_points,
    wflw_line,
    write_aflw,
    write_cofw,
    write_cofw68,
    write_ibug_boxes,
    write_image,
    write_mat73,
)

from tfrecords_tools.sources import SOURCES
from tfrecords_tools.square_crops import SquareFormat, crop_face
from wing_tf.data.crop_rules import get_crop_rule
from wing_tf.utils.atomic import write_json

NUM_INPUTS = 300
FIVE = [f"{axis}{i}" for i in range(5) for axis in "xy"]
BOX = ["box_x0", "box_y0", "box_x1", "box_y1"]


@pytest.fixture(autouse=True)
def no_hang():
    faulthandler.dump_traceback_later(300, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def _csv(root):
    write_image(root / "a.png", dotted(spread_points(5)))
    header = ["path", *FIVE, *BOX, *(f"v{i}" for i in range(5)), "width", "height", "split"]
    lines = [",".join(header)]
    for seed in range(3):
        points = [f"{v:g}" for v in np.ravel(spread_points(5, seed))]
        lines.append(",".join(["a.png", *points, *"0,0,79,59,2,2,1,2,2,80,60,train".split(",")]))
    (root / "faces.csv").write_text("\n".join(lines) + "\n")
    return {"path": root / "faces.csv", "scheme": "celeba_5"}, root / "faces.csv"


def _coco(root):
    write_image(root / "a.png", dotted(spread_points(5)))
    size = {"width": 80, "height": 60}
    annotations = [
        {
            "id": seed,
            "image_id": 7,
            "category_id": 1,
            "bbox": [0, 0, 79, 59],
            "num_keypoints": 5,
            "keypoints": [v for x, y in spread_points(5, seed).tolist() for v in (x, y, 2)],
        }
        for seed in range(3)
    ]
    content = {
        "images": [{"id": 7, "file_name": "a.png", "split": "train", **size}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "face", "keypoints": list("abcde")}],
    }
    write_json(root / "faces.json", content)
    return {"path": root / "faces.json", "scheme": "celeba_5"}, root / "faces.json"


def _ibug_300w(root):
    points = spread_points(68)
    write_image(root / "afw/a.png", dotted(points))
    rows = "".join(f"{x + 1:.3f} {y + 1:.3f}\n" for x, y in points)
    (root / "afw/a.pts").write_text(f"version: 1\nn_points: 68\n{{\n{rows}}}\n")
    return {"root": root}, root / "afw/a.pts"


def _ibug_boxes(root):
    options, _ = _ibug_300w(root)
    path = root / "bounding_boxes_afw.mat"
    write_ibug_boxes(path, {"a.png": [1, 1, 80, 60], "b.png": [1, 1, 80, 60]})
    return options, path


def _wflw(root):
    write_image(root / "WFLW_images/a.png", dotted(spread_points(98)))
    line = wflw_line(spread_points(98), [0, 0, 79, 59], "0 1 0 0 0 0", "a.png")
    for split in ("train", "test"):
        path = root / LISTS / f"list_98pt_rect_attr_{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line)
    return {"root": root}, path


def _celeba(file):
    def write(root):
        files = {
            "landmarks": (
                "Anno/list_landmarks_celeba.txt",
                "2\nx\na.png 9 9 50 9 30 30 9 50 50 50\n",
            ),
            "boxes": ("Anno/list_bbox_celeba.txt", "2\nx y\na.png 0 0 70 55\n"),
            "partition": ("Eval/list_eval_partition.txt", "a.png 0\n"),
        }
        write_image(root / "Img/img_celeba/a.png", dotted(spread_points(5)))
        for name, text in files.values():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
        return {"root": root}, root / files[file][0]

    return write


def _lapa(root):
    points = spread_points(106)
    for split in ("train", "val", "test"):
        write_image(root / split / "images/a.png", dotted(points))
        (root / split / "landmarks").mkdir()
        rows = "".join(f"{x} {y}\n" for x, y in points)
        (root / split / "landmarks/a.txt").write_text(f"106\n{rows}")
    return {"root": root}, root / "train/landmarks/a.txt"


def _lsp(root):
    joints = np.zeros((3, 14, 2))
    joints[:2] = spread_points(14).T[..., None] + 1
    scipy.io.savemat(root / "joints.mat", {"joints": joints}, do_compression=True)
    write_image(root / "images/im0001.jpg", dotted(spread_points(14)))
    return {"root": root}, root / "joints.mat"


def _aflw(root):
    write_aflw(root, 3)
    return {"root": root}, root / "AFLWinfo_release.mat"


def _cofw68(root):
    points = write_cofw68(root / "COFW68_Data")
    images = root / "COFW68_Data/COFW_test_color.mat"
    write_mat73(images, {"IsT": [dotted(p) for p in points]})
    return {"root": root}, root / "COFW68_Data/test_annotations/2_points.mat"


def _cofw(root):
    write_cofw(root / "COFW_train_color.mat", "Tr", (0, 1))
    write_cofw(root / "COFW_test_color.mat", "T", (2,))
    return {"root": root}, root / "COFW_train_color.mat"


TEXTS = {
    "csv": ("csv", _csv),
    "coco": ("coco", _coco),
    "ibug_300w": ("ibug_300w", _ibug_300w),
    "wflw": ("wflw", _wflw),
    "celeba landmarks": ("celeba", _celeba("landmarks")),
    "celeba boxes": ("celeba", _celeba("boxes")),
    "celeba partition": ("celeba", _celeba("partition")),
    "lapa": ("lapa", _lapa),
}
MATLAB = {
    "lsp": ("lsp", _lsp),
    "aflw": ("aflw", _aflw),
    "cofw68": ("cofw68", _cofw68),
    "cofw": ("cofw", _cofw),
    "ibug boxes": ("ibug_300w", _ibug_boxes),
}


@pytest.mark.parametrize("name", TEXTS)
def test_damaged_text_files_give_sound_records_or_a_reason(tmp_path, name):
    assert _run(tmp_path, *TEXTS[name], fuzzed_text) > 20


@pytest.mark.slow  # a file that crashes SciPy costs a new process
@pytest.mark.parametrize("name", MATLAB)
def test_damaged_matlab_files_give_sound_records_or_a_reason(tmp_path, name):
    assert _run(tmp_path, *MATLAB[name], fuzzed_bytes) > 20


def _run(root: pathlib.Path, source_name, write, fuzz) -> int:
    """Reads and crops the faces of damaged files; returns the number of those that are usable."""
    options, path = write(root)
    source = SOURCES[source_name](**options)
    data = path.read_bytes()
    items = source.items()
    rule = get_crop_rule("landmark_box")
    square = SquareFormat(side=32)
    assert any(crop_face(source, square, rule, item).features for item in items)
    generator = np.random.default_rng(0)
    usable = 0
    for _ in range(NUM_INPUTS):
        path.write_bytes(fuzz(data, generator))
        try:
            source = SOURCES[source_name](**options)
            items = source.items()
            reasons = list(source.skipped.values())
        except ValueError as error:
            items, reasons = [], [str(error)]
        assert not any("\n" in reason for reason in reasons)
        for item in items[:10]:
            face = crop_face(source, square, rule, item)
            assert "Error: " not in face.reason, face.reason  # no undeclared kind of error
            if not face.reason:
                _check(face.features, item)
                usable += 1
    return usable


def _check(features, item) -> None:
    """A record must hold what training and evaluation can use."""
    assert item.split == "train" or item.split.startswith(("test", "val"))
    flags = np.array(features["visibility"])
    points = np.array(features["landmarks"]).reshape(-1, 2)
    assert set(flags.tolist()) <= {0, 1, 2}
    assert np.any(flags)
    np.testing.assert_array_equal(np.isfinite(points).all(axis=1), flags > 0)
    assert np.abs(points[flags > 0]).max() < 1e6
    matrix = np.array(features["square_to_source"]).reshape(2, 3)
    assert np.isfinite(matrix).all()
    in_source = points[flags > 0] @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(in_source).max() < 1000  # of images of 80 x 60 pixels
    box = np.array(features["box"])
    assert np.isfinite(box).all()
    assert (box[2:] >= box[:2]).all()
    image = cv2.imdecode(np.frombuffer(features["image/encoded"], np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (32, 32, 3)
