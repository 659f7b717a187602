"""Parts that the writers of annotation files share."""

import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from wing_tf.landmarks import LandmarkScheme

CATEGORY = "face"
"""Name of the kind of object."""

CENTER = 0.5
"""Coordinate of the first pixel's center in tools that draw on a plane."""

Images = Iterable[Mapping[str, Any]]
Files = Iterator[tuple[pathlib.Path, str]]


def landmark_labels(scheme: LandmarkScheme) -> list[str]:
    """Returns the names of the landmarks, or their indices."""
    return list(scheme.point_names) or [str(index) for index in range(scheme.num_landmarks)]


def occluded_flags(face: Mapping[str, Any]) -> list[bool]:
    """Returns which landmarks are more likely occluded than visible; none if not known."""
    visibility = face.get("visibility") or [None] * len(face["landmarks_px"])
    return [value is not None and value < 0.5 for value in visibility]


def drawn_edges(scheme: LandmarkScheme) -> list[tuple[int, int]]:
    """Returns the pairs of landmarks that drawings connect."""
    return [pair for line in scheme.lines for pair in zip(line, line[1:], strict=False)]


def tight_box(points: Iterable[Any]) -> tuple[float, float, float, float]:
    """Returns the tight box of the points that are known."""
    known = [point for point in points if point]
    xs, ys = zip(*known, strict=True) if known else ((0.0,), (0.0,))
    return min(xs), min(ys), max(xs), max(ys)


def joined(rows: list[str]) -> str:
    """Returns rows of a JSON list."""
    return ",\n".join(rows)
