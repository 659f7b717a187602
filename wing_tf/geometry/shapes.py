"""Shapes: the mean in a box, which is the baseline of every model; alignment by similarities."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from wing_tf.geometry.affine import apply_affine, crop_matrix, invert, rows
from wing_tf.geometry.boxes import crop_square


def mean_shape(landmarks_px: np.ndarray, box_xyxy_px: np.ndarray) -> np.ndarray:
    """Returns the mean of shapes measured in the tight squares of their boxes.

    Args:
        landmarks_px: [N, K, 2]; NaN marks a missing point, which is left out.
        box_xyxy_px: [N, 4], in the same frame.

    Returns:
        [K, 2], in a frame in which the square spans -0.5 to 0.5; NaN for a point that is missing in
        all.
    """
    to_unit = crop_matrix(crop_square(box_xyxy_px, 1.0), (1, 1))
    shapes = apply_affine(to_unit, landmarks_px)
    counts = np.sum(np.isfinite(shapes), axis=0)
    return np.where(counts > 0, np.nansum(shapes, axis=0) / np.maximum(counts, 1), np.nan)


def place_shape_in_boxes(shape: np.ndarray, box_xyxy_px: np.ndarray) -> np.ndarray:
    """Places the shape [K, 2] of `mean_shape` in boxes [N, 4]; returns [N, K, 2] in their frame."""
    to_unit = crop_matrix(crop_square(box_xyxy_px, 1.0), (1, 1))
    return apply_affine(invert(to_unit), np.broadcast_to(shape, (len(box_xyxy_px), *shape.shape)))


def fit_similarity(points: Any, target: Any, *, weights: Any = None, xp: Any = np) -> Any:
    """Returns the similarity that brings points closest to target points, in closed form.

    The least-squares scale, rotation and shift (no mirror). With points p and targets q taken from
    their centers: a = sum(p . q) / sum(p . p), b = sum(p x q) / sum(p . p); the matrix is
    [[a, -b], [b, a]]. Points that coincide are mapped onto the target's center.

    Args:
        points: [..., K, 2].
        target: [K, 2] or [..., K, 2].
        weights: [..., K], of the points in the sums; 1 if None.
        xp: the array namespace.

    Returns:
        [..., 2, 3].

    Example:
        >>> square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        >>> fit_similarity(square, 3 * square + 5)
        array([[ 3., -0.,  5.],
               [ 0.,  3.,  5.]])

    Reference:
        Umeyama, 1991; for two dimensions Cootes and Taylor, 2004, appendix B.
    """
    share = _shares(weights, points, xp)[..., None]
    center, target_center = xp.sum(share * points, axis=-2), xp.sum(share * target, axis=-2)
    p, q = points - center[..., None, :], target - target_center[..., None, :]
    size = xp.sum(share * p * p, axis=(-2, -1))
    size = xp.where(size > 0, size, xp.ones_like(size))
    a = xp.sum(share * p * q, axis=(-2, -1)) / size
    b = xp.sum(share[..., 0] * (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]), axis=-1) / size
    x, y = center[..., 0], center[..., 1]
    return rows(
        xp,
        a, -b, target_center[..., 0] - a * x + b * y,
        b, a, target_center[..., 1] - b * x - a * y,
    )  # fmt: skip


def align_to(
    points: Any,
    target: Any,
    fallback: Any,
    *,
    weights: Any = None,
    max_scale_ratio: float = 4.0,
    xp: Any = np,
) -> tuple[Any, Any]:
    """Aligns points to target points, or says where that makes no sense.

    Points are of no use where one of them is not finite, where their spread is more than
    ``max_scale_ratio`` times off what the fallback expects (they all but coincide, say), or where
    the similarity's scale is more than that off the fallback's (their shape is another one).

    Args:
        points: [..., K, 2].
        target: [K, 2] or [..., K, 2].
        fallback: a similarity [2, 3] or [..., 2, 3], for points that are of no use.
        weights: [..., K], see `fit_similarity`.
        max_scale_ratio: see above.
        xp: the array namespace.

    Returns:
        The similarities [..., 2, 3], and the aligned points [..., K, 2]: the target itself for
        points that are of no use.
    """
    finite = xp.all(xp.isfinite(points), axis=(-2, -1))
    points = xp.where(finite[..., None, None], points, xp.zeros_like(points))
    matrix = fit_similarity(points, target, weights=weights, xp=xp)
    expected = fallback[..., 0, 0] ** 2 + fallback[..., 1, 0] ** 2
    zoom = (matrix[..., 0, 0] ** 2 + matrix[..., 1, 0] ** 2) / expected
    # The scale alone won't do: of points that coincide it is a quotient of rounding errors.
    share = _shares(weights, points, xp)
    spread = _variance(points, share, xp) * expected / _variance(target, share, xp)
    usable = finite
    for ratio in (zoom, spread):
        usable = usable & (ratio < max_scale_ratio**2) & (ratio > max_scale_ratio**-2)
    usable = usable[..., None, None]
    aligned = apply_affine(matrix, points, xp=xp)
    target = xp.broadcast_to(target, aligned.shape) if xp is np else target
    return xp.where(usable, matrix, fallback), xp.where(usable, aligned, target)


def _variance(points: Any, share: Any, xp: Any) -> Any:
    """Mean squared distance [...] of points [..., K, 2] from their center, by shares [..., K]."""
    centered = points - xp.sum(share[..., None] * points, axis=-2, keepdims=True)
    return xp.sum(share[..., None] * centered * centered, axis=(-2, -1))


def _shares(weights: Any, points: Any, xp: Any) -> Any:
    """Weights [..., K] over their sum; alike if None; 0 where all are 0."""
    weights = xp.ones_like(points[..., 0]) if weights is None else weights
    total = xp.sum(weights, axis=-1, keepdims=True)
    return weights / xp.where(total > 0, total, xp.ones_like(total))


def procrustes(
    landmarks_px: np.ndarray,
    flip_permutation: Sequence[int] | None = None,
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """Aligns shapes to their mean by similarities, until the mean stands still.

    Args:
        landmarks_px: [N, K, 2]; NaN marks a missing point, which is left out.
        flip_permutation: of the scheme; given, the mean is made symmetric: the mean of the shapes
            and of their mirror images.
        tolerance: how far a point of the mean may move in the last round.
        max_iterations: when to give up.

    Returns:
        The mean [K, 2], centered on 0, upright as the shapes are on average, with a root mean
        square distance of 1 from the center; and the aligned shapes [N, K, 2], NaN where a point is
        missing.

    Raises:
        ValueError: if the mean still moves after ``max_iterations``, if a point is missing in all
            shapes, or if all points of the mean coincide.

    Reference:
        Gower, Generalized Procrustes analysis, 1975; Wing paper, section 5.
    """
    if flip_permutation is not None and list(flip_permutation) == sorted(flip_permutation):
        flip_permutation = None  # no pair: there is no mirror line to be symmetric about
    present = np.all(np.isfinite(landmarks_px), axis=-1)
    if not np.all(present.any(axis=0)):
        raise ValueError("A landmark is missing in all faces: there is no mean shape.")
    shapes = np.where(present[..., None], np.asarray(landmarks_px, np.float64), 0.0)
    weights = present.astype(np.float64)
    centered = shapes - (np.sum(shapes, axis=1) / np.sum(weights, axis=1)[:, None])[:, None]
    mean = _standard(_mean_present(centered, present), flip_permutation)
    moved = np.inf
    for _ in range(max_iterations):
        aligned = apply_affine(fit_similarity(shapes, mean, weights=weights), shapes)
        new = _standard(_mean_present(aligned, present), flip_permutation)
        moved, mean = float(np.max(np.abs(new - mean))), new
        if moved <= tolerance:
            aligned = apply_affine(fit_similarity(shapes, mean, weights=weights), shapes)
            return mean, np.where(present[..., None], aligned, np.nan)
    raise ValueError(
        f"The mean shape still moved by {moved:.2g} after {max_iterations} rounds of alignment."
    )


def _mean_present(shapes: np.ndarray, present: np.ndarray) -> np.ndarray:
    counts = np.sum(present, axis=0)[:, None]
    return np.sum(np.where(present[..., None], shapes, 0.0), axis=0) / counts


def _standard(shape: np.ndarray, flip_permutation: Sequence[int] | None) -> np.ndarray:
    """Centers a shape [K, 2], scales it to unit size, and makes it symmetric if it can."""
    centered = shape - np.mean(shape, axis=0)
    if flip_permutation is not None:
        centered = (centered + centered[list(flip_permutation)] * [-1.0, 1.0]) / 2
    size = np.sqrt(np.mean(np.sum(centered**2, axis=-1)))
    if not size > 0:
        raise ValueError("All points of the mean shape coincide.")
    return centered / size
