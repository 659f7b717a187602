"""Readers of the files of labelme, CVAT, Label Studio, imglab, and of .pts folders."""

import json
import os
import pickle

import numpy as np
import pytest
from annotation_files import (
    LABELS,
    SCHEME,
    cvat_points,
    cvat_skeleton,
    imglab_box,
    labelme_points,
    labelme_shape,
    pts_text,
    studio_point,
    studio_points,
    studio_rectangle,
    studio_task,
    write_cvat,
    write_imglab,
    write_labelme,
)
from fuzzed import fuzzed_text
from official_files import assert_dots, dotted, spread_points, write_image

from tfrecords_tools.first_scheme import write_first_scheme
from tfrecords_tools.sources import SOURCES, BadRecordError
from wing_tf.landmarks import get_scheme, load_scheme, register_scheme
from wing_tf.landmarks.scheme_file import scheme_from_dict

POINTS = spread_points(5)
OTHERS = spread_points(5, seed=1)
HALF = 0.5  # these tools draw on a plane in which the first pixel's center is at .5


@pytest.fixture
def scheme():
    return register_scheme(scheme_from_dict(SCHEME))


def _read(name, path, scheme, **options):
    """The faces by key, through pickles as in the writer's processes, and the skipped ones."""
    source = pickle.loads(pickle.dumps(SOURCES[name](path, scheme=scheme, **options)))
    items = pickle.loads(pickle.dumps(source.items()))
    return {item.key: source.load(item) for item in items}, source.skipped


def _reasons(name, path, scheme):
    """The skipped faces of annotations that hold no usable face."""
    source = SOURCES[name](path, scheme=scheme)
    with pytest.raises(ValueError, match="No usable face"):
        source.items()
    return source.skipped


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, dotted(POINTS))
    return path


def _one_face_files(folder, points):
    """The same face as each tool writes it, by source."""
    shifted = points + HALF
    (folder / "labelme").mkdir()
    (folder / "pts").mkdir()
    write_labelme(folder / "labelme/a.json", labelme_points(shifted), image="../a.png")
    (folder / "pts/a.pts").write_text(pts_text(points + 1))
    (folder / "studio.json").write_text(
        json.dumps([studio_task(1, "/data/local-files/?d=photos/a.png", studio_points(shifted))])
    )
    return {
        "labelme": folder / "labelme",
        "cvat": write_cvat(folder / "cvat.xml", {"a.png": cvat_skeleton(shifted)}),
        "labelstudio": folder / "studio.json",
        "imglab": write_imglab(folder / "imglab.xml", {"a.png": imglab_box(points)}),
        "pts": folder / "pts",
    }


def test_each_tool_puts_the_points_on_the_same_pixels(tmp_path, image, scheme):
    for name, path in _one_face_files(tmp_path, POINTS).items():
        faces, skipped = _read(name, path, scheme, root=tmp_path if name != "labelme" else None)
        (face,) = faces.values()
        assert_dots(face, POINTS)
        assert (face.visibility == 2).all(), name
        assert skipped == {}, name


def test_images_are_found_in_the_folder_that_root_names(tmp_path, image, scheme):
    files = _one_face_files(tmp_path, POINTS)
    write_image(tmp_path / "elsewhere/a.png", dotted(POINTS))
    image.unlink()
    for name, path in files.items():
        faces, _ = _read(name, path, scheme, root=tmp_path / "elsewhere")
        assert_dots(next(iter(faces.values())), POINTS)
        assert "no image" in next(iter(_reasons(name, path, scheme).values())), name


def test_labelme_groups_boxes_flags_and_other_shapes(tmp_path, image, scheme):
    shapes = [
        *labelme_points(POINTS + HALF, 1),
        *labelme_points(OTHERS[:2] + HALF, 2, LABELS[:2]),
        labelme_shape("nose", OTHERS[2:3] + HALF, 2, flags={"occluded": True}),
        labelme_shape("face", [[50.5, 40.5], [3.5, 4.5]], 1, "rectangle"),
        labelme_shape("hair", [[1, 2], [3, 4], [5, 6]], 1, "polygon"),
    ]
    write_labelme(tmp_path / "a.json", shapes)
    write_labelme(tmp_path / "nobody.json", [])
    faces, skipped = _read("labelme", tmp_path, scheme)
    first, second = faces.values()
    assert list(faces) == ["a.json#group 1", "a.json#group 2"]
    assert_dots(first, POINTS)
    np.testing.assert_array_equal(first.box_xyxy_px, [3, 4, 50, 40])
    assert second.box_xyxy_px is None
    assert second.visibility.tolist() == [2, 2, 1, 0, 0]
    np.testing.assert_array_equal(second.landmarks_px[:3], OTHERS[:3])
    assert np.isnan(second.landmarks_px[3:]).all()
    assert skipped == {"nobody.json": "no points", "shapes of the type polygon": "1 of them"}


