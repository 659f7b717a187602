"""Findings about misplaced landmarks, copies of images and small splits."""

import dataclasses

import cv2
import numpy as np
import pytest
import tensorflow as tf
from altered_faces import AlteredSource, key_of, near_frontal, with_landmarks, write

from tfrecords_tools.inspection import inspect_records
from tfrecords_tools.inspection.checks import check_boxes
from tfrecords_tools.inspection.content_checks import (
    check_duplicates,
    check_placement,
    check_splits,
    check_visibility,
)
from tfrecords_tools.inspection.face_table import read_face_table
from tfrecords_tools.sources import Item
from wing_tf.data import record_schema as schema
from wing_tf.data.records import find_shards
from wing_tf.geometry import procrustes

SMALL = {"small_split"}  # 40 faces: fewer than 20 for validation and for the test


def _found(folder):
    """Findings of the checks, by kind; in the report by `test_inspection_reports_all_findings`."""
    table = read_face_table(folder)
    mean, _ = procrustes(table.landmarks_square_px, table.records.scheme.flip_permutation)
    findings = check_splits(table) + check_boxes(table)[0] + check_placement(table, mean)
    findings += check_duplicates(table)[0] + check_visibility(table)
    return {finding.kind: finding for finding in findings}


def _altered(tmp_path, numbers, change, **options):
    """Writes and inspects records in which the landmarks of some faces are changed."""

    def some(item, face):
        return change(face) if item.source_data in numbers else face

    return _found(write(tmp_path / "r", AlteredSource(some), **options))


def _keys(finding):
    return sorted(example.partition(" (")[0] for example in finding.examples)


def test_landmarks_at_one_place_are_found(tmp_path):
    def change(face):
        landmarks = face.landmarks_px.copy()
        landmarks[[3, 20, 50]] = landmarks[8]
        return with_landmarks(face, landmarks)

    found = _altered(tmp_path, (15, 22), change)
    assert set(found) == SMALL | {"coincident_landmarks"}
    assert found["coincident_landmarks"].count == 2
    assert found["coincident_landmarks"].fraction == 2 / 40
    assert _keys(found["coincident_landmarks"]) == [key_of(15), key_of(22)]
    assert "(4 landmarks)" in found["coincident_landmarks"].examples[0]
    assert found["coincident_landmarks"].message.startswith("8 landmarks are at exactly")


def test_closed_lips_may_coincide_but_distant_landmarks_may_not(tmp_path):
    def closed(face):
        landmarks = face.landmarks_px.copy()
        landmarks[[61, 62, 63]] = landmarks[[67, 66, 65]]
        return with_landmarks(face, landmarks)

    assert set(_altered(tmp_path / "closed", range(13, 30), closed)) == SMALL

    def distant(face):
        landmarks = face.landmarks_px.copy()
        landmarks[30] = landmarks[57]
        return with_landmarks(face, landmarks)

    found = _altered(tmp_path / "distant", (15,), distant)
    assert found["coincident_landmarks"].examples == [f"{key_of(15)} (2 landmarks)"]


@pytest.mark.parametrize("mark", [(0.0, 0.0), (-1.0, -1.0)])
def test_marks_of_missing_points_are_found(tmp_path, mark):
    def change(face):
        landmarks = face.landmarks_px.copy()
        landmarks[8] = mark
        return with_landmarks(face, landmarks)

    found = _altered(tmp_path, (13, 14, 15), change)
    assert found["missing_points_as_landmarks"].count == 3
    assert _keys(found["missing_points_as_landmarks"]) == [key_of(i) for i in (13, 14, 15)]
    assert "--missing=X,Y" in found["missing_points_as_landmarks"].message


def test_faces_with_many_landmarks_outside_of_the_image_are_found(tmp_path):
    # As if the annotations were of an image of twice the size.
    found = _altered(tmp_path, (17, 18), lambda face: with_landmarks(face, face.landmarks_px * 2.0))
    assert set(found) == SMALL | {"many_landmarks_outside_image"}
    assert found["many_landmarks_outside_image"].count == 2
    assert _keys(found["many_landmarks_outside_image"]) == [key_of(17), key_of(18)]
    assert "size and the rotation" in found["many_landmarks_outside_image"].message


