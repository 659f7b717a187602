"""Attributes, boxes, splits and occlusion of data sets, read back from records."""

import numpy as np
import pytest
from official_files import (
    BOX,
    BOX_XYXY,
    LISTS,
    dotted,
    spread_points,
    wflw_line,
    write_aflw,
    write_cofw,
    write_image,
)

from tfrecords_tools.sources import AflwSource, CofwSource, WflwSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.data.read import read_faces
from wing_tf.data.records import open_records
from wing_tf.geometry import apply_affine


def _read_back(source, folder, **options):
    """Writes a source and returns the faces of its records, in pixels of the source images."""
    manifest = write_records(
        source, folder, square_format=SquareFormat(side=64), validation_fraction=0, num_processes=0,
        progress=False, **options,
    )  # fmt: skip
    assert manifest["skipped"] == {}
    faces = {}
    records = open_records(str(folder))
    for face in read_faces(records, details=True).as_numpy_iterator():
        to_source = face["square_to_source"].astype(np.float64)
        for name in ("box", "dataset_box"):
            corners = face[f"{name}_square_px"].astype(np.float64).reshape(2, 2)
            face[name] = apply_affine(to_source, corners).ravel()
        landmarks = face["landmarks_square_px"].astype(np.float64)
        face["landmarks"] = apply_affine(to_source, landmarks)
        faces[face["key"].decode()] = face
    return faces


def _near(values, expected):
    np.testing.assert_allclose(values, expected, atol=2e-4)


@pytest.fixture
def wflw(tmp_path):
    points = [spread_points(98, seed) for seed in range(3)]
    for name, marks in zip(("a/1.jpg", "b/2.jpg", "b/3.jpg"), points, strict=True):
        write_image(tmp_path / "WFLW_images" / name, dotted(marks))
    folder = tmp_path / LISTS
    folder.mkdir(parents=True)
    (folder / "list_98pt_rect_attr_train.txt").write_text(
        wflw_line(points[0], (3, 4, 60, 50), "0 0 0 0 0 0", "a/1.jpg")
    )
    (folder / "list_98pt_rect_attr_test.txt").write_text(
        wflw_line(points[1], (5, 6, 70, 55), "1 0 0 1 0 1", "b/2.jpg")
        + wflw_line(points[2], (0, 0, 0, 0), "0 1 1 0 1 0", "b/3.jpg")
    )
    return tmp_path, points


def test_wflw_attributes_and_boxes_are_in_records(wflw, tmp_path):
    root, points = wflw
    faces = _read_back(WflwSource(root), tmp_path / "r", crop="dataset_or_landmark_box")
    assert {key: (f["attributes"], f["split"], f["source_image"]) for key, f in faces.items()} == {
        "train/00001": (b"", b"train", b"a/1.jpg"),
        "test/00001": (b"pose,make_up,blur", b"test", b"b/2.jpg"),
        "test/00002": (b"expression,illumination,occlusion", b"test", b"b/3.jpg"),
    }
    _near(faces["train/00001"]["dataset_box"], [3, 4, 60, 50])
    _near(faces["train/00001"]["box"], [3, 4, 60, 50])
    _near(faces["test/00001"]["dataset_box"], [5, 6, 70, 55])
    # A box of zeros counts as no box: the crop is the landmark box.
    last = faces["test/00002"]
    assert np.isnan(last["dataset_box"]).all()
    _near(last["box"], [*points[2].min(axis=0), *points[2].max(axis=0)])
    for key, marks in zip(("train/00001", "test/00001", "test/00002"), points, strict=True):
        _near(faces[key]["landmarks"], marks)


def test_records_keep_the_data_set_box_besides_the_crop_box(wflw, tmp_path):
    root, points = wflw
    faces = _read_back(WflwSource(root), tmp_path / "r", crop="landmark_box")
    first = faces["test/00001"]
    _near(first["dataset_box"], [5, 6, 70, 55])
    _near(first["box"], [*points[1].min(axis=0), *points[1].max(axis=0)])


def test_cofw_occlusion_and_boxes_are_in_records(tmp_path):
    train = write_cofw(tmp_path / "COFW_train_color.mat", "Tr", (0, 1))
    test = write_cofw(tmp_path / "COFW_test_color.mat", "T", (2,))
    faces = _read_back(CofwSource(tmp_path), tmp_path / "r")
    assert {key: (f["attributes"], f["split"]) for key, f in faces.items()} == {
        "train/0001": (b"", b"train"),
        "train/0002": (b"", b"train"),
        "test/0001": (b"", b"test"),
    }
    expected = {"train/0001": train[0], "train/0002": train[1], "test/0001": test[0]}
    for key, marks in expected.items():
        _near(faces[key]["landmarks"], marks)
        assert np.flatnonzero(faces[key]["visibility"] == 1).tolist() == list(range(0, 29, 3))
        shift = 1 if key == "train/0002" else 0  # x, y, width and height are 1 more
        _near(faces[key]["dataset_box"], np.add(BOX_XYXY, [shift, shift, 2 * shift, 2 * shift]))
        _near(faces[key]["box"], faces[key]["dataset_box"])
    assert BOX.tolist() == [6, 8, 50, 40]  # BOX_XYXY is 1 less, because MATLAB counts from 1


def test_aflw_attributes_and_occlusion_are_in_records(tmp_path):
    points = write_aflw(tmp_path)
    source = AflwSource(tmp_path)
    some = source.items()[-2:]  # the two that have an image
    source.items = lambda: some
    faces = _read_back(source, tmp_path / "r")
    first, second = faces["0/image00000.jpg#00001"], faces["0/image00001.jpg#00002"]
    assert (first["attributes"], second["attributes"]) == (b"frontal", b"")
    for face, marks in ((first, points[0]), (second, points[1])):
        assert face["split"] == b"test"
        _near(face["landmarks"], marks)
        _near(face["dataset_box"], [3, 4, 53, 54])
    assert first["visibility"].tolist() == [2] * 19
    assert np.flatnonzero(second["visibility"] == 1).tolist() == [4]
