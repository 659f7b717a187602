"""Checks of records for likely errors. Each returns its findings, and statistics for the report."""

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tfrecords_tools.inspection.annotation_offset import annotation_offset
from tfrecords_tools.inspection.boxes import (
    DETECTOR_TOLERANCE,
    TOLERANCE,
    box_statistics,
    landmarks_outside_box,
    landmarks_outside_square,
)
from tfrecords_tools.inspection.face_table import FaceTable
from tfrecords_tools.inspection.flip_pairs import find_pair_errors
from tfrecords_tools.inspection.swapped_landmarks import find_reversed_pairs, find_swapped_landmarks
from wing_tf.landmarks import LandmarkScheme

MAX_EXAMPLES = 10
_OFFSETS = ("landmarks_right_of_center", "landmarks_below_center")
_MAX_OFFSET = (
    0.25  # of a box's side; landmarks are up to .15 below the center of some detectors' boxes
)
_MAX_PART = 0.75  # of a box's side; landmarks of less may be those of one part of the object


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """A likely error.

    Attributes:
        kind: Short name of the error.
        message: What was found, and how to fix it.
        count: Number of faces, or of pairs.
        fraction: Fraction of all faces; None if ``count`` does not count faces.
        examples: Keys of the first faces, with details.
        faces: Indices of the faces of `examples`, if each of them may have an error.
    """

    kind: str
    message: str
    count: int
    fraction: float | None = None
    examples: list[str] = dataclasses.field(default_factory=list)
    faces: list[int] = dataclasses.field(default_factory=list)


def finding_in_faces(
    kind: str, message: str, table: FaceTable, faces: Iterable[int] | Mapping[int, str]
) -> Finding:
    """Returns a finding that counts faces.

    Args:
        kind: Short name of the error.
        message: What was found, and how to fix it.
        table: The faces.
        faces: Indices of the faces with the error, or details by index.
    """
    details = faces if isinstance(faces, Mapping) else dict.fromkeys(faces, "")
    shown = list(details)[:MAX_EXAMPLES]
    return Finding(
        kind=kind,
        message=message,
        count=len(details),
        fraction=round(len(details) / len(table), 5),
        examples=[
            f"{table.keys[i]} ({details[i]})" if details[i] else table.keys[i] for i in shown
        ],
        faces=shown,
    )


def point_name(scheme: LandmarkScheme, index: int) -> str:
    """Returns the name of a landmark, or its index if the scheme has no names."""
    return scheme.point_names[index] if scheme.point_names else str(index)


def check_boxes(table: FaceTable) -> tuple[list[Finding], dict, dict[str, dict]]:
    """Finds landmarks outside of boxes and stored squares.

    Returns:
        The findings, statistics for the report, and `box_statistics` by the kind of box.
    """
    findings: list[Finding] = []
    report: dict[str, Any] = {}
    statistics: dict[str, dict[str, np.ndarray]] = {}
    kinds = {
        "by the crop rule": table.box_square_px,
        "the data set's own": table.dataset_box_square_px,
    }
    num_landmarks = int(np.isfinite(table.landmarks_square_px[..., 0]).sum())
    for kind, boxes in kinds.items():
        measures = box_statistics(table, boxes)
        if not measures:
            continue
        statistics[kind] = measures
        detected = kind == "by the crop rule" and all(
            rule.box == "detector" for rule in table.records.crop_rules
        )
        tolerance = DETECTOR_TOLERANCE if detected else TOLERANCE
        outside = landmarks_outside_box(table, boxes, tolerance)
        report[kind] = {
            "faces": len(measures["side_source_px"]),
            **{name: _quantiles(values) for name, values in measures.items()},
            "faces_with_landmarks_outside": int(outside.any(axis=1).sum()),
            "fraction_of_landmarks_outside": round(float(outside.sum() / num_landmarks), 5),
        }
        offset = np.median([measures[name] for name in _OFFSETS], axis=1)
        if kind == "the data set's own" and np.abs(offset).max() > _MAX_OFFSET:
            message = (
                f"landmarks are {offset[0]:+z.2f} (x) and {offset[1]:+z.2f} (y) of a box's side "
                "off the center of their box in most faces, as if they had a constant offset from "
                "the image. Check the origin of the coordinates of boxes and landmarks"
            )
            if np.median(measures["landmarks_over_box"]) < _MAX_PART:
                message += (
                    ". If the boxes hold more of the object than the landmarks do, such as the "
                    "face around the eyes, they may be right"
                )
            known = np.isfinite(boxes).all(axis=1)
            faces = np.flatnonzero(known).tolist()
            findings.append(finding_in_faces("landmarks_off_center", message, table, faces))
        if outside.any():
            message = (
                f"{outside.sum()} of {num_landmarks} landmarks lie outside of the box ({kind}) by "
                f"more than {100 * tolerance:g}% of its side. Check the order and the units of the "
                "boxes, or write the records with --crop=landmark_box"
            )
            found = finding_in_faces("landmarks_outside_box", message, table, with_counts(outside))
            findings.append(found)
    outside = landmarks_outside_square(table)
    report["faces_with_landmarks_outside_of_the_stored_square"] = int(outside.any(axis=1).sum())
    if outside.any():
        message = (
            f"{outside.sum()} landmarks lie outside of the stored square, where no network can see "
            "them. Write the records with a larger --context, or correct the boxes"
        )
        found = finding_in_faces("landmarks_outside_square", message, table, with_counts(outside))
        findings.append(found)
    return findings, report, statistics