def test_single_landmarks_outside_of_the_image_are_found(tmp_path):
    def change(face):
        landmarks = face.landmarks_px.copy()
        landmarks[30] = [-900, -700.5]
        return with_landmarks(face, landmarks)

    found = _altered(tmp_path, (17,), change)
    assert {"landmarks_outside_image", "stray_landmarks"} <= set(found)
    expected = [f"{key_of(17)} (30 at -900,-700.5)"]
    assert found["landmarks_outside_image"].examples == expected
    assert found["stray_landmarks"].examples == expected


def test_faces_that_images_usually_cut_are_not_named(tmp_path):
    def cut(face):
        bottom = int(face.landmarks_px[[7, 8, 9], 1].min()) - 8
        return dataclasses.replace(face, image=face.image[:bottom])

    found = _altered(tmp_path / "one", (17,), cut)
    (example,) = found["landmarks_outside_image"].examples
    assert example.startswith(f"{key_of(17)} (7 at ")
    assert set(found) == SMALL | {"landmarks_outside_image"}
    assert set(_altered(tmp_path / "many", range(12, 20), cut)) == SMALL


def test_stray_landmarks_in_the_image_are_found(tmp_path):
    def change(face):
        landmarks = face.landmarks_px.copy()
        landmarks[8] = landmarks[27] - [2, 9]  # the chin on the forehead
        landmarks[[36, 45]] = landmarks[[45, 36]]  # swapped, not stray
        return with_landmarks(face, landmarks)

    frontal = near_frontal()[3]
    found = _altered(tmp_path, (frontal,), change)
    assert set(found) == SMALL | {"stray_landmarks"}
    (example,) = found["stray_landmarks"].examples
    assert example.startswith(f"{key_of(frontal)} (8 at ")


def test_records_without_the_size_of_images_are_inspected(tmp_path):
    """Only landmarks to the left and above are known to be outside then."""

    def change(item, face):
        shift = {17: (60.0, 0.0), 18: (-60.0, 0.0)}.get(item.source_data, (0.0, 0.0))
        return with_landmarks(face, face.landmarks_px + shift)

    folder = write(tmp_path / "r", AlteredSource(change))
    for file in find_shards(folder):
        records = list(tf.data.TFRecordDataset(file).as_numpy_iterator())
        with tf.io.TFRecordWriter(file) as writer:
            for record in records:
                example = tf.train.Example.FromString(record)
                del example.features.feature[schema.SOURCE_SIZE]
                writer.write(example.SerializeToString())
    found = _found(folder)
    assert _keys(found["many_landmarks_outside_image"]) == [key_of(18)]


@pytest.mark.parametrize("numbers", [(14, 25), range(40)])
def test_exchanged_coordinates_are_found_in_some_and_in_all_faces(tmp_path, numbers):
    found = _altered(
        tmp_path, numbers, lambda face: with_landmarks(face, face.landmarks_px[:, ::-1].copy())
    )
    finding = found["axes_exchanged"]
    # The pairs of profiles are too close to each other to tell.
    assert 0.7 * len(numbers) <= finding.count <= len(numbers)
    assert {int(key.rpartition("/")[2]) for key in _keys(finding)} <= set(numbers)
    assert "as if x and y had been exchanged" in finding.message


def test_people_who_lie_down_have_no_exchanged_coordinates(tmp_path):
    def lying(face):
        height = face.image.shape[0]
        x, y = face.landmarks_px.T
        image = np.rot90(face.image).copy()
        return dataclasses.replace(
            face, image=image, landmarks_px=np.stack([y, height - 1 - x], axis=1)
        )

    assert set(_altered(tmp_path, (14, 25), lying)) == SMALL


def test_constant_offset_from_the_boxes_is_found(tmp_path):
    def change(face):
        low, high = face.landmarks_px.min(axis=0), face.landmarks_px.max(axis=0)
        shift = np.array([0.4, 0.0]) * (high - low).max()
        return dataclasses.replace(face, box_xyxy_px=np.concatenate([low - shift, high - shift]))

    found = _altered(tmp_path, range(40), change, crop="dataset_box")
    assert found["landmarks_off_center"].count == 40
    assert "landmarks are +0.40 (x) and +0.00 (y)" in found["landmarks_off_center"].message
    assert "they may be right" not in found["landmarks_off_center"].message


