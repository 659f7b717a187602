"""What is likely to be wrong with records: each check gives figures, and warnings."""

import collections
import dataclasses
from collections.abc import Iterable

import numpy as np

from tfrecords_tools.inspection.annotation_offset import annotation_offset
from tfrecords_tools.inspection.boxes import (
    TOLERANCE,
    BoxStatistics,
    box_statistics,
    landmarks_outside_box,
    landmarks_outside_square,
)
from tfrecords_tools.inspection.duplicates import find_duplicates
from tfrecords_tools.inspection.face_table import FaceTable
from tfrecords_tools.inspection.flip_pairs import find_pair_errors
from tfrecords_tools.inspection.swapped_landmarks import find_swapped_landmarks, reversed_on_average

_MOST_NAMED = 10  # faces in a warning


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is likely to be wrong.

    Attributes:
        kind: a short name of the check.
        message: what it is.
        count: how many faces, or pairs of faces.
        share: of all faces; None where it is not a share of them.
        first: the keys of the first ones, with what is wrong with each.
    """

    kind: str
    message: str
    count: int
    share: float | None
    first: list[str]


def _warn(
    warnings: list[Finding],
    kind: str,
    message: str,
    table: FaceTable,
    first: Iterable[str],
    **count,
) -> None:
    first = list(first)
    total = count.get("pairs", len(first))
    share = None if count else round(total / len(table), 5)
    warnings.append(
        Finding(kind=kind, message=message, count=total, share=share, first=first[:_MOST_NAMED])
    )


def check_boxes(table: FaceTable, warnings: list[Finding]) -> tuple[dict, dict[str, BoxStatistics]]:
    """Warns of points outside of boxes and squares; returns figures for the report and plots."""
    kinds = {
        "by the crop rule": table.box_square_px,
        "the data set's own": table.dataset_box_square_px,
    }
    figures = {}
    report: dict = {}
    for kind, boxes in kinds.items():
        one = box_statistics(table, boxes)
        if one is None:
            continue
        figures[kind] = one
        outside = landmarks_outside_box(table, boxes)
        faces = outside.any(axis=1)
        points = int(np.isfinite(table.landmarks_square_px[..., 0]).sum())
        report[kind] = {
            "faces": len(one.side_px),
            **one.summary(),
            "faces_with_points_outside": int(faces.sum()),
            "share_of_points_outside": round(float(outside.sum() / points), 5),
        }
        if faces.any():
            _warn(
                warnings, "points_outside_box",
                f"landmarks lie outside of the box ({kind}) by more than {TOLERANCE:.0%} of its "
                f"side: {outside.sum()} of {points} points", table,
                _with_points(table, outside),
            )  # fmt: skip
    off = landmarks_outside_square(table)
    report["faces_with_points_off_the_stored_square"] = int(off.any(axis=1).sum())
    if off.any():
        _warn(
            warnings, "points_off_square",
            f"landmarks lie outside of the stored square: {off.sum()} points", table,
            _with_points(table, off),
        )  # fmt: skip
    return report, figures


def _with_points(table: FaceTable, wrong: np.ndarray) -> list[str]:
    counts = wrong.sum(axis=1).tolist()
    return [f"{table.keys[i]} ({count} points)" for i, count in enumerate(counts) if count]


def check_swapped_landmarks(table: FaceTable, mean: np.ndarray, warnings: list[Finding]) -> None:
    """Warns of left and right points that are exchanged."""
    scheme = table.records.scheme
    swaps = find_swapped_landmarks(table.landmarks_square_px, mean, scheme)
    if swaps.turned:
        _warn(
            warnings, "turned_round",
            f"in {swaps.turned:.0%} of the faces, left and right points seem to be exchanged: the "
            "objects turn round, or the order of points is reversed in many", table, (),
            pairs=round(swaps.turned * len(table)),
        )  # fmt: skip
    if swaps.whole:
        _warn(
            warnings, "swapped_faces",
            "all left and right points are exchanged, as of an image that was mirrored without "
            "its points' order", table, (table.keys[i] for i in swaps.whole),
        )  # fmt: skip
    if swaps.pairs:
        counts = collections.Counter(pair for pairs in swaps.pairs.values() for pair in pairs)
        often = ", ".join(f"{a}-{b} ({n})" for (a, b), n in counts.most_common(6))
        _warn(
            warnings, "swapped_pairs",
            f"points of symmetric pairs are exchanged; the pairs (faces): {often}", table,
            (f"{table.keys[i]} ({_named(pairs)})" for i, pairs in swaps.pairs.items()),
        )  # fmt: skip
    if wrong := reversed_on_average(mean, scheme):
        _warn(
            warnings, "reversed_mean",
            f"in the mean shape, what {scheme.name} calls left is right: {_named(wrong)}. All "
            "faces may be in another order of points", table, table.keys,
        )  # fmt: skip


def check_pairs(table: FaceTable, faces: np.ndarray, warnings: list[Finding]) -> None:
    """Warns of pairs that the scheme should not, or should, declare, by some faces' mean shape."""
    scheme = table.records.scheme
    shapes = table.landmarks_square_px[faces].astype(np.float64)
    try:
        faults = find_pair_errors(shapes, scheme)
    except ValueError:  # there is no mean shape
        return
    if faults.wrong:
        instead = f" ({_named(faults.right)} do)" if faults.right else ""
        _warn(
            warnings, "wrong_pairs",
            f"pairs of {scheme.name} don't mirror each other in the mean shape: "
            f"{_named(faults.wrong)}{instead}. Do its numbers count from 0?", table, (),
            pairs=len(faults.wrong),
        )  # fmt: skip
    if faults.forgotten:
        named = ", ".join(f"{a} and {b}" for a, b in faults.forgotten)
        _warn(
            warnings, "forgotten_pairs",
            f"points {named} are in no pair, but mirror each other in the mean shape: if they are "
            f"left and right, flips of {scheme.name} exchange their meaning", table, (),
            pairs=len(faults.forgotten),
        )  # fmt: skip


