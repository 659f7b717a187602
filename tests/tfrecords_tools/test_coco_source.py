"""COCO JSON files; and the same faces through the .pts, CSV and COCO readers."""

import csv
import json
import pickle

import numpy as np
import pytest
from official_files import assert_dots, dotted, spread_points, write_image

from tfrecords_tools.sources import BadRecordError, CocoSource, CsvSource, Ibug300WSource

POINTS = spread_points(5)


def _keypoints(points, flags=(2, 2, 2, 2, 2)):
    return [float(v) for row in zip(*np.transpose(points), flags, strict=True) for v in row]


def _annotation(identifier, **fields):
    standard = {"image_id": 7, "category_id": 1, "iscrowd": 0, "keypoints": _keypoints(POINTS)}
    return {"id": identifier, **standard, **fields}


def _write(folder, *annotations, images=None, categories=None, name="faces.json"):
    content = {
        "info": {},
        "images": images or [{"id": 7, "file_name": "my images/a.jpg", "width": 80}],
        "annotations": annotations,
        "categories": categories
        or [
            {"id": 1, "name": "face", "keypoints": list("abcde"), "skeleton": []},
            {"id": 2, "name": "car"},
        ],
    }
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def test_coco_points_boxes_splits_and_origin(tmp_path):
    write_image(tmp_path / "my images/a.jpg", dotted(POINTS))
    images = [
        {"id": 7, "file_name": "my images/a.jpg"},
        {"id": 8, "file_name": "./my images/a.jpg", "split": "test"},
        {"id": 9, "file_name": "lost.jpg"},
    ]
    path = _write(
        tmp_path,
        _annotation(11, bbox=[3, 4, 50.5, 40], num_keypoints=5),
        _annotation(
            12,
            image_id=8,
            attributes=["pose", "blur"],
            bbox=[],
            keypoints=_keypoints(POINTS + 1),
        ),
        _annotation(13, image_id=9, attributes={"occluded": False}),
        _annotation(14, keypoints=_keypoints([*POINTS[:3], (0, 0), (1, 2)], (2, 1, 2, 0, 1))),
        images=images,
    )
    source = pickle.loads(pickle.dumps(CocoSource(path, scheme="celeba_5")))
    items = pickle.loads(pickle.dumps(source.items()))
    assert [(i.key, i.source_image, i.split, i.attributes) for i in items] == [
        ("my images/a.jpg#11", "my images/a.jpg", "train", ()),
        ("my images/a.jpg#12", "my images/a.jpg", "test", ("pose", "blur")),
        ("lost.jpg#13", "lost.jpg", "train", ()),
        ("my images/a.jpg#14", "my images/a.jpg", "train", ()),
    ]
    face = source.load(items[0])
    assert_dots(face, POINTS)
    np.testing.assert_array_equal(face.box_xyxy_px, [3, 4, 53.5, 44])
    assert (face.visibility == 2).all()
    assert source.load(items[1]).box_xyxy_px is None
    with pytest.raises(BadRecordError, match=r"Cannot read image .*lost\.jpg"):
        source.load(items[2])
    last = source.load(items[3])
    assert last.visibility.tolist() == [2, 1, 2, 0, 1]
    assert np.isnan(last.landmarks_px[3]).all()
    assert source.skipped == {}
    assert source.count_differences(items) == []

    shifted = CocoSource(path, scheme="celeba_5", origin=0.5, split="test_mine")
    items = shifted.items()
    assert [item.split for item in items] == ["test_mine", "test", "test_mine", "test_mine"]
    np.testing.assert_array_equal(shifted.load(items[0]).landmarks_px, POINTS - 0.5)
    np.testing.assert_array_equal(shifted.load(items[0]).box_xyxy_px, [2.5, 3.5, 53, 43.5])


def test_coco_image_paths_are_relative_to_root(tmp_path):
    write_image(tmp_path / "images/my images/a.jpg", dotted(POINTS))
    path = _write(tmp_path, _annotation(1))
    source = CocoSource(path, scheme="celeba_5", root=tmp_path / "images")
    assert_dots(source.load(source.items()[0]), POINTS)


def test_skipped_coco_annotations_are_counted_or_named(tmp_path):
    path = _write(
        tmp_path,
        _annotation(1),
        _annotation(2, iscrowd=1),
        _annotation(3, num_keypoints=0),
        _annotation(4, keypoints=[]),
        {"id": 5, "image_id": 7, "category_id": 1},
        _annotation(6, category_id=2),
        _annotation(7, keypoints=[1, 2, 2] * 4),
        _annotation(8, image_id=99),
        _annotation(9, keypoints=[1, 2, 3] * 5),
        _annotation(10, keypoints=[1, "x", 2] * 5),
        _annotation(11, keypoints={"counts": 1}),
        _annotation(12, bbox=[1, 2, 3]),
        _annotation(13, attributes=["not-a-name"]),
        _annotation(14, keypoints=[1, float("nan"), 2] * 5),
        _annotation(15, attributes="pose"),
    )
    source = CocoSource(path, scheme="celeba_5")
    assert [item.key for item in source.items()] == ["my images/a.jpg#1"]
    assert source.skipped == {
        "annotation 7": "expected 5 points, found 4",
        "annotation 8": "no image 99 with a file_name",
        "annotation 9": "v must be 0, 1 or 2 for each point",
        "annotation 10": "keypoints are not numbers: could not convert string to float: 'x'",
        "annotation 11": "keypoints must be a list, found {'counts': 1}",
        "annotation 12": "bbox must be a list of 4 numbers, found [1, 2, 3]",
        "annotation 13": "attribute 'not-a-name': letters, digits and _ only",
        "annotation 14": "keypoints hold NaN or infinity",
        "annotation 15": "attributes must be a list of names, found 'pose'",
        "annotations without keypoints": "3 of them",
        "crowds": "1 of them",
        "annotations of other categories": "1 of them",
    }


