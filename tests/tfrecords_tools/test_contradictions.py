"""Annotations that contradict themselves or their images."""

import cv2
import numpy as np
import pytest
from annotation_files import LABELS, SCHEME
from official_files import spread_points

from tfrecords_tools.sources import BadRecordError, CocoSource, CsvSource, Ibug300WSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.landmarks.scheme_file import scheme_from_dict
from wing_tf.utils.atomic import write_json
from wing_tf.utils.text_files import read_json

WIDTH, HEIGHT = 120, 90
POINTS = [[30.0, 20.0], [60, 22], [45, 40], [33, 55], [58, 56]]
FIVE = "path," + ",".join(f"{a}{i}" for i in range(5) for a in "xy")


def _image(folder, name="a.png", size=(WIDTH, HEIGHT)):
    assert cv2.imwrite(str(folder / name), np.full((size[1], size[0], 3), 90, np.uint8))


def _csv(folder, *faces, header=FIVE, name="a.png", **options):
    """Returns a CSV source with a row for each face of points, and further fields."""
    rows = [",".join([name, *(f"{v:g}" for v in np.ravel(p)), *more]) for p, *more in faces]
    (folder / "faces.csv").write_text("\n".join([header, *rows]) + "\n")
    return CsvSource(folder / "faces.csv", scheme="celeba_5", **options)


def _coco(folder, *faces, images=None, name="a.png", **options):
    """Returns a COCO source with an annotation for each face: changed fields of a good one."""
    good = {
        "image_id": 1,
        "category_id": 1,
        "keypoints": np.insert(np.array(POINTS), 2, 2, axis=1).ravel().tolist(),
    }
    annotations = [{"id": number, **good, **changed} for number, changed in enumerate(faces, 1)]
    content = {
        "images": images or [{"id": 1, "file_name": name}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "face"}],
    }
    write_json(folder / "faces.json", content)
    return CocoSource(folder / "faces.json", scheme="celeba_5", **options)


def _load(source):
    return source.load(source.items()[0])


def _write(source, output, validation_fraction=0.0):
    options = {"square_format": SquareFormat(side=32), "num_processes": 0, "progress": False}
    return write_records(source, output, validation_fraction=validation_fraction, **options)


def test_two_coco_images_of_one_id_are_refused_by_name(tmp_path):
    images = [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}]
    with pytest.raises(
        ValueError, match=r"images 'a\.png' and 'b\.png' have the same id 1,.*Renum"
    ):
        _coco(tmp_path, {}, images=images).items()
    # The same entry twice is no contradiction.
    assert len(_coco(tmp_path, {}, images=[images[0], dict(images[0])]).items()) == 1


def test_coco_annotations_of_one_id_are_numbered_and_copies_are_skipped(tmp_path):
    _image(tmp_path)
    other = np.insert(np.array(POINTS) + 3, 2, 2, axis=1).ravel().tolist()
    source = _coco(tmp_path, {"id": 7}, {"id": 7, "keypoints": other}, {"id": 7}, {"id": 8})
    manifest = _write(source, tmp_path / "records")
    assert [item.key for item in source.items()] == ["a.png#7", "a.png#7, occurrence 2"]
    assert manifest["counts"] == {"train": 2}
    assert manifest["skipped"] == {
        "a.png#7, occurrence 3": "equals a.png#7",
        "a.png#8": "equals a.png#7",
    }


def test_coco_points_in_another_order_than_the_scheme_are_refused(tmp_path):
    path = _coco(tmp_path, {}).path
    content = read_json(path)
    for names in (LABELS, ["1", "2", "3", "4", "5"], [*LABELS[1::-1], *LABELS[2:]]):
        content["categories"][0]["keypoints"] = names
        write_json(path, content)
        source = CocoSource(path, scheme=scheme_from_dict(SCHEME))
        if names[0] == LABELS[1]:
            with pytest.raises(ValueError, match="has the point 'right_eye' where face_tools_5 ha"):
                source.items()
        else:
            assert len(source.items()) == 1


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ((HEIGHT, WIDTH), "90 x 120 pixels, the file has 120 x 90. Width and height are exchanged"),
        ((2 * WIDTH, 2 * HEIGHT), "annotated at 2 times this size: .* divide all coordinates by 2"),
        ((41, 30), "annotated at 0.33. times this size"),  # rounded to whole pixels
        ((121, 130), "the image has 121 x 130 pixels, the file has 120 x 90$"),
        ((0, 0), "the image has 0 x 0 pixels, the file has 120 x 90$"),
        ((-120, 1e300), "the image has -120 x 1e.300 pixels"),
    ],
)
def test_sizes_that_differ_from_the_image_are_refused(tmp_path, said, message):
    _image(tmp_path)
    image = {"id": 1, "file_name": "a.png", "width": said[0], "height": said[1]}
    with pytest.raises(BadRecordError, match=message):
        _load(_coco(tmp_path, {}, images=[image]))
    face = (POINTS, f"{said[0]}", f"{said[1]}")
    with pytest.raises(BadRecordError, match=message):
        _load(_csv(tmp_path, face, header=FIVE + ",width,height"))


