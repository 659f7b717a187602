"""Checks of records for misplaced landmarks, copies of images and small splits."""

import collections
import dataclasses

import numpy as np

from tfrecords_tools.duplicates import MIN_CONTRAST, find_duplicates
from tfrecords_tools.inspection.checks import (
    MAX_EXAMPLES,
    Finding,
    finding_in_faces,
    point_name,
    with_counts,
)
from tfrecords_tools.inspection.face_table import FaceTable
from tfrecords_tools.inspection.placement import (
    MAX_OUTSIDE,
    OUTSIDE_TOLERANCE,
    coincident_landmarks,
    landmarks_outside_image,
    marks_of_missing_points,
    sideways_faces,
)
from tfrecords_tools.inspection.stray_landmarks import find_stray_landmarks
from wing_tf.data import record_schema as schema

MIN_FACES = 20  # of a split that scores are computed on
RARE = 0.1  # fraction of the faces in which a landmark's label may be misspelled
_MAX_CUT = 0.05  # fraction of the faces; if the image cuts more, this is usual in the data set
_MAX_PLACES = 3


def check_placement(table: FaceTable, mean: np.ndarray | None) -> list[Finding]:
    """Finds landmarks at one place, at marks of missing points, outside of the image, and stray.

    Also finds faces of which x and y seem exchanged.
    """
    findings: list[Finding] = []

    def add(kind, message, wrong):
        if wrong.any():
            findings.append(finding_in_faces(kind, message, table, with_counts(wrong)))

    coincident = coincident_landmarks(table, mean)
    message = (
        f"{coincident.sum()} landmarks are at exactly the place of others of their face. If this "
        "place marks points that are not annotated, name it by --missing=X,Y when writing"
    )
    add("coincident_landmarks", message, coincident)
    marks = marks_of_missing_points(table)
    message = (
        f"{marks.sum()} landmarks are at 0,0 or -1,-1 of the image, as points that are not "
        "annotated. Write the records again with --missing=X,Y"
    )
    add("missing_points_as_landmarks", message, marks)
    outside = landmarks_outside_image(table)
    annotated = np.maximum((table.visibility != schema.NOT_ANNOTATED).sum(axis=1), 1)
    many = outside & (outside.sum(axis=1) > MAX_OUTSIDE * annotated)[:, None]
    message = (
        f"more than {MAX_OUTSIDE:.0%} of the landmarks of these faces lie outside of their image. "
        "Check that the image has the size and the rotation with which it was annotated, and "
        "the order of x and y"
    )
    add("many_landmarks_outside_image", message, many)
    far = landmarks_outside_image(table, OUTSIDE_TOLERANCE) & ~marks & ~many.any(axis=1)[:, None]
    if 0 < far.any(axis=1).sum() <= max(1, _MAX_CUT * len(table)):
        message = (
            "landmarks lie outside of their image, which is unusual in these records. Correct "
            "them, unless the border of the image cuts the face"
        )
        faces = _places(table, far)
        findings.append(finding_in_faces("landmarks_outside_image", message, table, faces))
    if mean is not None:
        stray = find_stray_landmarks(table.landmarks_square_px, mean, table.records.scheme)
        stray &= ~coincident & ~marks
        if stray.any():
            message = (
                "landmarks are far from where the other landmarks of their face suggest, and "
                "further than the same landmarks of other faces. Correct them, or mark them as not "
                "annotated"
            )
            faces = _places(table, stray)
            findings.append(finding_in_faces("stray_landmarks", message, table, faces))
    sideways = sideways_faces(table, mean)
    if sideways.any():
        message = (
            "left and right landmarks are above each other, as if x and y had been exchanged, or "
            "the images rotated by a quarter turn after the annotation. Check the order of the "
            "coordinates and --exif"
        )
        indices = np.flatnonzero(sideways).tolist()
        findings.append(finding_in_faces("axes_exchanged", message, table, indices))
    return findings


def _places(table: FaceTable, wrong: np.ndarray) -> dict[int, str]:
    """Returns the names and coordinates of wrong landmarks [N, K], by the index of the face."""
    details = {}
    for face in np.flatnonzero(wrong.any(axis=1)).tolist():
        (points,) = table.landmarks_source_px(np.array([face]))
        landmarks = np.flatnonzero(wrong[face]).tolist()
        places = [
            f"{point_name(table.records.scheme, i)} at {points[i, 0]:.5g},{points[i, 1]:.5g}"
            for i in landmarks[:_MAX_PLACES]
        ]
        more = f", {len(landmarks) - _MAX_PLACES} more" * (len(landmarks) > _MAX_PLACES)
        details[face] = ", ".join(places) + more
    return details


def check_rare_landmarks(table: FaceTable) -> list[Finding]:
    """Finds landmarks that are annotated in few faces only."""
    counts = (table.visibility != schema.NOT_ANNOTATED).sum(axis=0).tolist()
    scheme = table.records.scheme
    rare = [
        f"{point_name(scheme, i)} ({count} of {len(table)})"
        for i, count in enumerate(counts)
        if count < RARE * len(table)
    ]
    if not rare:
        return []
    message = (
        f"landmarks that fewer than {RARE:.0%} of the faces have: {', '.join(rare)}. Check whether "
        "their labels are misspelled, or remove them from the scheme"
    )
    return [Finding(kind="rare_landmarks", message=message, count=len(rare))]