def test_coco_box_without_area_is_dropped(tmp_path):
    write_image(tmp_path / "my images/a.jpg", dotted(POINTS))
    path = _write(
        tmp_path,
        _annotation(1, bbox=[0, 0, 0, 0]),
        _annotation(2, bbox=[3, 4, 0, 9], keypoints=_keypoints(POINTS + 1)),
    )
    source = CocoSource(path, scheme="celeba_5")
    assert [source.load(item).box_xyxy_px for item in source.items()] == [None, None]
    assert not source.has_boxes
    path = _write(
        tmp_path,
        _annotation(1, bbox=[0, 0, 0, 0]),
        _annotation(2, bbox=[3, 4, 60, 50], keypoints=_keypoints(POINTS + 1)),
    )
    source = CocoSource(path, scheme="celeba_5")
    assert [source.load(item).box_xyxy_px is None for item in source.items()] == [True, False]
    assert source.has_boxes
    path = _write(tmp_path, _annotation(1, bbox=[3, 4, -8, 9]))
    source = CocoSource(path, scheme="celeba_5")
    with pytest.raises(BadRecordError, match="not x0, y0, x1, y1"):
        source.load(source.items()[0])


def test_coco_category_must_be_unique_or_given(tmp_path):
    two = [
        {"id": 1, "name": "face", "keypoints": list("abcde")},
        {"id": 2, "name": "body", "keypoints": list("abc")},
    ]
    path = _write(tmp_path, _annotation(1), _annotation(2, category_id=2), categories=two)
    with pytest.raises(ValueError, match="Found: face, body"):
        CocoSource(path, scheme="celeba_5").items()
    assert len(CocoSource(path, scheme="celeba_5", category="face").items()) == 1
    with pytest.raises(ValueError, match="the category 'body' has 3 points; celeba_5 has 5"):
        CocoSource(path, scheme="celeba_5", category="body").items()
    with pytest.raises(ValueError, match="must be one of the categories .*: face, body"):
        CocoSource(path, scheme="celeba_5", category="faces").items()
    unnamed = [{"id": 1, "name": "face"}, {"id": 2, "name": "car"}]
    path = _write(tmp_path, _annotation(1), _annotation(2), categories=unnamed)
    assert len(CocoSource(path, scheme="celeba_5").items()) == 1  # the second equals the first
    with pytest.raises(ValueError, match="expected 68 points, found 5"):
        CocoSource(path, scheme="ibug_68").items()


def test_malformed_coco_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="No COCO file"):
        CocoSource(tmp_path / "absent.json", scheme="celeba_5")
    path = tmp_path / "faces.json"
    for text, message in (
        ("{", "is not valid JSON"),
        ("[]", "is not a COCO file: .* Missing: images"),
        ('{"images": []}', "is not a COCO file: .* Missing: annotations"),
        ('{"images": [{}], "annotations": [], "categories": []}', "one of images has no id"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            CocoSource(path, scheme="celeba_5").items()
    _write(tmp_path, _annotation(1, iscrowd=1))
    with pytest.raises(ValueError, match="No usable face in .*: crowds: 1 of them"):
        CocoSource(path, scheme="celeba_5").items()


def test_pts_csv_and_coco_readers_agree_on_real_faces(real_faces, tmp_path):
    """Faces of 300-W, written as CSV and as COCO JSON, are read as the same faces."""
    official = Ibug300WSource(real_faces)
    items = official.items()
    items = items[:: len(items) // 40]
    faces = [official.load(item) for item in items]
    assert len({item.split for item in items}) >= 2

    header = ["path", *(f"{a}{i}" for i in range(68) for a in "xy")]
    header += [*(f"v{i}" for i in range(68)), "split"]
    images, annotations, rows = [], [], []
    for number, (item, face) in enumerate(zip(items, faces, strict=True)):
        path = item.source_data[0].relative_to(real_faces).as_posix()
        points, flags = face.landmarks_px, face.visibility
        rows.append([path, *map(repr, points.ravel().tolist()), *flags.tolist(), item.split])
        images.append({"id": number, "file_name": path, "split": item.split})
        keypoints = _keypoints(points + 0.5, flags)  # as a tool with a continuous frame does
        annotations.append(
            {"id": number, "image_id": number, "category_id": 1, "keypoints": keypoints}
        )
    with (tmp_path / "faces.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    path = _write(tmp_path, *annotations, images=images, categories=[{"id": 1, "name": "face"}])

    for source in (
        CsvSource(tmp_path / "faces.csv", scheme="ibug_68", root=real_faces),
        CocoSource(path, scheme="ibug_68", root=real_faces, origin=0.5),
    ):
        read = source.items()
        assert [item.split for item in read] == [item.split for item in items]
        for item, face in zip(read, faces, strict=True):
            other = source.load(item)
            np.testing.assert_allclose(other.landmarks_px, face.landmarks_px, atol=1e-9)
            np.testing.assert_array_equal(other.visibility, face.visibility)
            np.testing.assert_array_equal(other.image, face.image)
            assert other.box_xyxy_px is None