def test_right_and_absent_sizes_are_accepted(tmp_path):
    _image(tmp_path)
    header = FIVE + ",width,height"
    for face in ((POINTS, "120", "90"), (POINTS, "", "")):
        assert _load(_csv(tmp_path, face, header=header)).image.shape == (HEIGHT, WIDTH, 3)
    image = {"id": 1, "file_name": "a.png", "width": WIDTH}
    assert _load(_coco(tmp_path, {}, images=[image])).image.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("mark", [(-1, -1), (0, 0)])
@pytest.mark.parametrize("num_missing", [1, 3])
def test_marks_of_missing_points_are_no_landmarks(tmp_path, mark, num_missing):
    _image(tmp_path)
    points = [mark] * num_missing + POINTS[num_missing:]
    keypoints = np.insert(np.array(points, float), 2, 1, axis=1).ravel().tolist()
    text = f"{mark[0]},{mark[1]}"
    for missing in (None, text):
        for source in (
            _csv(tmp_path, (points,), missing=missing),
            _coco(tmp_path, {"keypoints": keypoints}, missing=missing),
        ):
            face = _load(source)
            assert face.visibility[:num_missing].tolist() == [0] * num_missing
            assert np.isnan(face.landmarks_px[:num_missing]).all()
            np.testing.assert_array_equal(face.landmarks_px[num_missing:], points[num_missing:])
            assert len(face.warnings) == (missing is None)
    assert face.warnings == ()
    kept = _load(_csv(tmp_path, (points,), missing="none"))
    np.testing.assert_array_equal(kept.landmarks_px, points)
    assert kept.visibility[0] == (1 if mark[0] < 0 else 2)
    assert kept.warnings == ()


def test_marks_of_missing_points_in_pts_files_are_in_the_files_own_frame(tmp_path):
    (tmp_path / "afw").mkdir()
    _image(tmp_path / "afw")
    points = spread_points(68, size_hw=(HEIGHT, WIDTH)) + 2
    points[:8] = -1
    rows = "".join(f"{x:.3f} {y:.3f}\n" for x, y in points)
    (tmp_path / "afw/a.pts").write_text(f"version: 1\nn_points: 68\n{{\n{rows}}}\n")
    for missing in (None, "-1,-1"):
        face = _load(Ibug300WSource(tmp_path, missing=missing))
        assert (face.visibility == 0).tolist() == [True] * 8 + [False] * 60
    np.testing.assert_allclose(face.landmarks_px[8:], points[8:] - 1)


def test_many_points_at_one_other_place_are_refused_until_they_are_explained(tmp_path):
    _image(tmp_path)
    points = [[7, 9]] * 3 + POINTS[3:]
    with pytest.raises(BadRecordError, match="3 points are at exactly 7,9.*missing=7,9;.*=none"):
        _load(_csv(tmp_path, (points,)))
    assert _load(_csv(tmp_path, (points,), missing="7,9")).visibility.tolist() == [0, 0, 0, 2, 2]
    assert _load(_csv(tmp_path, (points,), missing="none")).visibility.tolist() == [2] * 5
    # Closed lips: two landmarks at one place are right.
    assert _load(_csv(tmp_path, ([POINTS[0], *POINTS[:4]],))).visibility.tolist() == [2] * 5
    for text in ("1", "1,2,3", "a,b", ""):
        with pytest.raises(ValueError, match="`missing` must be two numbers such as -1,-1, or non"):
            _csv(tmp_path, (points,), missing=text)


BAD_POINTS = {
    "huge": ([*POINTS[:4], [1e308, 50]], r"landmark 4 is at 1e\+308,50, far outside of the image"),
    "large": ([[30, -1e18], *POINTS[1:]], r"landmark 0 is at 30,-1e\+18, far outside of the image"),
    "mark": ([*POINTS[:4], [-999, -999]], "landmark 4 is at -999,-999, far outside of the image"),
    "shifted": (
        np.add(POINTS, [200, 0]),
        "no landmark is in the image of 120 x 90 pixels: x is 23",
    ),
    "half": ([*POINTS[:4], [58, np.nan]], "landmark 4 has only one coordinate"),
}


