"""Readers of the files of Label Studio, imglab, and of .pts folders, and of damaged files."""

import json
import os

import numpy as np
import pytest
from annotation_files import (
    HALF,
    LABELS,
    OTHERS,
    POINTS,
    cvat_skeleton,
    imglab_box,
    labelme_points,
    labelme_shape,
    pts_text,
    read_annotations,
    skipped_faces,
    studio_point,
    studio_points,
    studio_rectangle,
    studio_task,
    write_cvat,
    write_imglab,
    write_labelme,
)
from official_files import assert_dots, dotted, spread_points, write_image

from tfrecords_tools.first_scheme import write_first_scheme
from tfrecords_tools.sources import SOURCES
from wing_tf.landmarks import get_scheme, load_scheme


def test_label_studio_parents_occlusion_and_other_tasks(tmp_path, image, scheme):
    write_image(tmp_path / "b.png", dotted(POINTS))
    hidden = studio_point("nose", OTHERS[2] + HALF, parent="r2", identifier="q")
    choice = hidden | {
        "type": "choices",
        "from_name": "visibility",
        "value": hidden["value"] | {"choices": ["Occluded"]},
    }
    grouped = [
        studio_rectangle("r1", 3.5, 4.5, 50.5, 40.5),
        studio_rectangle("r2", 0, 0, 70, 60),
        *studio_points(POINTS + HALF, parent="r1"),
        hidden,
        choice,
    ]
    tasks = [
        studio_task(1, "/data/upload/83/0a1b2c3d-a.png", grouped),
        studio_task(2, "s3://bucket/b.png", studio_points(POINTS + HALF), []),
        studio_task(3, "b.png"),
    ]
    tasks[1]["annotations"][1]["was_cancelled"] = True
    tasks[1]["annotations"][0]["result"].append({"type": "relation", "from_id": "a", "to_id": "b"})
    tasks[1]["data"] = {"photo": "s3://bucket/b.png", "text": "Which face? The left one."}
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks))
    faces, skipped = read_annotations("labelstudio", path, scheme)
    first, second, third = faces.values()
    assert_dots(first, POINTS)
    np.testing.assert_allclose(first.box_xyxy_px, [3, 4, 50, 40])
    assert second.visibility.tolist() == [0, 0, 1, 0, 0]
    assert_dots(third, POINTS)
    assert skipped == {
        "tasks without annotations": "1 of them",
        "results of the type relation": "1 of them",
    }


def test_ambiguous_label_studio_tasks_are_skipped_and_named(tmp_path, image, scheme):
    points = studio_points(POINTS + HALF)
    turned = studio_points(POINTS + HALF, image_rotation=90)
    two_labels = studio_point("nose", POINTS[0])
    two_labels["value"]["keypointlabels"] = ["nose", "chin"]
    larger = studio_point("nose", POINTS[2] + HALF, size_wh=(160, 120))
    tasks = [
        studio_task(1, "a.png", points, points),
        studio_task(2, "a.png", [*points, points[0]]),
        studio_task(3, "a.png", turned),
        studio_task(4, "a.png", [two_labels]),
        studio_task(5, "a.png", [*points[:2], larger]),
        studio_task(6, "a.png", []),
        studio_task(7, "https://x/?", points),
        studio_task(8, "a.png", points, data={"text": "hello"}),
    ]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks))
    assert skipped_faces("labelstudio", path, scheme) == {
        "task 1": "has 2 annotations: mark one as ground truth",
        "a.png#task 2": "the label 'left_eye' appears twice in one face: faces of one image must "
        "differ in their parent regions",
        "task 3": "the image was rotated in Label Studio",
        "task 4": "a key point must have one label, found ['nose', 'chin']",
        "task 5": "its key points have different image sizes",
        "task 6": "no key points",
        "task 7": "'https://x/?' does not name an image",
        "task 8": "its data must have one image, found text",
    }
    tasks[0]["annotations"][1]["ground_truth"] = True
    path.write_text(json.dumps(tasks[:1]))
    assert len(read_annotations("labelstudio", path, scheme)[0]) == 1
    path.write_text(json.dumps([{"id": 1, "image": "a.png", "label": []}]))
    with pytest.raises(ValueError, match="Export JSON, not JSON-MIN"):
        SOURCES["labelstudio"](path, scheme=scheme).items()


