"""Smooth curves through landmarks, and points at given fractions of their length."""

from collections.abc import Callable

import numpy as np

_SAMPLES = 6


def spline(points: np.ndarray, samples: int) -> np.ndarray:
    """Returns a Catmull-Rom curve through points `[N, D]`, with `samples` a segment."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, samples, endpoint=False)[:, None]
    pieces = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        cubic = -p0 + 3 * p1 - 3 * p2 + p3
        pieces.append(p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * cubic)))
    return np.concatenate([*pieces, points[-1:]])


def spaced_along(
    points: np.ndarray, fractions: np.ndarray, flatten: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Moves points along the curve through them to fractions of its length.

    Args:
        points: `[N, 3]`.
        fractions: `[N]`, ascending from 0 to 1.
        flatten: Maps points `[M, 3]` to the plane `[M, 2]` in which lengths are measured.
    """
    dense = spline(points, _SAMPLES)
    steps = np.linalg.norm(np.diff(flatten(dense), axis=0), axis=1)
    walked = np.concatenate([[0], np.cumsum(steps)])
    return np.stack([np.interp(fractions * walked[-1], walked, axis) for axis in dense.T], -1)
