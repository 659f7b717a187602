"""Face boxes of 300-W's organizers."""

import numpy as np
import pytest
import scipy.io
from official_files import dotted, spread_points, write_ibug_boxes, write_image

from tfrecords_tools.sources import Ibug300WSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records

FACES = (
    "afw/11_1.jpg", "afw/11_2.jpg", "helen/trainset/22_1.jpg", "helen/testset/33_1.jpg",
    "lfpw/trainset/image_0001.png", "lfpw/testset/image_0001.png", "lfpw/testset/image_0002.png",
    "ibug/image_003_1.jpg", "ibug/image 004 01.jpg", "01_Indoor/indoor_001.png",
)  # fmt: skip


def _tree(root):
    for number, name in enumerate(FACES):
        points = spread_points(68, number)
        write_image(root / name, dotted(points))
        rows = "\n".join(f"{x + 1:.3f} {y + 1:.3f}" for x, y in points)
        (root / name).with_suffix(".pts").write_text(f"version: 1\nn_points:  68\n{{\n{rows}\n}}\n")
    return root


def _box(number):
    return [number + 1.5, 5.25, 60 + number, 50]


def _boxes(source):
    found = {}
    for item in source.items():
        box = source.load(item).box_xyxy_px
        found[item.key] = None if box is None else box.tolist()
    return found


def _less_one(box):
    return [value - 1 for value in box]


@pytest.mark.parametrize("place", ["", "Bounding Boxes", "bounding_boxes", "Bounding_Boxes"])
def test_boxes_are_found_in_every_known_folder(tmp_path, place):
    root = _tree(tmp_path)
    assert not set(_boxes(Ibug300WSource(root)).values()) - {None}
    for number, (name, images) in enumerate(
        {
            "afw": ["11_1.jpg", "11_2.jpg"],
            "helen_trainset": ["22_1.jpg", "99_1.jpg"],
            "helen_testset": ["33_1.jpg"],
            "lfpw_trainset": ["image_0001.png", "image_0002.png"],
            "lfpw_testset": ["image_0001.png"],
            "ibug": ["image_003_1.jpg", "image_004_01.jpg", "image 004 01.jpg"],
        }.items()
    ):
        boxes = {image: _box(10 * number + i) for i, image in enumerate(images)}
        write_ibug_boxes(root / place / f"bounding_boxes_{name}.mat", boxes)
    source = Ibug300WSource(root)
    assert _boxes(source) == {
        "afw/11_1": _less_one(_box(0)),
        "afw/11_2": _less_one(_box(1)),
        "helen/trainset/22_1": _less_one(_box(10)),
        "helen/testset/33_1": _less_one(_box(20)),
        "lfpw/trainset/image_0001": _less_one(_box(30)),
        "lfpw/testset/image_0001": _less_one(_box(40)),
        "lfpw/testset/image_0002": None,  # the box of that name is that of another image
        "ibug/image_003_1": _less_one(_box(50)),
        "ibug/image 004 01": _less_one(_box(52)),
        "01_Indoor/indoor_001": None,
    }
    assert source.has_boxes
    assert source.default_crop == "landmark_box"
    zero = Ibug300WSource(root, origin=0.0)
    assert zero.load(zero.items()[0]).box_xyxy_px.tolist() == _box(0)


def test_afw_boxes_are_found_in_the_ibug_file(tmp_path):
    root = _tree(tmp_path)
    write_ibug_boxes(
        root / "bounding_boxes_ibug.mat",
        {"11_1.jpg": _box(1), "11_2.jpg": _box(2), "image_0001.png": _box(3)},
    )
    found = {key: box for key, box in _boxes(Ibug300WSource(root)).items() if box}
    assert found == {"afw/11_1": _less_one(_box(1)), "afw/11_2": _less_one(_box(2))}


def test_faces_without_a_box_are_skipped_if_the_crop_rule_needs_one(tmp_path):
    root = _tree(tmp_path / "300W")
    options = {"square_format": SquareFormat(side=64), "num_processes": 0, "progress": False}
    with pytest.raises(ValueError, match="ibug_300w has none here"):
        write_records(Ibug300WSource(root), tmp_path / "r", crop="dataset_box", **options)
    write_ibug_boxes(root / "bounding_boxes_afw.mat", {"11_1.jpg": _box(1), "11_2.jpg": [0] * 4})
    manifest = write_records(Ibug300WSource(root), tmp_path / "r", crop="dataset_box", **options)
    assert sum(manifest["counts"].values()) == 1
    assert len(manifest["skipped"]) == len(FACES) - 1
    assert set(manifest["skipped"].values()) == {
        "the crop rule dataset_box needs the data set's box, which this face lacks"
    }


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"imgName": "11_1.jpg", "bb_detector": np.zeros((1, 3))}, r"of 11_1\.jpg must be 4"),
        ({"imgName": "11_1.jpg", "boxes": np.zeros((1, 4))}, "must have imgName and bb_detector"),
        ({"imgName": "", "bb_detector": np.zeros((1, 4))}, "must have imgName and bb_detector"),
        ("11_1.jpg", "must have imgName and bb_detector"),
    ],
)
def test_malformed_box_files_are_refused(tmp_path, cell, message):
    root = _tree(tmp_path)
    cells = np.empty((1, 1), object)
    cells[0, 0] = cell
    scipy.io.savemat(root / "bounding_boxes_afw.mat", {"bounding_boxes": cells})
    with pytest.raises(ValueError, match=message):
        Ibug300WSource(root).items()
    (root / "bounding_boxes_afw.mat").write_bytes(b"no file")
    with pytest.raises(ValueError, match=r"bounding_boxes_afw\.mat is not a MATLAB file"):
        Ibug300WSource(root).items()