def test_imglab_boxes_parts_and_names_of_files(tmp_path, scheme):
    write_image(tmp_path / "gesicht_ä.png", dotted(POINTS))
    boxes = imglab_box(POINTS, (3, 4, 48, 37))
    boxes += imglab_box(OTHERS[:3], (4, 2, 60, 50), labels=LABELS[:3])
    boxes += imglab_box(POINTS, more=" ignore='1'") + imglab_box([], labels=[])
    boxes += imglab_box([*POINTS, POINTS[0]], labels=[*LABELS, "nose"])
    path = write_imglab(tmp_path / "faces.xml", {"gesicht_ä.png": boxes})
    faces, skipped = read_annotations("imglab", path, scheme)
    first, second = faces.values()
    assert_dots(first, POINTS)
    np.testing.assert_array_equal(first.box_xyxy_px, [3, 4, 50, 40])
    assert second.visibility.tolist() == [2, 2, 2, 0, 0]
    assert skipped == {
        "boxes to ignore": "1 of them",
        "boxes without parts": "1 of them",
        "gesicht_ä.png#box 5": "the label 'nose' appears twice in one face: faces of one image "
        "must differ in their boxes",
    }


def test_imglab_numbers_are_the_indices_of_a_scheme_without_names(tmp_path):
    points = spread_points(68)
    write_image(tmp_path / "a.png", dotted(points))
    labels = [f"{index:02d}" for index in range(68)]  # as in dlib's example
    path = write_imglab(tmp_path / "faces.xml", {"a.png": imglab_box(points, labels=labels)})
    faces, _ = read_annotations("imglab", path, get_scheme("ibug_68"))
    assert_dots(faces["a.png#box 1"], points)
    path = write_imglab(tmp_path / "faces.xml", {"a.png": imglab_box(points[:1], labels=["99"])})
    assert skipped_faces("imglab", path, get_scheme("ibug_68")) == {
        "a.png#box 1": "unknown label '99': labels of ibug_68 are the numbers 0 to 67"
    }


def test_numbers_from_one_are_not_taken_for_indices(tmp_path):
    """A face without its last point would be shifted by one landmark in silence."""
    points = spread_points(68)
    write_image(tmp_path / "a.png", dotted(points))
    labels = [f"{index + 1}" for index in range(68)]
    boxes = imglab_box(points[:67], labels=labels[:67]) + imglab_box(points, labels=labels)
    path = write_imglab(tmp_path / "faces.xml", {"a.png": boxes})
    with pytest.raises(ValueError, match="box 2: the label 68 is not in 0 to 67"):
        SOURCES["imglab"](path, scheme="ibug_68").items()
    report = write_first_scheme(SOURCES["imglab"], path, tmp_path / "from_one.json")
    assert "68 landmarks of 2 face(s)" in report
    faces, _ = read_annotations("imglab", path, load_scheme(tmp_path / "from_one.json"))
    assert_dots(faces["a.png#box 2"], points)


def test_pts_folder_has_any_number_of_points_and_numbered_faces(tmp_path, scheme):
    write_image(tmp_path / "sub/a.JPG", dotted(POINTS))
    write_image(tmp_path / "b.png", dotted(OTHERS))
    for name, points in (("sub/a_1", POINTS), ("sub/a_2", OTHERS), ("b", OTHERS)):
        (tmp_path / f"{name}.pts").write_text(pts_text(points + 1))
    (tmp_path / "c.pts").write_text(pts_text(POINTS).replace("n_points: 5", "n_points: 6"))
    (tmp_path / "d.pts").write_text(pts_text(POINTS[:4]))
    faces, skipped = read_annotations("pts", tmp_path, scheme)
    assert list(faces) == ["b#pts", "sub/a_1#pts", "sub/a_2#pts"]
    assert_dots(faces["sub/a_1#pts"], POINTS)
    np.testing.assert_allclose(faces["sub/a_2#pts"].landmarks_px, OTHERS)
    assert "expected 6 rows of two numbers" in skipped.pop("c.pts")
    assert skipped == {"d#pts": "expected 5 points, found 4"}

    write_image(tmp_path / "b.jpg", dotted(POINTS))
    _, skipped = read_annotations("pts", tmp_path, scheme)
    assert skipped["b#pts"] == "there are several images: b.jpg, b.png"


