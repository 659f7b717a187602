"""Findings of swapped landmarks, wrong flip pairs and duplicated images in records."""

import dataclasses

import cv2
import numpy as np
from altered_faces import AlteredSource, flipped, key_of, near_frontal, with_landmarks, write

from tfrecords_tools.inspection import inspect_records
from tfrecords_tools.inspection.checks import (
    check_boxes,
    check_flip_pairs,
    check_swapped_landmarks,
)
from tfrecords_tools.inspection.content_checks import check_duplicates
from tfrecords_tools.inspection.face_table import read_face_table
from tfrecords_tools.inspection.report import format_report
from tfrecords_tools.sources import Item
from wing_tf.geometry import procrustes
from wing_tf.landmarks import scheme_from_dict


def _check(folder):
    """Findings of all checks of `inspect_records`, by kind."""
    table = read_face_table(folder)
    mean, _ = procrustes(table.landmarks_square_px, table.records.scheme.flip_permutation)
    findings = check_boxes(table)[0]
    findings += check_swapped_landmarks(table, mean)
    findings += check_flip_pairs(table, np.arange(len(table)))
    findings += check_duplicates(table)[0]
    assert len({finding.kind for finding in findings}) == len(findings)
    return {finding.kind: finding for finding in findings}


def test_faces_with_all_landmarks_swapped_are_found(tmp_path):
    wrong = (near_frontal()[0], near_frontal()[-1])

    def change(item, face):
        return flipped(face) if item.source_data in wrong else face

    found = _check(write(tmp_path / "r", AlteredSource(change)))
    assert set(found) == {"swapped_faces"}
    assert found["swapped_faces"].count == 2
    assert found["swapped_faces"].fraction == 2 / 40
    assert sorted(found["swapped_faces"].examples) == [key_of(number) for number in wrong]


def test_faces_with_single_pairs_swapped_are_found(tmp_path):
    pairs = [(36, 45), (31, 35), (0, 16), (61, 63)]
    wrong = dict(zip(near_frontal()[1:5], pairs, strict=True))

    def change(item, face):
        landmarks = face.landmarks_px.copy()
        if pair := wrong.get(item.source_data):
            landmarks[list(pair)] = landmarks[list(pair[::-1])]
        return with_landmarks(face, landmarks)

    found = _check(write(tmp_path / "r", AlteredSource(change)))
    assert set(found) == {"swapped_pairs"}
    assert sorted(found["swapped_pairs"].examples) == [
        f"{key_of(number)} ({a}-{b})" for number, (a, b) in wrong.items()
    ]


def test_swapped_landmarks_in_all_faces_are_found_by_the_mean_shape(tmp_path):
    found = _check(write(tmp_path / "r", AlteredSource(lambda item, face: flipped(face))))
    assert set(found) == {"reversed_mean"}
    assert "36-45" in found["reversed_mean"].message


class CustomScheme(AlteredSource):
    """Twelve of the landmarks, in a custom scheme without regions."""

    picked = (36, 39, 42, 45, 30, 31, 35, 48, 54, 51, 57, 8)

    def __init__(self, pairs, change=None, points=12):
        super().__init__(change)
        self.scheme = scheme_from_dict(
            {"name": f"own_12_{points == 12}_{len(pairs)}", "points": points, "pairs": pairs}
        )

    def load(self, item):
        face = super().load(item)
        points, flags = (v[list(self.picked)] for v in (face.landmarks_px, face.visibility))
        return dataclasses.replace(face, landmarks_px=points, visibility=flags)


def test_findings_name_landmarks_by_the_names_of_the_scheme(tmp_path):
    wrong = near_frontal()[2]

    def change(item, face):
        landmarks = face.landmarks_px.copy()
        if item.source_data == wrong:
            landmarks[[48, 54]] = landmarks[[54, 48]]
        return with_landmarks(face, landmarks)

    names = [f"point {letter}" for letter in "abcdefghijkl"]
    source = CustomScheme([[0, 3], [1, 2], [7, 8]], change, names)
    found = _check(write(tmp_path / "r", source))
    assert found["swapped_pairs"].examples == [f"{key_of(wrong)} (point h - point i)"]
    assert "(faces): point h - point i (1). Swap" in found["swapped_pairs"].message
    assert "landmarks point f and point g are in no" in found["missing_flip_pairs"].message


def test_missing_flip_pair_of_a_custom_scheme_is_reported(tmp_path):
    folder = write(tmp_path / "r", CustomScheme([[0, 3], [1, 2], [5, 6]]))
    report = inspect_records(folder, tmp_path / "inspection", num_images=4)
    small, warning = report["warnings"]
    assert small["kind"] == "small_split"
    assert warning["kind"] == "missing_flip_pairs"
    message = "landmarks 7 and 8 are in no flip pair, but mirror each other in the mean shape"
    assert warning["message"].startswith(message)
    assert f"WARNING missing_flip_pairs: 1: {message}" in format_report(report)


def test_flip_pairs_that_count_from_one_are_found(tmp_path):
    folder = write(tmp_path / "r", CustomScheme([[1, 4], [2, 3], [6, 7], [8, 9], [10, 11]]))
    table = read_face_table(folder, images=False)
    (finding,) = check_flip_pairs(table, np.arange(len(table)))
    assert finding.kind == "asymmetric_flip_pairs"
    assert "1-4, 2-3, 6-7, 8-9, 10-11 (0-3, 1-2, 5-6, 7-8 do). Check" in finding.message


def test_swapped_faces_are_found_in_custom_schemes(tmp_path):
    pairs = [[0, 3], [1, 2], [5, 6], [7, 8]]
    assert _check(write(tmp_path / "right", CustomScheme(pairs))) == {}
    wrong = near_frontal()[2]

    def one(item, face):
        return flipped(face) if item.source_data == wrong else face

    found = _check(write(tmp_path / "one", CustomScheme(pairs, one)))
    assert set(found) == {"swapped_faces"}
    assert found["swapped_faces"].examples == [key_of(wrong)]

    def many(item, face):
        return flipped(face) if item.source_data % 3 == 0 else face

    found = _check(write(tmp_path / "many", CustomScheme(pairs, many)))
    assert set(found) == {"many_faces_swapped"}
    assert found["many_faces_swapped"].examples == []
    assert "the objects are also seen from behind" in found["many_faces_swapped"].message


class CopiedSource(AlteredSource):
    """Three test faces are in "train", too: under other keys, scaled, darker and shifted."""

    def items(self):
        items = super().items()
        return items + [Item(f"copy/{i}", f"copy/{i}", "train", i) for i in range(3)]

    def load(self, item):
        face = super().load(item)
        if not item.key.startswith("copy"):
            return face
        image = cv2.resize(face.image, None, fx=1.4, fy=1.4, interpolation=cv2.INTER_LINEAR)
        landmarks = (face.landmarks_px + 0.5) * 1.4 - 0.5 + [0.8, -0.6]
        return dataclasses.replace(
            face, image=(0.8 * image).astype(np.uint8), landmarks_px=landmarks
        )


def test_images_in_two_splits_are_found(tmp_path):
    found = _check(write(tmp_path / "r", CopiedSource()))
    assert set(found) == {"duplicates_across_splits"}
    assert found["duplicates_across_splits"].count == 3
    pairs = [sorted(pair.split(" = ")) for pair in found["duplicates_across_splits"].examples]
    assert sorted(pairs) == [[f"copy/{i}", key_of(i)] for i in range(3)]
