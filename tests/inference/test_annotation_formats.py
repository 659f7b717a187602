"""Predictions as the files of annotation tools."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tfrecords_tools.sources import SOURCES
from wing_tf.inference import Face
from wing_tf.inference.output import FORMATS, ImageFaces, as_dict, files_of_image
from wing_tf.inference.pre_annotations import WRITERS, annotation_files
from wing_tf.landmarks import register_scheme
from wing_tf.landmarks.scheme_file import scheme_from_dict


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
