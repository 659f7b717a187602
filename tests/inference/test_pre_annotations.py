"""Predictions in the files of annotation tools, corrected there, and read as annotations."""

import json
import struct
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest

from tfrecords_tools.sources import SOURCES
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.synthetic import render_face
from tfrecords_tools.writer import write_records
from wing_tf.detection import make_detector
from wing_tf.inference import Face, Landmarker
from wing_tf.inference.folder import run_folder
from wing_tf.inference.output import FORMATS, ImageFaces, as_dict, files_of_image
from wing_tf.inference.pre_annotations import WRITERS, annotation_files
from wing_tf.landmarks import register_scheme
from wing_tf.landmarks.scheme_file import scheme_from_dict

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


def _faces(scheme, count=2):
    points = np.arange(2.0 * scheme.num_landmarks).reshape(-1, 2) + 3
    points[2] = np.nan
    scores = np.linspace(0.5, 1, scheme.num_landmarks, dtype=np.float32)
    box = np.array([1.0, 2, 30, 40])
    return [Face(points + 10 * n, box, scores, scheme, score=0.75) for n in range(count)]


@pytest.fixture
def scheme():
    values = {
        "name": "pre_annotated_4",
        "points": ["eye <l>", 'eye "r"', "nose", "chin"],
        "pairs": [],
        "lines": [["eye <l>", "nose"], ["nose", "chin"]],
    }
    return register_scheme(scheme_from_dict(values))


@pytest.fixture
def files(scheme, tmp_path):
    """A function from a format to the texts of the files of one image, by name."""

    def get(format):
        found = ImageFaces(str(tmp_path / "a&b.png"), (60, 80), _faces(scheme))
        texts = files_of_image(found, scheme, tmp_path / "out", format)
        return {path.relative_to(tmp_path).as_posix(): text for path, text in texts.items()}

    return get


def test_coco_file_has_scores_names_and_missing_points(files):
    (content,) = map(json.loads, files("coco").values())
    assert content["images"] == [{"id": 1, "file_name": "a&b.png", "width": 80, "height": 60}]
    first, second = content["annotations"]
    assert first["keypoints"] == [3, 4, 2, 5, 6, 2, 0, 0, 0, 9, 10, 2]
    assert (first["num_keypoints"], first["bbox"], first["area"]) == (3, [3, 4, 6, 6], 36)
    assert first["keypoint_scores"] == [0.5, 0.6667, 0.8333, 1]
    assert (first["score"], second["id"], second["image_id"]) == (0.75, 2, 1)
    (category,) = content["categories"]
    assert category["keypoints"][:2] == ["eye <l>", 'eye "r"']
    assert category["skeleton"] == [[1, 3], [3, 4]]


def test_cvat_file_has_skeletons_and_labels_for_the_task(files):
    texts = files("cvat")
    assert list(texts) == ["out.xml", "out_labels.json"]
    root = ET.fromstring(texts["out.xml"])
    image = root.find("image")
    assert image.attrib == {"id": "0", "name": "a&b.png", "width": "80", "height": "60"}
    skeleton = image.find("skeleton")
    points = skeleton.findall("points")
    assert [p.get("label") for p in points] == ["eye <l>", 'eye "r"', "nose", "chin"]
    assert points[0].get("points") == "3.500,4.500"  # CVAT draws on a plane
    assert [p.get("outside") for p in points] == ["0", "0", "1", "0"]
    assert points[1].find("attribute").text == "0.6667"
    assert skeleton.find("attribute").text == "0.75"
    (label,) = json.loads(texts["out_labels.json"])
    assert [part["name"] for part in label["sublabels"]] == [p.get("label") for p in points]
    drawing = ET.fromstring(f"<svg>{label['svg']}</svg>")
    assert [c.get("data-label-name") for c in drawing.iter("circle")] == [
        part["name"] for part in label["sublabels"]
    ]
    edges = [(e.get("data-node-from"), e.get("data-node-to")) for e in drawing.iter("line")]
    assert edges == [("1", "3"), ("3", "4")]
    assert all(0 <= float(c.get("cx")) <= 100 for c in drawing.iter("circle"))


def test_labelme_files_group_faces_and_lead_to_their_image(files, tmp_path):
    ((name, text),) = files("labelme").items()
    content = json.loads(text)
    assert ((tmp_path / name).parent / content["imagePath"]).resolve() == tmp_path / "a&b.png"
    assert (content["imageWidth"], content["imageHeight"]) == (80, 60)
    shapes = content["shapes"]
    assert [shape["group_id"] for shape in shapes] == [1, 1, 1, 2, 2, 2]
    assert [shape["label"] for shape in shapes[:3]] == ["eye <l>", 'eye "r"', "chin"]
    assert shapes[0]["points"] == [[3.5, 4.5]]
    assert (shapes[0]["score"], shapes[0]["description"]) == (0.5, "score 0.500")


def test_labelme_files_of_images_that_differ_in_their_suffix(scheme, tmp_path):
    images = [as_dict(ImageFaces(n, (6, 8), _faces(scheme, 1)), scheme) for n in ("a.jpg", "a.png")]
    paths = [
        path.relative_to(tmp_path).as_posix()
        for path, text in annotation_files(
            "labelme", images, scheme, folder=tmp_path, base=tmp_path / "out"
        )
        if json.loads(text)["shapes"][0]["group_id"] is None  # the only face of its image
    ]
    assert paths == ["out/a.json", "out/a.png.json"]


def test_label_studio_file_has_predictions_and_its_configuration(files, tmp_path):
    texts = files("labelstudio")
    assert list(texts) == ["out.json", "out_config.xml"]
    (task,) = json.loads(texts["out.json"])
    assert task["data"]["image"] == f"/data/local-files/?d={tmp_path.name}/a%26b.png"
    (prediction,) = task["predictions"]
    assert prediction["score"] == 0.75
    box, first, *_ = prediction["result"]
    assert len(prediction["result"]) == 2 * (1 + 3)
    assert (box["type"], first["parentID"], first["score"]) == ("rectanglelabels", box["id"], 0.5)
    assert first["value"]["x"] == pytest.approx(3.5 / 80 * 100)
    assert first["value"]["y"] == pytest.approx(4.5 / 60 * 100)
    config = ET.fromstring(texts["out_config.xml"])
    assert [label.get("value") for label in config.find("KeyPointLabels")] == [
        "eye <l>", 'eye "r"', "nose", "chin",
    ]  # fmt: skip
    for result in prediction["result"]:
        control = config.find(f".//*[@name='{result['from_name']}']")
        assert control.tag.lower() == result["type"]
        assert control.get("toName") == result["to_name"] == "image"


def test_file_names_that_xml_does_not_allow_do_not_break_the_file(scheme, tmp_path):
    images = [as_dict(ImageFaces("a\x01\udcff.png", (6, 8), _faces(scheme)), scheme)]
    (_, text), _ = annotation_files("cvat", images, scheme, folder=tmp_path, base=tmp_path / "out")
    assert ET.fromstring(text).find("image").get("name") == "a__.png"


def test_annotation_tools_are_formats_of_images_and_folders():
    for kind, formats in FORMATS.items():
        assert (set(WRITERS) <= set(formats)) == (kind in ("image", "folder")), kind
    assert set(WRITERS) <= set(SOURCES)
