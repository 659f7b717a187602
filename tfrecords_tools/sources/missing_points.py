"""Coordinates that mark a point as not annotated, as data sets and tools write them."""

import numpy as np

from tfrecords_tools.sources.base import BadRecordError

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


def find_missing(
    points: np.ndarray, annotated: np.ndarray, marks: Marks | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Finds the points that are marked as not annotated by their coordinates.

    Args:
        points: [K, 2], as annotated; NaN where there are no coordinates.
        annotated: Bool [K], false for points that are known to be not annotated.
        marks: The source's marks. If None, -1,-1 and 0,0 are taken for marks, with a warning.

    Returns:
        Bool [K], and warnings.

    Raises:
        BadRecordError: If many other points are at exactly one place, so that it may be a mark.
    """
    warnings = []
    missing = np.zeros(len(points), bool)
    for x, y in _USUAL_MARKS if marks is None else marks:
        found = annotated & np.all(points == [x, y], axis=1)
        missing |= found
        if marks is None and np.any(found):
            warnings.append(
                f"points at exactly {x:g},{y:g} count as not annotated (missing={x:g},{y:g} says "
                "so, missing=none keeps them)"
            )
    known = points[annotated & ~missing]
    if marks != () and len(known):
        places, counts = np.unique(known, axis=0, return_counts=True)
        most = int(np.argmax(counts))
        # Closed eyes and lips: two or three landmarks may coincide.
        if counts[most] >= 4 or 3 <= counts[most] > len(known) / 2:
            x, y = places[most]
            raise BadRecordError(
                f"{counts[most]} points are at exactly {x:g},{y:g}. If this marks points that are "
                f"not annotated, set missing={x:g},{y:g}; if they are right, missing=none"
            )
    return missing, tuple(warnings)
