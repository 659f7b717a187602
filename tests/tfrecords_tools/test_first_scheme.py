"""First schemes, made from the labels of annotations."""

import json

import numpy as np
import pytest
from annotation_files import (
    LABELS,
    cvat_skeleton,
    labelme_points,
    pts_text,
    write_cvat,
    write_labelme,
)
from official_files import spread_points

from tfrecords_tools.first_scheme import make_first_scheme, mirrored_label, write_first_scheme
from tfrecords_tools.sources import SOURCES
from tfrecords_tools.sources.labeled_face import LabeledFace, LabeledPoint
from wing_tf.landmarks import get_scheme, load_scheme
from wing_tf.landmarks.head import AVERAGE_HEAD_MM
from wing_tf.landmarks.scheme_file import scheme_from_dict


@pytest.fixture(scope="module")
def shapes():
    """Landmarks [8, 68, 2] of a head seen from several sides, mostly from one."""
    yaw = np.radians([-60.0, -45, -9, -4, 6, 11, -30, -70])
    x, y, z = np.array(AVERAGE_HEAD_MM).T
    turned = np.cos(yaw)[:, None] * x + np.sin(yaw)[:, None] * z
    return 300 + np.stack([turned, np.broadcast_to(y, turned.shape)], axis=-1)


def _faces(shapes, labels):
    return [
        LabeledFace(
            str(number),
            "a.png",
            tuple(LabeledPoint(n, tuple(p)) for n, p in zip(labels, shape, strict=True)),
        )
        for number, shape in enumerate(shapes)
    ]


@pytest.mark.parametrize(
    ("label", "other"),
    [
        ("left_eye", "right_eye"),
        ("LeftEye", "RightEye"),
        ("EYE LEFT", "EYE RIGHT"),
        ("eye_l_outer", "eye_r_outer"),
        ("l_ear", "r_ear"),
        ("mouth-r", "mouth-l"),
        ("LShoulder", "RShoulder"),
        ("earL", "earR"),
        ("r1", "l1"),
        ("nose", "nose"),
        ("lower_lip", "lower_lip"),
        ("ear", "ear"),
    ],
)
def test_mirrored_label_exchanges_sides(label, other):
    assert mirrored_label(label) == other
    assert mirrored_label(other) == label


def test_names_give_pairs_and_normalizer(shapes):
    labels = ["L_eye_out", "L_eye_in", "R_eye_in", "R_eye_out", "nose", "bright_spot"]
    chosen = [36, 39, 42, 45, 30, 8]
    first = make_first_scheme("face_6", _faces(shapes[:, chosen], labels), "a test")
    assert first.by_name == [(0, 3), (1, 2)]
    assert first.by_symmetry == []
    assert first.doubtful == []
    assert first.values["pairs"] == [["L_eye_out", "R_eye_out"], ["L_eye_in", "R_eye_in"]]
    assert first.values["normalizer"] == ["L_eye_out", "R_eye_out"]
    assert scheme_from_dict(first.values).point_names == tuple(labels)


def test_symmetry_gives_the_pairs_of_numbered_landmarks(shapes):
    labels = [f"{index:02d}" for index in range(68)]
    shuffled = np.random.default_rng(0).permutation(68)
    faces = _faces(shapes[:, shuffled], [labels[i] for i in shuffled])
    first = make_first_scheme("face_68", faces, "a test")
    assert first.values["points"] == labels  # numbers in numeric order
    flip = np.array(get_scheme("ibug_68").flip_permutation)
    expected = {(i, int(j)) for i, j in enumerate(flip) if i < j}
    assert set(first.by_symmetry) == expected
    assert first.values["normalizer"] == "box"
    assert scheme_from_dict(first.values).num_landmarks == 68


def test_pairs_by_name_that_the_shape_contradicts_are_reported(shapes):
    labels = ["left_a", "right_b", "left_b", "right_a", "nose", "chin"]
    chosen = [36, 39, 42, 45, 30, 8]
    first = make_first_scheme("face_6", _faces(shapes[:, chosen], labels), "a test")
    assert first.doubtful == []
    labels = ["left_a", "left_b", "right_a", "right_b", "nose", "chin"]  # of 36-42 and 39-45
    first = make_first_scheme("face_6", _faces(shapes[:, chosen], labels), "a test")
    assert first.by_name == [(0, 2), (1, 3)]
    assert first.doubtful == [(0, 2), (1, 3)]