@pytest.mark.parametrize(("name", "file"), [("labelme", "a.json"), ("pts", "a.pts")])
def test_pipe_among_the_annotations_does_not_block(tmp_path, scheme, name, file):
    os.mkfifo(tmp_path / file)
    assert skipped_faces(name, tmp_path, scheme) == {}
    with pytest.raises(ValueError, match="no face has points"):
        write_first_scheme(SOURCES[name], tmp_path, tmp_path / "scheme.txt")
    with pytest.raises(ValueError, match="annotations at"):
        write_first_scheme(SOURCES[name], tmp_path / file, tmp_path / "scheme.txt")


@pytest.mark.parametrize("name", ["cvat", "imglab"])
def test_damaged_and_dangerous_xml_is_refused_in_one_line(tmp_path, name, scheme):
    path = tmp_path / "file.xml"
    tag = {"cvat": "annotations", "imglab": "dataset"}[name]
    bomb = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
    for text, message in (
        ("", "not a valid XML file: no element found"),
        (f"<{tag}><image", "not a valid XML file: unclosed token: line 1"),
        (f'<?xml version="1.0"?>{bomb}<{tag}>&b;</{tag}>', "it declares entities"),
        (f'<?xml version="1.0" encoding="nothing"?><{tag}/>', "No usable face"),
        ("<svg/>", "its root is <svg>"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message) as error:
            SOURCES[name](path, scheme=scheme).items()
        assert "\n" not in str(error.value)
    path.write_bytes(b'<?xml version="1.0" encoding="utf-9"?><x>\xff</x>')
    with pytest.raises(ValueError, match="not a valid XML file"):
        SOURCES[name](path, scheme=scheme).items()


def test_cvat_box_belongs_to_the_skeleton_of_its_group(tmp_path, image, scheme):
    skeleton = cvat_skeleton(POINTS + HALF).replace("<skeleton ", '<skeleton group_id="1" ', 1)
    assert "group_id" in skeleton
    box = '<box label="b" xtl="3.5" ytl="4.5" xbr="50.5" ybr="40.5" group_id="1"></box>'
    other = box.replace('group_id="1"', 'group_id="7"')
    path = write_cvat(tmp_path / "annotations.xml", {"a.png": box + skeleton + other})
    faces, skipped = read_annotations("cvat", path, scheme)
    np.testing.assert_allclose(faces["a.png#skeleton 1"].box_xyxy_px, [3, 4, 50, 40])
    assert skipped == {"boxes whose group_id no face has": "1 of them"}

    rotated = box.replace("<box", '<box rotation="45.00"')
    path = write_cvat(tmp_path / "annotations.xml", {"a.png": skeleton + rotated})
    assert skipped_faces("cvat", path, scheme) == {"a.png": "a box is rotated: draw it upright"}

    path = write_cvat(tmp_path / "annotations.xml", {"a.png": skeleton + box + box})
    reason = "several boxes have the group_id of this face"
    assert skipped_faces("cvat", path, scheme) == {"a.png#1": reason}


def test_labelme_rectangles_of_no_face_are_counted(tmp_path, image, scheme):
    shapes = labelme_points(POINTS + HALF, group=1)
    shapes += [labelme_shape("b", [[1, 1], [50, 40]], group=2, kind="rectangle")]
    _, skipped = read_annotations("labelme", write_labelme(tmp_path / "a.json", shapes), scheme)
    assert skipped == {"rectangles whose group_id no face has": "1 of them"}


def test_cvat_video_export_names_the_right_one(tmp_path, scheme):
    path = write_cvat(tmp_path / "a.xml", {})
    path.write_text(path.read_text().replace("</annotations>", "<track id='0'/></annotations>"))
    with pytest.raises(ValueError, match='"CVAT for video". Export "CVAT for images 1.1"'):
        SOURCES["cvat"](path, scheme=scheme).items()
