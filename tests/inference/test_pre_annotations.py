"""Predictions in the files of annotation tools, corrected there, and read as annotations."""

import json
import struct

import cv2
import numpy as np
import pytest

from tfrecords_tools.sources import SOURCES
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.synthetic import render_face
from tfrecords_tools.writer import write_records
from wing_tf.detection import make_detector
from wing_tf.inference import Landmarker
from wing_tf.inference.folder import run_folder
from wing_tf.inference.pre_annotations import WRITERS

COUNTS = {"one ä.png": 1, "two.png": 2, "turned.jpg": 1}


MOVE = np.array([1.5, -2.25])  # a person's correction of landmark 30 of the first face


def _turned_jpeg(image):
    """The image as a phone stores it: rotated, with EXIF data that say how to display it."""
    data = cv2.imencode(".jpg", np.rot90(image)[..., ::-1])[1].tobytes()
    entry = struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
    body = b"Exif\x00\x00II*\x00" + struct.pack("<I", 8) + entry
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images with one, two and no faces, one rotated by EXIF data, and their boxes."""
    folder = tmp_path_factory.mktemp("loop") / "photos"
    (folder / "day 1").mkdir(parents=True)
    faces = [render_face(5, index, wide_yaw_fraction=0.0) for index in range(4)]
    images = {
        "day 1/one ä.png": faces[0].image,
        "none.png": np.full((50, 70, 3), 90, np.uint8),
        "two.png": np.concatenate([faces[1].image, faces[2].image], axis=1),
    }
    for name, image in images.items():
        cv2.imencode(".png", image[..., ::-1])[1].tofile(folder / name)
    (folder / "turned.jpg").write_bytes(_turned_jpeg(faces[3].image[:, :150]))
    rows = ["path,x0,y0,x1,y1", "none.png,,,,"]
    names = ("day 1/one ä.png", "two.png", "two.png", "turned.jpg")
    shifts = (0, 0, faces[1].image.shape[1], 0)
    for name, face, shift in zip(names, faces, shifts, strict=True):
        low, high = face.landmarks_px.min(axis=0), face.landmarks_px.max(axis=0)
        rows.append(f"{name},{low[0] + shift},{low[1]},{high[0] + shift},{high[1]}")
    (folder / "boxes.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def predicted(folder, tmp_path_factory):
    """A function from a format to the output folder and the landmarks by image, made once."""
    landmarker = Landmarker(detector=make_detector("boxes", box_file=folder / "boxes.csv"))
    made = {}

    def get(format):
        if format not in made:
            output = tmp_path_factory.mktemp(format) / "out"
            summary = run_folder(landmarker, folder, output, format=format, settings={})
            assert summary.results.exists()
            assert summary.results.stem == ("annotations" if format in WRITERS else "landmarks")
            lines = (output / "landmarks.jsonl").read_text().splitlines()
            images = {line["image"]: line["faces"] for line in map(json.loads, lines)}
            made[format] = (
                output,
                {
                    name: [np.array(face["landmarks_px"]) for face in faces]
                    for name, faces in images.items()
                },
            )
        return made[format]

    return get


def _accept(path):
    """What Label Studio does with predictions that a person submits, and its export."""
    tasks = json.loads(path.read_text())
    for number, task in enumerate(tasks, start=1):
        results = task["predictions"][0]["result"]
        task["id"] = number
        task["annotations"] = [{"id": number, "result": results, "was_cancelled": False}]
    path.write_text(json.dumps(tasks))


def _open(format, output, folder):
    """The source that reads the output back."""
    path = next(
        p for p in (output / f"annotations{s}" for s in (".json", ".xml", "")) if p.exists()
    )
    options = {} if format == "labelme" else {"root": folder}
    if format == "coco":
        options["exif"] = "apply"
    if format == "labelstudio":
        _accept(path)
    return SOURCES[format](path, scheme="ibug_68", **options)


def _by_image(source):
    """The landmarks of the faces in the order of the file, by image."""
    found = {}
    for item in source.items():
        face = source.load(item)
        assert (face.visibility > 0).all()
        found.setdefault(item.source_image, []).append(face.landmarks_px)
    return found


@pytest.mark.parametrize("format", list(WRITERS))
def test_predictions_are_read_back_as_they_were_printed(predicted, folder, format, tmp_path):
    output, expected = predicted(format)
    source = _open(format, output, folder)
    found = _by_image(source)
    names = {name.rpartition("/")[2]: faces for name, faces in found.items()}
    assert {name: len(faces) for name, faces in names.items()} == COUNTS
    for name, faces in expected.items():
        for face, other in zip(faces, names.get(name.rpartition("/")[2], []), strict=True):
            np.testing.assert_allclose(other, face, atol=1e-4)
    # Records of one file are the same bytes each time.
    manifests = [
        write_records(
            source,
            tmp_path / name,
            square_format=SquareFormat(side=64),
            num_processes=0,
            progress=False,
            crop="landmark_box",
        )
        for name in "ab"
    ]
    assert manifests[0]["sha256"] == manifests[1]["sha256"]
    assert sum(manifests[0]["counts"].values()) == 4


@pytest.mark.parametrize("format", list(WRITERS))
def test_a_corrected_landmark_is_read_where_it_was_moved(predicted, folder, format):
    output, expected = predicted(format)
    old = expected["day 1/one ä.png"][0][30]
    source = _open(format, output, folder)
    file = next(source.path.rglob("one*.json")) if format == "labelme" else source.path
    text, (x, y) = file.read_text(), old + (0 if format == "coco" else 0.5)
    new_x, new_y = np.array([x, y]) + MOVE
    if format == "cvat":
        corrected = text.replace(f'"{x:.3f},{y:.3f}"', f'"{new_x:.3f},{new_y:.3f}"', 1)
    elif format == "coco":
        corrected = text.replace(f"{x}, {y}, 2", f"{new_x}, {new_y}, 2", 1)
    elif format == "labelme":
        content = json.loads(text)
        content["shapes"][30]["points"] = [[new_x, new_y]]
        corrected = json.dumps(content)
    else:
        content = json.loads(text)
        (task,) = (t for t in content if "one%20" in t["data"]["image"])
        result = task["annotations"][0]["result"][31]  # after the box
        side_wh = result["original_width"], result["original_height"]
        result["value"]["x"], result["value"]["y"] = np.array([new_x, new_y]) / side_wh * 100
        corrected = json.dumps(content)
    assert corrected != text
    file.write_text(corrected)
    try:
        (faces,) = (f for name, f in _by_image(source).items() if "one" in name)
    finally:
        file.write_text(text)
    np.testing.assert_allclose(faces[0][30], old + MOVE, atol=1e-4)
    others = np.delete(faces[0], 30, axis=0)
    np.testing.assert_allclose(others, np.delete(expected["day 1/one ä.png"][0], 30, 0), atol=1e-4)


def test_pts_files_of_predictions_are_read_back(predicted, folder):
    output, expected = predicted("pts")
    found = _by_image(SOURCES["pts"](output, scheme="ibug_68", root=folder, exif="apply"))
    assert {name: len(faces) for name, faces in found.items()} == {
        "day 1/one ä.png": 1,
        "two.png": 2,
        "turned.jpg": 1,
    }
    for name, faces in found.items():
        np.testing.assert_allclose(faces, expected[name], atol=1e-3)