def _quantiles(values: np.ndarray) -> list[float]:
    return [round(float(q), 4) for q in np.quantile(values, [0.05, 0.5, 0.95])]


def with_counts(wrong: np.ndarray) -> dict[int, str]:
    """Returns the numbers of wrong landmarks [N, K], by the index of the face."""
    counts = wrong.sum(axis=1).tolist()
    return {i: f"{count} landmarks" for i, count in enumerate(counts) if count}


def check_swapped_landmarks(table: FaceTable, mean: np.ndarray) -> list[Finding]:
    """Finds left and right landmarks that are swapped."""
    scheme = table.records.scheme
    swapped = find_swapped_landmarks(table.landmarks_square_px, mean, scheme)
    findings = []
    if swapped.fraction_reversed:
        message = (
            f"left and right landmarks seem to be swapped in {swapped.fraction_reversed:.0%} of "
            "the faces. Either the objects are also seen from behind, which is fine, or many "
            "annotations have another order of the landmarks, which needs to be corrected"
        )
        count = round(swapped.fraction_reversed * len(table))
        findings.append(Finding(kind="many_faces_swapped", message=message, count=count))
    if swapped.faces:
        message = (
            "all left and right landmarks are swapped, as if the image had been mirrored without "
            "permuting its landmarks. Permute them, or exclude the faces"
        )
        findings.append(finding_in_faces("swapped_faces", message, table, swapped.faces))
    if swapped.pairs:
        counts = collections.Counter(pair for pairs in swapped.pairs.values() for pair in pairs)
        frequent = ", ".join(f"{_join(scheme, [pair])} ({n})" for pair, n in counts.most_common(6))
        message = (
            f"landmarks of symmetric pairs are swapped. Most frequent pairs (faces): {frequent}. "
            "Swap them in the annotations"
        )
        faces = {i: _join(scheme, pairs) for i, pairs in swapped.pairs.items()}
        findings.append(finding_in_faces("swapped_pairs", message, table, faces))
    if reversed_pairs := find_reversed_pairs(mean, scheme):
        message = (
            f"in the mean shape, landmarks that {scheme.name} calls left are on the right: "
            f"{_join(scheme, reversed_pairs)}. All annotations may have another order of the "
            "landmarks: compare mean_shape.png with the scheme"
        )
        findings.append(finding_in_faces("reversed_mean", message, table, range(len(table))))
    return findings


def check_flip_pairs(table: FaceTable, faces: np.ndarray) -> list[Finding]:
    """Finds wrong and missing flip pairs of the scheme by the mean shape of some faces."""
    scheme = table.records.scheme
    shapes = table.landmarks_square_px[faces].astype(np.float64)
    try:
        errors = find_pair_errors(shapes, scheme)
    except ValueError:  # There is no mean shape.
        return []
    findings = []
    if errors.asymmetric:
        suggested = f" ({_join(scheme, errors.suggested)} do)" if errors.suggested else ""
        message = (
            f"flip pairs of {scheme.name} do not mirror each other in the mean shape: "
            f"{_join(scheme, errors.asymmetric)}{suggested}. Check that its indices start at 0"
        )
        findings.append(
            Finding(kind="asymmetric_flip_pairs", message=message, count=len(errors.asymmetric))
        )
    if errors.undeclared:
        pairs = _join(scheme, errors.undeclared, " and ")
        message = (
            f"landmarks {pairs} are in no flip pair, but mirror each other in the mean shape. If "
            f"they are left and right, add them to the pairs of {scheme.name}: otherwise flips "
            "exchange their meaning"
        )
        findings.append(
            Finding(kind="missing_flip_pairs", message=message, count=len(errors.undeclared))
        )
    return findings


def _join(scheme: LandmarkScheme, pairs: Iterable[tuple[int, int]], between: str = "") -> str:
    between = between or (" - " if scheme.point_names else "-")
    return ", ".join(between.join(point_name(scheme, i) for i in pair) for pair in pairs)


def check_annotation_offset(
    table: FaceTable, other: FaceTable, name: str
) -> tuple[list[Finding], dict]:
    """Finds a constant offset from the landmarks of other records of the same faces."""
    offset = annotation_offset(table, other)
    report = {"other": name, **offset}
    if not offset["explanations"]:
        return [], report
    message = (
        f"landmarks differ from those of {name} by the same offset in most faces: "
        f"{'; '.join(offset['explanations'])}. Set --origin when writing the records that are wrong"
    )
    return [Finding(kind="annotation_offset", message=message, count=offset["num_faces"])], report