def test_labelme_paths_of_windows_and_of_subfolders(tmp_path, scheme):
    write_image(tmp_path / "images/b/a.png", dotted(POINTS))
    write_labelme(
        tmp_path / "json/b/a.json", labelme_points(POINTS + HALF), r"..\..\images\b\a.png"
    )
    faces, _ = _read("labelme", tmp_path / "json", scheme)
    assert_dots(faces["b/a.json#0"], POINTS)


def test_ambiguous_labelme_files_are_skipped_and_named(tmp_path, image, scheme):
    points = labelme_points(POINTS + HALF)
    write_labelme(tmp_path / "twice.json", [*points, points[2]])
    write_labelme(tmp_path / "unknown.json", [*points[:4], labelme_shape("mouth_R", [[1, 2]])])
    write_labelme(tmp_path / "mixed.json", [*points[:2], *labelme_points(OTHERS, 7)])
    write_labelme(tmp_path / "nan.json", [labelme_shape("nose", [[float("nan"), 2]])])
    write_labelme(tmp_path / "two.json", [labelme_shape("nose", [[1, 2], [3, 4]])])
    (tmp_path / "other.json").write_text('{"image": "a.png"}')
    (tmp_path / "broken.json").write_text('{"shapes": [')
    (tmp_path / "group.json").write_text(
        json.dumps({"imagePath": "a.png", "shapes": [labelme_shape("nose", [[1, 2]], [1])]})
    )
    faces, skipped = _read("labelme", tmp_path, scheme)
    assert list(faces) == ["mixed.json#group 7"]
    assert "is not valid JSON" in skipped.pop("broken.json")
    assert skipped == {
        "twice.json#0": "the label 'nose' appears twice in one face: faces of one image must "
        "differ in group_id",
        "unknown.json#0": "unknown label 'mouth_R': labels of face_tools_5 are the names of its "
        "points Did you mean 'mouth_r'?",
        "mixed.json#without group_id": "2 point(s) have no group_id, other points of this image "
        "have one",
        "nan.json": "x of 'nose' must be a number, found 'nan'",
        "two.json": "the shape 'nose' must have one point",
        "other.json": "not a labelme file: it must have shapes and imagePath",
        "group.json": "group_id must be a number, found [1]",
    }


def test_several_annotations_of_one_image_file_are_skipped(tmp_path, image, scheme):
    for name in ("a", "b"):
        write_labelme(tmp_path / f"{name}.json", labelme_points(POINTS + HALF))
    reasons = _reasons("labelme", tmp_path, scheme)
    text = "annotations of several images (a.json, b.json) lead to the one file a.png"
    assert reasons == {"a.json#0": text, "b.json#0": text}


def test_cvat_skeletons_groups_and_ordered_points(tmp_path, image, scheme):
    for name in ("b", "c", "d"):
        write_image(tmp_path / f"images/{name}.png", dotted(POINTS))
    shifted = POINTS + HALF
    grouped = "".join(
        cvat_points(n, [p], f'occluded="0" z_order="0" group_id="{g}"')
        for g, points in ((1, shifted), (2, OTHERS + HALF))
        for n, p in zip(LABELS, points, strict=True)
    )
    box = (
        '<box label="b" occluded="0" xtl="3.5" ytl="4.5" xbr="50.5" ybr="40.5" group_id="2"></box>'
    )
    skeletons = cvat_skeleton(shifted, outside=["nose"], occluded=["mouth_l"])
    skeletons += cvat_skeleton(OTHERS + HALF)
    path = write_cvat(tmp_path / "annotations.xml", {"a.png": skeletons, "d.png": ""})
    faces, skipped = _read("cvat", path, scheme)
    assert list(faces) == ["a.png#skeleton 1", "a.png#skeleton 2"]
    first = faces["a.png#skeleton 1"]
    assert first.visibility.tolist() == [2, 2, 0, 1, 2]
    np.testing.assert_allclose(np.delete(first.landmarks_px, 2, 0), np.delete(POINTS, 2, 0))
    assert skipped == {"d.png": "no points"}

    path = write_cvat(tmp_path / "annotations.xml", {"b.png": grouped + box})
    faces, _ = _read("cvat", path, scheme)
    assert list(faces) == ["b.png#group 1", "b.png#group 2"]
    assert_dots(faces["b.png#group 1"], POINTS)
    np.testing.assert_allclose(faces["b.png#group 2"].box_xyxy_px, [3, 4, 50, 40])

    shapes = cvat_points("face", shifted) + cvat_points("face", OTHERS[:4])
    shapes += '<polygon label="hair" points="1,2;3,4;5,6"></polygon>'
    path = write_cvat(tmp_path / "annotations.xml", {"c.png": shapes})
    faces, skipped = _read("cvat", path, scheme)
    assert_dots(faces["c.png#points 1"], POINTS)
    assert skipped == {
        "c.png#points 2": "expected 5 points, found 4",
        "shapes of the type polygon": "1 of them",
    }