def test_first_scheme_file_is_valid_and_says_what_it_is(tmp_path):
    path = write_cvat(tmp_path / "a.xml", {"a.png": cvat_skeleton(spread_points(5))})
    output = tmp_path / "new" / "my face.json"
    report = write_first_scheme(SOURCES["cvat"], path, output)
    assert "5 landmarks of 1 face(s)" in report
    assert "pairs by name: left_eye - right_eye, mouth_l - mouth_r" in report
    assert "on the axis of symmetry: nose" in report
    assert "These are guesses. Confirm" in report
    assert "not confirmed" in json.loads(output.read_text())["reference"]
    scheme = load_scheme(output)
    assert scheme.name == "my_face"
    assert scheme.point_names == tuple(LABELS)
    assert scheme.flip_permutation == (1, 0, 2, 4, 3)
    assert scheme.normalizers["own"] == ((0,), (1,))
    with pytest.raises(ValueError, match="exists already"):
        write_first_scheme(SOURCES["cvat"], path, output)


def test_labels_that_few_faces_have_are_asked_about(tmp_path):
    faces = {f"{i}.png": cvat_skeleton(spread_points(5, seed=i)) for i in range(10)}
    misspelled = [label.replace("nose", "nose_typo") for label in LABELS]
    faces["10.png"] = cvat_skeleton(spread_points(5), labels=misspelled)
    path = write_cvat(tmp_path / "a.xml", faces)
    report = write_first_scheme(SOURCES["cvat"], path, tmp_path / "face.json")
    question = "RARE: 1 of 11 faces have the label 'nose_typo'. Is it misspelled?"
    assert f"{question} Did you mean 'nose'?\n" in report
    assert report.count("RARE") == 1


def test_coco_category_gives_the_names(tmp_path):
    """A name is in the scheme even if few faces have the point; other categories are not."""
    rows = [[x, y, 2] for x, y in spread_points(5)]
    rows[2] = [0, 0, 0]
    faces = [
        {"id": i, "image_id": 1, "category_id": 3, "keypoints": [v for row in rows for v in row]}
        for i in range(3)
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [*faces, {"id": 9, "image_id": 1, "category_id": 4, "keypoints": [1, 1, 2]}],
        "categories": [{"id": 3, "name": "face", "keypoints": LABELS}, {"id": 4, "name": "nose"}],
    }
    path = tmp_path / "faces.json"
    path.write_text(json.dumps(content))

    def write(name, category):
        return write_first_scheme(SOURCES["coco"], path, tmp_path / name, category=category)

    report = write("face.json", "face")
    assert load_scheme(tmp_path / "face.json").point_names == tuple(LABELS)
    assert load_scheme(tmp_path / "face.json").flip_permutation == (1, 0, 2, 4, 3)
    assert "5 landmarks of 3 face(s)" in report
    assert "RARE: 0 of 3 faces have the label 'nose'" in report
    with pytest.raises(ValueError, match="among them face, nose. Name one by `category`"):
        write("s.json", None)
    with pytest.raises(ValueError, match="one of face, nose. Received: 'car'"):
        write("s.json", "car")
    # A category without names: numbers. A file that lacks the category: its annotation is named.
    assert write("nose.json", "nose").startswith("1 landmarks of 1 face(s)")
    del content["categories"][1]
    path.write_text(json.dumps(content))
    assert "skipped annotation 9: no category 4" in write("s.json", None)


def test_points_without_labels_are_numbers(tmp_path):
    (tmp_path / "a.pts").write_text(pts_text(spread_points(7)))
    output = tmp_path / "face_7.json"
    report = write_first_scheme(SOURCES["pts"], tmp_path, output)
    assert "NO PAIRS" in report
    assert load_scheme(output).num_landmarks == 7
    assert load_scheme(output).point_names == ()
    assert load_scheme(output).flip_permutation == tuple(range(7))
    (tmp_path / "b.pts").write_text(pts_text(spread_points(6)))
    with pytest.raises(ValueError, match="must have the same number of points"):
        write_first_scheme(SOURCES["pts"], tmp_path, tmp_path / "b.json")


def test_built_in_scheme_with_the_same_pairs_is_named(tmp_path, shapes):
    (tmp_path / "a.pts").write_text(pts_text(shapes[3]))
    report = write_first_scheme(SOURCES["pts"], tmp_path, tmp_path / "s.json")
    assert "The pairs are those of ibug_68." in report


def test_first_scheme_of_nothing_is_refused(tmp_path):
    write_labelme(tmp_path / "a.json", labelme_points(spread_points(5))[:0])
    with pytest.raises(ValueError, match=r"no face has points\. a\.json: no points"):
        write_first_scheme(SOURCES["labelme"], tmp_path, tmp_path / "s.json")
    with pytest.raises(ValueError, match="Received: wflw"):
        write_first_scheme(SOURCES["wflw"], tmp_path, tmp_path / "s.json")
    with pytest.raises(ValueError, match="No CVAT annotations at"):
        write_first_scheme(SOURCES["cvat"], tmp_path / "no.xml", tmp_path / "s.json")