def check_visibility(table: FaceTable) -> list[Finding]:
    """Finds records in which no landmark is marked as visible."""
    if np.any(table.visibility == schema.VISIBLE) or not np.any(table.visibility):
        return []
    message = (
        "no landmark is marked as visible (2): all that are annotated are marked as occluded (1). "
        "Replace 0 and 1 by 1 and 2 if 1 means visible in the annotations"
    )
    return [Finding(kind="no_visible_landmarks", message=message, count=len(table))]


def check_splits(table: FaceTable) -> list[Finding]:
    """Finds splits that are empty or too small, and images with faces in several splits."""
    counts = collections.Counter(table.splits)
    findings: list[Finding] = []
    for split, other in (("validation", "train"), ("train", "validation")):
        if counts[other] and not counts[split]:
            message = (
                f"the split {split} is empty, {other} is not. Write the records with another "
                "--validation_fraction, or name the faces of the split in the annotations"
            )
            findings.append(Finding(kind="empty_split", message=message, count=0))
    splits_of: dict[str, set[str]] = collections.defaultdict(set)
    for image, split in zip(table.images, table.splits, strict=True):
        splits_of[image].add(split)
    if shared := {image for image, splits in splits_of.items() if len(splits) > 1}:
        message = (
            "images have faces in several splits, so scores may be too good. Give all faces of an "
            "image the same split"
        )
        faces = {i: table.splits[i] for i, image in enumerate(table.images) if image in shared}
        finding = finding_in_faces("images_in_several_splits", message, table, faces)
        findings.append(dataclasses.replace(finding, count=len(shared)))
    if small := {split: count for split, count in counts.items() if count < MIN_FACES}:
        listing = ", ".join(f"{split} {count}" for split, count in sorted(small.items()))
        message = (
            f"splits of fewer than {MIN_FACES} faces: {listing}. Scores on so few faces vary by "
            "chance"
        )
        faces = {i: split for i, split in enumerate(table.splits) if split in small}
        finding = finding_in_faces("small_split", message, table, faces)
        findings.append(dataclasses.replace(finding, faces=[]))  # These faces have no error.
    return findings


def check_duplicates(table: FaceTable) -> tuple[list[Finding], dict]:
    """Finds images that are in two splits, or in one split under two names."""
    across = find_duplicates(table.hashes, table.thumbnails, table.splits)
    textured = np.flatnonzero(table.thumbnails.std(axis=1) >= MIN_CONTRAST)
    every = find_duplicates(
        table.hashes[textured], table.thumbnails[textured], range(len(textured))
    )
    pairs = [(int(textured[pair.first]), int(textured[pair.second])) for pair in every]
    alike = [(i, j) for i, j in pairs if table.splits[i] == table.splits[j]]
    within = [(i, j) for i, j in alike if table.images[i] != table.images[j]]
    twice = [(i, j) for i, j in alike if table.images[i] == table.images[j]]
    faces: dict[str, set[int]] = collections.defaultdict(set)
    for pair in across:
        faces[table.splits[pair.first]].add(pair.first)
    findings = []
    counts = collections.Counter(
        f"{table.splits[pair.first]} and {table.splits[pair.second]}" for pair in across
    )
    if across:
        message = (
            f"pairs of images in different splits are nearly identical: {_listing(counts)}. Remove "
            "them from one of the splits, or test scores will be too good"
        )
        examples = [(pair.first, pair.second) for pair in across]
        findings.append(_pairs("duplicates_across_splits", message, table, examples))
    own_counts = collections.Counter(table.splits[i] for i, _ in within)
    if within:
        message = (
            f"pairs of images in one split are nearly identical: {_listing(own_counts)}. They "
            "count more than once: remove all but one of each if this is not intended"
        )
        findings.append(_pairs("duplicates_within_splits", message, table, within))
    if twice:
        message = (
            "pairs of faces of one image are nearly identical, as if a face had been annotated "
            "twice. It counts more than once: remove one of each pair"
        )
        findings.append(_pairs("faces_annotated_twice", message, table, twice))
    return findings, {
        "pairs": dict(counts),
        "duplicated_faces": {split: len(some) for split, some in sorted(faces.items())},
        "pairs_within_splits": dict(own_counts),
    }


def _listing(counts: collections.Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def _pairs(kind: str, message: str, table: FaceTable, pairs: list[tuple[int, int]]) -> Finding:
    shown = pairs[:MAX_EXAMPLES]
    examples = [f"{table.keys[i]} = {table.keys[j]}" for i, j in shown]
    faces = list(dict.fromkeys(index for pair in shown for index in pair))
    return Finding(kind=kind, message=message, count=len(pairs), examples=examples, faces=faces)
