"""What is likely to be wrong with records: each check gives figures, and warnings."""

import collections
import dataclasses
from collections.abc import Iterable

import numpy as np

from tfrecords_tools.inspection.boxes import (
    TOLERANCE,
    BoxFigures,
    box_figures,
    points_off_square,
    points_outside,
)
from tfrecords_tools.inspection.declared_pairs import pair_faults
from tfrecords_tools.inspection.duplicates import find_duplicates
from tfrecords_tools.inspection.origin import origin_difference
from tfrecords_tools.inspection.survey import Survey
from tfrecords_tools.inspection.swaps import find_swaps, reversed_on_average

_MOST_NAMED = 10  # faces in a warning


@dataclasses.dataclass(frozen=True, kw_only=True)
class Warned:
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
    warnings: list[Warned], kind: str, message: str, survey: Survey, first: Iterable[str], **count
) -> None:
    first = list(first)
    total = count.get("pairs", len(first))
    share = None if count else round(total / len(survey), 5)
    warnings.append(
        Warned(kind=kind, message=message, count=total, share=share, first=first[:_MOST_NAMED])
    )


def check_boxes(survey: Survey, warnings: list[Warned]) -> tuple[dict, dict[str, BoxFigures]]:
    """Warns of points outside of boxes and squares; returns figures for the report and plots."""
    kinds = {
        "by the crop rule": survey.box_square_px,
        "the data set's own": survey.dataset_box_square_px,
    }
    figures = {}
    report: dict = {}
    for kind, boxes in kinds.items():
        one = box_figures(survey, boxes)
        if one is None:
            continue
        figures[kind] = one
        outside = points_outside(survey, boxes)
        faces = outside.any(axis=1)
        points = int(np.isfinite(survey.landmarks_square_px[..., 0]).sum())
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
                f"side: {outside.sum()} of {points} points", survey,
                _with_points(survey, outside),
            )  # fmt: skip
    off = points_off_square(survey)
    report["faces_with_points_off_the_stored_square"] = int(off.any(axis=1).sum())
    if off.any():
        _warn(
            warnings, "points_off_square",
            f"landmarks lie outside of the stored square: {off.sum()} points", survey,
            _with_points(survey, off),
        )  # fmt: skip
    return report, figures


def _with_points(survey: Survey, wrong: np.ndarray) -> list[str]:
    counts = wrong.sum(axis=1).tolist()
    return [f"{survey.keys[i]} ({count} points)" for i, count in enumerate(counts) if count]


def check_swaps(survey: Survey, mean: np.ndarray, warnings: list[Warned]) -> None:
    """Warns of left and right points that are exchanged."""
    scheme = survey.records.scheme
    swaps = find_swaps(survey.landmarks_square_px, mean, scheme)
    if swaps.turned:
        _warn(
            warnings, "turned_round",
            f"in {swaps.turned:.0%} of the faces, left and right points seem to be exchanged: the "
            "objects turn round, or the order of points is reversed in many", survey, (),
            pairs=round(swaps.turned * len(survey)),
        )  # fmt: skip
    if swaps.whole:
        _warn(
            warnings, "swapped_faces",
            "all left and right points are exchanged, as of an image that was mirrored without "
            "its points' order", survey, (survey.keys[i] for i in swaps.whole),
        )  # fmt: skip
    if swaps.pairs:
        counts = collections.Counter(pair for pairs in swaps.pairs.values() for pair in pairs)
        often = ", ".join(f"{a}-{b} ({n})" for (a, b), n in counts.most_common(6))
        _warn(
            warnings, "swapped_pairs",
            f"points of symmetric pairs are exchanged; the pairs (faces): {often}", survey,
            (f"{survey.keys[i]} ({_named(pairs)})" for i, pairs in swaps.pairs.items()),
        )  # fmt: skip
    if wrong := reversed_on_average(mean, scheme):
        _warn(
            warnings, "reversed_mean",
            f"in the mean shape, what {scheme.name} calls left is right: {_named(wrong)}. All "
            "faces may be in another order of points", survey, survey.keys,
        )  # fmt: skip


def check_pairs(survey: Survey, faces: np.ndarray, warnings: list[Warned]) -> None:
    """Warns of pairs that the scheme should not, or should, declare, by some faces' mean shape."""
    scheme = survey.records.scheme
    shapes = survey.landmarks_square_px[faces].astype(np.float64)
    try:
        faults = pair_faults(shapes, scheme)
    except ValueError:  # there is no mean shape
        return
    if faults.wrong:
        instead = f" ({_named(faults.right)} do)" if faults.right else ""
        _warn(
            warnings, "wrong_pairs",
            f"pairs of {scheme.name} don't mirror each other in the mean shape: "
            f"{_named(faults.wrong)}{instead}. Do its numbers count from 0?", survey, (),
            pairs=len(faults.wrong),
        )  # fmt: skip
    if faults.forgotten:
        named = ", ".join(f"{a} and {b}" for a, b in faults.forgotten)
        _warn(
            warnings, "forgotten_pairs",
            f"points {named} are in no pair, but mirror each other in the mean shape: if they are "
            f"left and right, flips of {scheme.name} exchange their meaning", survey, (),
            pairs=len(faults.forgotten),
        )  # fmt: skip


def _named(pairs: list[tuple[int, int]]) -> str:
    return ", ".join(f"{a}-{b}" for a, b in pairs)


def check_duplicates(survey: Survey, warnings: list[Warned]) -> dict:
    """Warns of one image in two splits; returns figures for the report."""
    found = find_duplicates(survey.hashes, survey.thumbnails, survey.splits)
    between: collections.Counter[str] = collections.Counter()
    faces: dict[str, set[int]] = collections.defaultdict(set)
    for pair in found:
        name = f"{survey.splits[pair.first]} and {survey.splits[pair.second]}"
        between[name] += 1
        faces[survey.splits[pair.first]].add(pair.first)
    if found:
        _warn(
            warnings, "duplicates_across_splits",
            "pairs of images in different splits are the same but for slight changes: "
            + ", ".join(f"{name} {count}" for name, count in between.most_common()), survey,
            (
                f"{survey.keys[p.first]} = {survey.keys[p.second]}"
                for p in found[:_MOST_NAMED]
            ), pairs=len(found),
        )  # fmt: skip
    return {
        "pairs": dict(between),
        "faces_with_a_twin": {split: len(some) for split, some in sorted(faces.items())},
    }


def check_origin(survey: Survey, other: Survey, name: str, warnings: list[Warned]) -> dict:
    """Warns of landmarks that are off those of other records; returns figures for the report."""
    difference = origin_difference(survey, other)
    if difference.verdicts:
        _warn(
            warnings, "origin",
            f"landmarks are off those of {name} by the same amount in most faces: "
            + "; ".join(difference.verdicts), survey, (), pairs=difference.faces,
        )  # fmt: skip
    return {"other": name, **dataclasses.asdict(difference)}
