"""Coordinates that mark a point as not annotated, as data sets and tools write them."""

import collections
import itertools

import numpy as np

from tfrecords_tools.sources.base import BadRecordError
from wing_tf.data import record_schema as schema

Marks = tuple[tuple[float, float], ...]

_USUAL_MARKS: Marks = ((-1.0, -1.0), (0.0, 0.0))


def parse_missing(text: str | None) -> Marks | None:
    """Returns the marks that an argument `missing` names; None if it names nothing.

    Args:
        text: "X,Y"; "none"; or None.

    Raises:
        ValueError: If the text is none of these.
    """
    if text is None:
        return None
    if text == "none":
        return ()
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        raise ValueError(
            f"`missing` must be two numbers such as -1,-1, or none. Received: missing={text!r}."
        ) from None
    return ((x, y),)


def made_of_missing(
    box: np.ndarray, points: np.ndarray, visibility: np.ndarray | None, missing: np.ndarray | None
) -> bool:
    """Whether a face box was made of points that are not annotated, too.

    Args:
        box: x0, y0, x1, y1, as annotated.
        points: [K, 2], as annotated.
        visibility: Int [K], or None.
        missing: The result of `find_missing`.
    """
    if missing is not None and np.any(np.all(abs(points[missing] - box[:2]) <= 1, axis=1)):
        return True
    if visibility is None:
        return False
    # A box of the whole image may begin at 0,0, too: compare all of its sides.
    absent = np.asarray(visibility) == schema.NOT_ANNOTATED
    if not np.any(absent & np.all(np.isin(points, (0.0, -1.0)), axis=1)):
        return False
    tight = np.concatenate([np.fmin.reduce(points), np.fmax.reduce(points)])
    return bool(np.all(abs(box - tight) <= 1))


def has_dropped_points(points: np.ndarray, visibility: np.ndarray | None) -> bool:
    """Whether a point that is not annotated by its visibility has coordinates.

    Args:
        points: [K, 2], as annotated; NaN, 0,0 and -1,-1 are no coordinates.
        visibility: Int [K], or None.
    """
    if visibility is None:
        return False
    dropped = points[np.asarray(visibility) == schema.NOT_ANNOTATED]
    marked = np.all(np.isin(dropped, (0.0, -1.0)), axis=1)
    return bool(np.any(np.isfinite(dropped).all(axis=1) & ~marked))


def find_missing(
    points: np.ndarray, visibility: np.ndarray | None, marks: Marks | None
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Finds the points that are marked as not annotated by their coordinates.

    Args:
        points: [K, 2], as annotated; NaN where there are no coordinates.
        visibility: Int [K], 0 for points that are known to be not annotated. None if no point is.
        marks: The source's marks. If None, -1,-1 and 0,0 are taken for marks, with a warning.

    Returns:
        Bool [K], or None if there is no such point, and warnings.

    Raises:
        BadRecordError: If many other points are at exactly one place, so that it may be a mark.
    """
    if marks == ():
        return None, ()
    # Not np.unique, which takes ten times as long for a face.
    places = list(map(tuple, points.tolist()))
    counts = collections.Counter(places)
    if visibility is not None:
        known = np.asarray(visibility) != schema.NOT_ANNOTATED
        counts.subtract(itertools.compress(places, ~known))
    missing, warnings = None, []
    for x, y in _USUAL_MARKS if marks is None else marks:
        if counts.pop((x, y), 0) <= 0:
            continue
        found = np.all(points == [x, y], axis=1)
        found = found if visibility is None else found & known
        missing = found if missing is None else missing | found
        if marks is None:
            warnings.append(
                f"points at exactly {x:g},{y:g} count as not annotated (missing={x:g},{y:g} says "
                "so, missing=none keeps them)"
            )
    count = max(counts.values(), default=0)
    # Closed eyes and lips: two or three landmarks may coincide.
    if count >= 4 or 3 <= count > counts.total() / 2:
        x, y = max(counts, key=lambda place: counts[place])
        raise BadRecordError(
            f"{count} points are at exactly {x:g},{y:g}. If this marks points that are not "
            f"annotated, set missing={x:g},{y:g}; if they are right, missing=none"
        )
    return missing, tuple(warnings)