def _named(pairs: list[tuple[int, int]]) -> str:
    return ", ".join(f"{a}-{b}" for a, b in pairs)


def check_duplicates(table: FaceTable, warnings: list[Finding]) -> dict:
    """Warns of one image in two splits; returns figures for the report."""
    found = find_duplicates(table.hashes, table.thumbnails, table.splits)
    between: collections.Counter[str] = collections.Counter()
    faces: dict[str, set[int]] = collections.defaultdict(set)
    for pair in found:
        name = f"{table.splits[pair.first]} and {table.splits[pair.second]}"
        between[name] += 1
        faces[table.splits[pair.first]].add(pair.first)
    if found:
        _warn(
            warnings, "duplicates_across_splits",
            "pairs of images in different splits are the same but for slight changes: "
            + ", ".join(f"{name} {count}" for name, count in between.most_common()), table,
            (
                f"{table.keys[p.first]} = {table.keys[p.second]}"
                for p in found[:_MOST_NAMED]
            ), pairs=len(found),
        )  # fmt: skip
    return {
        "pairs": dict(between),
        "faces_with_a_twin": {split: len(some) for split, some in sorted(faces.items())},
    }


def check_annotation_offset(
    table: FaceTable, other: FaceTable, name: str, warnings: list[Finding]
) -> dict:
    """Warns of landmarks that are off those of other records; returns figures for the report."""
    difference = annotation_offset(table, other)
    if difference.verdicts:
        _warn(
            warnings, "origin",
            f"landmarks are off those of {name} by the same amount in most faces: "
            + "; ".join(difference.verdicts), table, (), pairs=difference.faces,
        )  # fmt: skip
    return {"other": name, **dataclasses.asdict(difference)}
