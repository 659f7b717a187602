"""Visibility of landmarks from the network to the faces and their files."""

import csv
import io
import json

import numpy as np
import pytest

from tfrecords_tools.sources import SOURCES
from wing_tf.export.deployed_network import deployed_network
from wing_tf.export.exported_spec import exported_spec
from wing_tf.export.onnx import write_onnx
from wing_tf.export.parity import open_onnx, open_saved_model
from wing_tf.export.saved_model import write_saved_model
from wing_tf.inference import Face, Landmarker
from wing_tf.inference.folder import run_folder
from wing_tf.inference.output import ImageFaces, csv_columns, csv_rows, files_of_image
from wing_tf.landmarks import SchemeMap, get_scheme
from wing_tf.model_spec import read_model_spec
from wing_tf.utils.image_files import save_image
from wing_tf.utils.printable import format_csv

SCHEME = get_scheme("celeba_5")


def test_both_back_ends_give_faces_their_visibility(exported, frame):
    network, spec, path = exported("visibility")
    assert read_model_spec(path).has_visibility
    assert not read_model_spec(exported("plain")[2]).has_visibility
    image, boxes = frame
    found, expected = Landmarker(path), Landmarker(network, spec=spec)
    assert expected.spec.has_visibility
    for face, other in zip(found(image, boxes), expected(image, boxes), strict=True):
        assert face.visibility.shape == (5,)
        assert face.scores is None
        np.testing.assert_allclose(face.visibility, other.visibility, atol=1e-3)
        assert 0 < face.visibility.min() < 0.5 < face.visibility.max() < 1
    assert Landmarker(exported("plain")[2])(image, boxes)[0].visibility is None


def test_flip_averages_the_visibility_of_mirrored_landmarks(exported, frame):
    path = exported("visibility")[2]
    image, boxes = frame
    crops, _ = Landmarker(path).crop(image, boxes)
    *_, plain = Landmarker(path).predict_crops(crops)
    *_, mirrored = Landmarker(path).predict_crops(np.ascontiguousarray(crops[:, :, ::-1]))
    expected = (plain + mirrored[:, list(SCHEME.flip_permutation)]) / 2
    found = [face.visibility for face in Landmarker(path, flip=True)(image, boxes)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(expected - plain).max() > 0.05  # the right eye is not the left one


def test_scheme_maps_and_passes_keep_the_visibility(exported, frame):
    path = exported("visibility")[2]
    image, boxes = frame
    scheme_map = SchemeMap(source=SCHEME, target=SCHEME, groups=((0,), (1,), (), (3, 4), (3, 4)))
    plain, mapped = (Landmarker(path, scheme_map=m)(image, boxes)[0] for m in (None, scheme_map))
    expected = plain.visibility[[0, 1, 2, 3, 3]]
    expected[3:] = plain.visibility[3:].mean()
    expected[2] = np.nan
    np.testing.assert_allclose(mapped.visibility, expected, rtol=1e-6)
    assert Landmarker(path, passes=2)(image, boxes)[0].visibility.shape == (5,)


def test_saved_model_emits_the_visibility(exported, frame, tmp_path):
    network, spec, path = exported("visibility")
    crops, _ = Landmarker(path).crop(*frame)
    deployed = deployed_network(network, spec)
    expected = np.asarray(deployed(crops)["visibility"])
    write_saved_model(deployed, spec, tmp_path / "saved_model")
    _, scores, visibility = open_saved_model(tmp_path / "saved_model")(crops)
    assert scores is None
    np.testing.assert_allclose(visibility, expected, atol=1e-5)
    facts = exported_spec(deployed, spec, format="saved_model", precision="float32")
    assert facts["images"]["outputs"]["visibility"]["shape"] == [None, 5]


def test_onnx_emits_the_visibility(exported, frame, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    network, spec, path = exported("visibility")
    crops, _ = Landmarker(path).crop(*frame)
    deployed = deployed_network(network, spec)
    write_onnx(deployed, tmp_path / "m.onnx", precision="float32")
    visibility = open_onnx(tmp_path / "m.onnx")(crops)[2]
    np.testing.assert_allclose(visibility, deployed(crops)["visibility"], atol=1e-5)


def _found(folder):
    points = np.array([[10.0, 12], [30, 12], [20, 20], [12, 30], [28, 30]])
    visibility = np.array([0.9, 0.1, 0.5, 0.49, 1.0], np.float32)
    face = Face(points, np.array([5.0, 5, 35, 35]), None, SCHEME, visibility=visibility)
    return ImageFaces(str(folder / "a.png"), (60, 80), [face])


def test_json_and_csv_hold_the_visibility(tmp_path):
    found = _found(tmp_path)
    files = {}
    for format in ("json", "csv"):
        ((_, files[format]),) = files_of_image(found, SCHEME, tmp_path / "a", format).items()
    expected = [0.9, 0.1, 0.5, 0.49, 1.0]
    assert json.loads(files["json"])["faces"][0]["visibility"] == expected
    (row,) = csv.DictReader(io.StringIO(files["csv"]))
    names = SCHEME.point_names or range(5)
    assert [float(row[f"visibility_{name}"]) for name in names] == expected
    none = csv_rows(ImageFaces("b.png", (60, 80), []), SCHEME, visibility=True)
    assert len(none[0]) == len(csv_columns(SCHEME, visibility=True))
    assert "visibility" not in format_csv([csv_columns(SCHEME)])


def test_folder_files_hold_the_visibility(exported, frame, tmp_path):
    image, boxes = frame
    (tmp_path / "images").mkdir()
    save_image(tmp_path / "images" / "a.png", image)
    landmarker = Landmarker(exported("visibility")[2], detector=lambda _: boxes)
    run_folder(landmarker, tmp_path / "images", tmp_path / "out", format="csv", settings={})
    with (tmp_path / "out" / "landmarks.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = landmarker(image, boxes)
    name = (SCHEME.point_names or range(5))[0]
    for row, face in zip(rows, expected, strict=True):
        assert float(row[f"visibility_{name}"]) == pytest.approx(face.visibility[0], abs=0.01)


@pytest.mark.parametrize("format", ["coco", "cvat", "labelme"])
def test_annotation_files_mark_landmarks_below_one_half_as_occluded(format, tmp_path):
    """Read back by the sources of records."""
    save_image(tmp_path / "a.png", np.zeros((60, 80, 3), np.uint8))
    files = files_of_image(_found(tmp_path), SCHEME, tmp_path / "out", format)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    path = next(iter(files))
    options = {} if format == "labelme" else {"root": tmp_path}
    path = path.parent if format == "labelme" else path
    source = SOURCES[format](path, scheme="celeba_5", **options)
    (item,) = source.items()
    assert source.load(item).visibility.tolist() == [2, 1, 2, 1, 2]