def test_landmarks_of_a_part_of_the_box_may_be_off_its_center(tmp_path):
    def change(face):
        low, high = face.landmarks_px.min(axis=0), face.landmarks_px.max(axis=0)
        size = high - low
        box = np.concatenate([low - [0.4, 0] * size, high + [0.4, 1.4] * size])
        return dataclasses.replace(face, box_xyxy_px=box)

    found = _altered(tmp_path, range(40), change, crop="dataset_box")
    message = found["landmarks_off_center"].message
    assert message.endswith("such as the face around the eyes, they may be right")


def test_copies_within_and_across_splits_are_found(tmp_path):
    class Copied(AlteredSource):
        """Two training faces and a test face are in "train" once more."""

        def items(self):
            items = super().items()
            return items + [Item(f"copy/{i}", f"copy/{i}", "train", i) for i in (2, 16, 30)]

        def load(self, item):
            face = super().load(item)
            if not item.key.startswith("copy"):
                return face
            image = cv2.resize(face.image, None, fx=1.3, fy=1.3)
            return dataclasses.replace(
                face, image=image, landmarks_px=(face.landmarks_px + 0.5) * 1.3 - 0.5
            )

    found = _found(write(tmp_path / "r", Copied()))
    pairs = {
        kind: sorted(sorted(pair.split(" = ")) for pair in found[kind].examples)
        for kind in ("duplicates_across_splits", "duplicates_within_splits")
    }
    assert pairs == {
        "duplicates_across_splits": [["copy/2", key_of(2)]],
        "duplicates_within_splits": [["copy/16", key_of(16)], ["copy/30", key_of(30)]],
    }
    assert found["duplicates_within_splits"].count == 2


def test_faces_annotated_twice_and_images_in_several_splits_are_found(tmp_path):
    class Doubled(AlteredSource):
        """Two faces are annotated twice; one of them in another split."""

        def items(self):
            items = super().items()
            one, two = (next(i for i in items if i.source_data == n) for n in (16, 30))
            copies = [(one, "again", "train"), (two, "again", "test")]
            return items + [
                Item(f"{item.key}/{name}", item.source_image, split, item.source_data)
                for item, name, split in copies
            ]

        def load(self, item):
            face = super().load(item)
            shift = 0.3 if item.key.endswith("again") else 0.0
            return with_landmarks(face, face.landmarks_px + shift)

    found = _found(write(tmp_path / "r", Doubled(), validation_fraction=0))
    (pair,) = found["faces_annotated_twice"].examples
    assert sorted(pair.split(" = ")) == [key_of(16), f"{key_of(16)}/again"]
    assert found["images_in_several_splits"].count == 1
    assert _keys(found["images_in_several_splits"]) == [key_of(30), f"{key_of(30)}/again"]


def test_records_without_a_visible_landmark_are_found(tmp_path):
    def change(face):
        return dataclasses.replace(face, visibility=np.minimum(face.visibility, schema.OCCLUDED))

    assert "no_visible_landmarks" in _altered(tmp_path, range(40), change)


def test_empty_and_small_splits_are_found(tmp_path):
    folder = write(tmp_path / "r", AlteredSource(num_train=28), validation_fraction=0)
    found = _found(folder)
    assert set(found) == {"empty_split", "small_split"}
    assert found["empty_split"].message.startswith("the split validation is empty")
    assert found["small_split"].count == 12
    assert "splits of fewer than 20 faces: test 12." in found["small_split"].message
    assert found["small_split"].examples[0].endswith(" (test)")


def test_inspection_reports_all_findings(tmp_path):
    """One CSV with every error: the coordinates of all faces are exchanged."""

    def change(item, face):
        landmarks = face.landmarks_px[:, ::-1].copy()
        if item.source_data == 13:
            landmarks[[3, 20, 50]] = landmarks[8]
        return with_landmarks(face, landmarks)

    folder = write(tmp_path / "r", AlteredSource(change), validation_fraction=0)
    report = inspect_records(folder, tmp_path / "inspection", num_images=1)
    kinds = {warning["kind"] for warning in report["warnings"]}
    assert {"empty_split", "small_split", "axes_exchanged", "coincident_landmarks"} <= kinds
    text = (tmp_path / "inspection" / "inspection.txt").read_text()
    assert "WARNING axes_exchanged: " in text
    assert f"    {key_of(13)} (4 landmarks)\n" in text