@pytest.mark.parametrize("name", BAD_POINTS)
def test_impossible_points_skip_their_face_and_no_other(tmp_path, name):
    _image(tmp_path)
    points, message = BAD_POINTS[name]
    source = _csv(tmp_path, (POINTS,), (points,))
    with pytest.raises(BadRecordError, match=message):
        source.load(source.items()[1])
    manifest = _write(source, tmp_path / "records")
    assert manifest["counts"] == {"train": 1}
    assert list(manifest["skipped"]) == ["a.png#3"]


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("70,60,110,85", "no landmark is in the face box 70, 60, 110, 85"),
        ("10,10,1e9,80", r"the face box 10, 10, 1e\+09, 80 is far outside of the image"),
    ],
)
def test_boxes_that_contradict_the_landmarks_are_refused(tmp_path, box, message):
    _image(tmp_path)
    header = FIVE + ",box_x0,box_y0,box_x1,box_y1"
    with pytest.raises(BadRecordError, match=message):
        _load(_csv(tmp_path, (POINTS, *box.split(",")), header=header))
    assert (
        _load(_csv(tmp_path, (POINTS, "50", "50", "70", "70"), header=header)).box_xyxy_px[0] == 50
    )


def test_separators_of_windows_in_image_paths(tmp_path):
    (tmp_path / "my images").mkdir()
    _image(tmp_path / "my images")
    name = "my images\\a.png"
    for source in (_csv(tmp_path, (POINTS,), name=name), _coco(tmp_path, {}, name=name)):
        assert _load(source).image.shape == (HEIGHT, WIDTH, 3)


def test_manifest_counts_warnings_and_names_the_first_faces(tmp_path):
    _image(tmp_path)
    marked = [[-1, -1], *POINTS[1:]]
    rows = [(np.add(marked, [[0, 0]] + [[i, 0]] * 4),) for i in range(5)]
    manifest = _write(_csv(tmp_path, (POINTS,), *rows), tmp_path / "records")
    (line,) = manifest["warnings"]
    assert line.startswith("5 faces: points at exactly -1,-1 count as not annotated")
    assert line.endswith("First: a.png#3, a.png#4, a.png#5")


def test_empty_validation_split_is_a_warning(tmp_path):
    _image(tmp_path)
    source = _csv(tmp_path, (POINTS,))
    manifest = _write(source, tmp_path / "r", 0.01)
    assert manifest["counts"] == {"train": 1}
    assert "the split validation is empty" in manifest["warnings"][0]
    assert "Set another validation_fraction" in manifest["warnings"][0]
    # Held out by choice, or named by the file: no warning.
    assert not _write(source, tmp_path / "none")["warnings"]
    _image(tmp_path, "b.png")
    rows = (f"{name},{','.join(map(str, np.ravel(POINTS)))},{split}"
            for name, split in (("a.png", "train"), ("b.png", "validation")))  # fmt: skip
    (tmp_path / "faces.csv").write_text("\n".join([FIVE + ",split", *rows]))
    named = CsvSource(tmp_path / "faces.csv", scheme="celeba_5")
    assert not _write(named, tmp_path / "named", 0.01)["warnings"]


def test_unexpected_error_of_one_face_does_not_end_a_write(tmp_path):
    _image(tmp_path)

    class Broken(CsvSource):
        def load(self, item):
            if item.key == "a.png#3":
                raise OverflowError("too large")
            return super().load(item)

    _csv(tmp_path, (POINTS,), (np.add(POINTS, 1),))
    manifest = _write(Broken(tmp_path / "faces.csv", scheme="celeba_5"), tmp_path / "records")
    assert manifest["skipped"] == {"a.png#3": "OverflowError: too large"}


def test_annotation_with_two_images_of_its_name_is_skipped(tmp_path):
    folder = tmp_path / "afw"
    folder.mkdir()
    for stem in "ab":
        _image(folder, f"{stem}.png")
        rows = "".join(f"{x} {y}\n" for x, y in spread_points(68, size_hw=(HEIGHT, WIDTH)))
        (folder / f"{stem}.pts").write_text(rows)
    _image(folder, "a.jpg")
    source = Ibug300WSource(tmp_path)
    assert [item.key for item in source.items()] == ["afw/b"]
    assert source.skipped == {"afw/a": ".pts file with several images: a.jpg, a.png"}


def test_face_of_a_damaged_image_is_skipped_and_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    (tmp_path / "a.png").write_bytes(data)
    source = _csv(tmp_path, (POINTS,))
    assert _load(source).image.shape == (HEIGHT, WIDTH, 3)
    middle = len(data) // 2
    (tmp_path / "a.png").write_bytes(data[:middle] + bytes(40) + data[middle + 40 :])
    with pytest.raises(BadRecordError, match=r"a\.png: .*a damaged one \(Corrupt JPEG data"):
        _load(source)
