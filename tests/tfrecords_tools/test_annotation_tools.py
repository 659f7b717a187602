"""Readers of the files of annotation tools: labelme, CVAT, and what all tools share."""

import json

import numpy as np
import pytest
from annotation_files import (
    HALF,
    LABELS,
    OTHERS,
    POINTS,
    cvat_points,
    cvat_skeleton,
    labelme_points,
    labelme_shape,
    one_face_files,
    pts_text,
    read_annotations,
    skipped_faces,
    studio_points,
    studio_task,
    write_cvat,
    write_labelme,
)
from official_files import assert_dots, dotted, write_image

from tfrecords_tools.sources import SOURCES, BadRecordError


def test_each_tool_puts_the_points_on_the_same_pixels(tmp_path, image, scheme):
    for name, path in one_face_files(tmp_path, POINTS).items():
        faces, skipped = read_annotations(
            name, path, scheme, root=tmp_path if name != "labelme" else None
        )
        (face,) = faces.values()
        assert_dots(face, POINTS)
        assert (face.visibility == 2).all(), name
        assert skipped == {}, name


def test_images_are_found_in_the_folder_that_root_names(tmp_path, image, scheme):
    files = one_face_files(tmp_path, POINTS)
    write_image(tmp_path / "elsewhere/a.png", dotted(POINTS))
    image.unlink()
    for name, path in files.items():
        faces, _ = read_annotations(name, path, scheme, root=tmp_path / "elsewhere")
        assert_dots(next(iter(faces.values())), POINTS)
        assert "no image" in next(iter(skipped_faces(name, path, scheme).values())), name


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
    faces, skipped = read_annotations("labelme", tmp_path, scheme)
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
    faces, _ = read_annotations("labelme", tmp_path / "json", scheme)
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
    faces, skipped = read_annotations("labelme", tmp_path, scheme)
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
    reasons = skipped_faces("labelme", tmp_path, scheme)
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
    faces, skipped = read_annotations("cvat", path, scheme)
    assert list(faces) == ["a.png#skeleton 1", "a.png#skeleton 2"]
    first = faces["a.png#skeleton 1"]
    assert first.visibility.tolist() == [2, 2, 0, 1, 2]
    np.testing.assert_allclose(np.delete(first.landmarks_px, 2, 0), np.delete(POINTS, 2, 0))
    assert skipped == {"d.png": "no points"}

    path = write_cvat(tmp_path / "annotations.xml", {"b.png": grouped + box})
    faces, _ = read_annotations("cvat", path, scheme)
    assert list(faces) == ["b.png#group 1", "b.png#group 2"]
    assert_dots(faces["b.png#group 1"], POINTS)
    np.testing.assert_allclose(faces["b.png#group 2"].box_xyxy_px, [3, 4, 50, 40])

    shapes = cvat_points("face", shifted) + cvat_points("face", OTHERS[:4])
    shapes += '<polygon label="hair" points="1,2;3,4;5,6"></polygon>'
    path = write_cvat(tmp_path / "annotations.xml", {"c.png": shapes})
    faces, skipped = read_annotations("cvat", path, scheme)
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
    faces, skipped = read_annotations("cvat", path, scheme, category="face")
    assert_dots(faces["a.png#skeleton 1"], POINTS)
    assert skipped == {"a.png#skeleton 2": "is a doll, not a face"}


def test_face_that_is_annotated_twice_is_read_once(tmp_path, image, scheme):
    skeleton = cvat_skeleton(POINTS + HALF)
    path = write_cvat(tmp_path / "annotations.xml", {"a.png": skeleton + skeleton})
    faces, skipped = read_annotations("cvat", path, scheme)
    assert list(faces) == ["a.png#skeleton 1"]
    assert skipped == {"a.png#skeleton 2": "equals a.png#skeleton 1"}


def test_faces_of_one_name_are_numbered(tmp_path, image, scheme):
    """Files that were joined list an image twice; a group may be a number and a text."""
    shapes = labelme_points(POINTS + HALF, 1) + labelme_points(OTHERS + HALF, "1")
    faces, skipped = read_annotations("labelme", write_labelme(tmp_path / "a.json", shapes), scheme)
    assert_dots(faces["a.json#group 1"], POINTS)
    assert list(faces) == ["a.json#group 1", "a.json#group 1, occurrence 2"]
    assert skipped == {}
    path = write_cvat(tmp_path / "a.xml", {n: cvat_skeleton(POINTS + HALF) for n in ("a.png", "b")})
    path.write_text(path.read_text().replace('"b"', '"a.png"'))
    faces, skipped = read_annotations("cvat", path, scheme)
    assert list(faces) == ["a.png#skeleton 1"]
    assert skipped == {"a.png#skeleton 1, occurrence 2": "equals a.png#skeleton 1"}


@pytest.mark.parametrize("name", ["labelme", "pts"])
def test_case_of_suffixes_does_not_matter(tmp_path, image, scheme, name):
    if name == "pts":
        (tmp_path / "a.PTS").write_text(pts_text(POINTS + 1))
    else:
        write_labelme(tmp_path / "a.JSON", labelme_points(POINTS + HALF))
    faces, skipped = read_annotations(name, tmp_path, scheme)
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