def test_cvat_kind_of_skeleton_must_be_unique_or_given(tmp_path, image, scheme):
    shapes = cvat_skeleton(POINTS + HALF) + cvat_skeleton(OTHERS + HALF, label="doll")
    path = write_cvat(tmp_path / "annotations.xml", {"a.png": shapes})
    with pytest.raises(ValueError, match="several kinds of objects: doll, face"):
        SOURCES["cvat"](path, scheme=scheme).items()
    with pytest.raises(ValueError, match="must be one of doll, face"):
        SOURCES["cvat"](path, scheme=scheme, category="hand").items()
    faces, skipped = _read("cvat", path, scheme, category="face")
    assert_dots(faces["a.png#skeleton 1"], POINTS)
    assert skipped == {"a.png#skeleton 2": "is a doll, not a face"}


def test_face_that_is_annotated_twice_is_read_once(tmp_path, image, scheme):
    skeleton = cvat_skeleton(POINTS + HALF)
    path = write_cvat(tmp_path / "annotations.xml", {"a.png": skeleton + skeleton})
    faces, skipped = _read("cvat", path, scheme)
    assert list(faces) == ["a.png#skeleton 1"]
    assert skipped == {"a.png#skeleton 2": "equals a.png#skeleton 1"}


def test_faces_of_one_name_are_numbered(tmp_path, image, scheme):
    """Files that were joined list an image twice; a group may be a number and a text."""
    shapes = labelme_points(POINTS + HALF, 1) + labelme_points(OTHERS + HALF, "1")
    faces, skipped = _read("labelme", write_labelme(tmp_path / "a.json", shapes), scheme)
    assert_dots(faces["a.json#group 1"], POINTS)
    assert list(faces) == ["a.json#group 1", "a.json#group 1, occurrence 2"]
    assert skipped == {}
    path = write_cvat(tmp_path / "a.xml", {n: cvat_skeleton(POINTS + HALF) for n in ("a.png", "b")})
    path.write_text(path.read_text().replace('"b"', '"a.png"'))
    faces, skipped = _read("cvat", path, scheme)
    assert list(faces) == ["a.png#skeleton 1"]
    assert skipped == {"a.png#skeleton 1, occurrence 2": "equals a.png#skeleton 1"}


@pytest.mark.parametrize("name", ["labelme", "pts"])
def test_case_of_suffixes_does_not_matter(tmp_path, image, scheme, name):
    if name == "pts":
        (tmp_path / "a.PTS").write_text(pts_text(POINTS + 1))
    else:
        write_labelme(tmp_path / "a.JSON", labelme_points(POINTS + HALF))
    faces, skipped = _read(name, tmp_path, scheme)
    (face,) = faces.values()
    assert_dots(face, POINTS)
    assert skipped == {}


def test_size_that_differs_from_the_image_is_refused(tmp_path, image, scheme):
    """Percentages of another size would be wrong pixels."""
    studio = tmp_path / "studio.json"
    larger = studio_points(2 * POINTS + HALF, size_wh=(160, 120))
    studio.write_text(json.dumps([studio_task(1, "a.png", larger)]))
    labelme = write_labelme(
        tmp_path / "json/a.json", labelme_points(POINTS + HALF), "../a.png", (60, 80)
    )
    cvat = write_cvat(tmp_path / "a.xml", {"a.png": cvat_skeleton(POINTS + HALF)}, (160, 120))
    for name, path in (("labelstudio", studio), ("labelme", labelme), ("cvat", cvat)):
        source = SOURCES[name](path, scheme=scheme)
        (item,) = source.items()
        with pytest.raises(BadRecordError, match="80 x 60"):
            source.load(item)


def test_cvat_subsets_are_splits(tmp_path, image, scheme):
    path = write_cvat(tmp_path / "annotations.xml", {"a.png": cvat_skeleton(POINTS + HALF)})
    path.write_text(path.read_text().replace('name="a.png"', 'name="a.png" subset="Validation"'))
    (item,) = SOURCES["cvat"](path, scheme=scheme).items()
    assert item.split == "validation"


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
    faces, skipped = _read("labelstudio", path, scheme)
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
    assert _reasons("labelstudio", path, scheme) == {
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
    assert len(_read("labelstudio", path, scheme)[0]) == 1
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
    faces, skipped = _read("imglab", path, scheme)
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
    faces, _ = _read("imglab", path, get_scheme("ibug_68"))
    assert_dots(faces["a.png#box 1"], points)
    path = write_imglab(tmp_path / "faces.xml", {"a.png": imglab_box(points[:1], labels=["99"])})
    assert _reasons("imglab", path, get_scheme("ibug_68")) == {
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
    faces, _ = _read("imglab", path, load_scheme(tmp_path / "from_one.json"))
    assert_dots(faces["a.png#box 2"], points)


def test_pts_folder_has_any_number_of_points_and_numbered_faces(tmp_path, scheme):
    write_image(tmp_path / "sub/a.JPG", dotted(POINTS))
    write_image(tmp_path / "b.png", dotted(OTHERS))
    for name, points in (("sub/a_1", POINTS), ("sub/a_2", OTHERS), ("b", OTHERS)):
        (tmp_path / f"{name}.pts").write_text(pts_text(points + 1))
    (tmp_path / "c.pts").write_text(pts_text(POINTS).replace("n_points: 5", "n_points: 6"))
    (tmp_path / "d.pts").write_text(pts_text(POINTS[:4]))
    faces, skipped = _read("pts", tmp_path, scheme)
    assert list(faces) == ["b#pts", "sub/a_1#pts", "sub/a_2#pts"]
    assert_dots(faces["sub/a_1#pts"], POINTS)
    np.testing.assert_allclose(faces["sub/a_2#pts"].landmarks_px, OTHERS)
    assert "expected 6 rows of two numbers" in skipped.pop("c.pts")
    assert skipped == {"d#pts": "expected 5 points, found 4"}

    write_image(tmp_path / "b.jpg", dotted(POINTS))
    _, skipped = _read("pts", tmp_path, scheme)
    assert skipped["b#pts"] == "there are several images: b.jpg, b.png"


@pytest.mark.parametrize(("name", "file"), [("labelme", "a.json"), ("pts", "a.pts")])
def test_pipe_among_the_annotations_does_not_block(tmp_path, scheme, name, file):
    os.mkfifo(tmp_path / file)
    assert _reasons(name, tmp_path, scheme) == {}
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


def test_cvat_video_export_names_the_right_one(tmp_path, scheme):
    path = write_cvat(tmp_path / "a.xml", {})
    path.write_text(path.read_text().replace("</annotations>", "<track id='0'/></annotations>"))
    with pytest.raises(ValueError, match='"CVAT for video". Export "CVAT for images 1.1"'):
        SOURCES["cvat"](path, scheme=scheme).items()


@pytest.mark.parametrize("name", ["labelme", "cvat", "labelstudio", "imglab", "pts"])
def test_fuzzed_files_give_faces_or_a_reason(tmp_path, image, scheme, name):
    """300 damaged files of each tool: no other error, and no coordinate that is not a number."""
    path = _one_face_files(tmp_path, POINTS)[name]
    file = next(path.iterdir()) if path.is_dir() else path
    data = file.read_bytes()
    generator = np.random.default_rng(0)
    read = 0
    for _ in range(300):
        file.write_bytes(fuzzed_text(data, generator))
        source = SOURCES[name](path, scheme=scheme, root=tmp_path)
        try:
            items = source.items()
        except ValueError:
            continue
        for item in items:
            points = item.source_data[1]
            assert points.shape == (5, 2)
            assert not np.isinf(points).any()
            assert np.isfinite(points).any()
            read += 1
    assert read > 10
