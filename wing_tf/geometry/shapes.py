"""Mean shapes and their alignment by similarity transforms."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from wing_tf.geometry.affine import apply_affine, crop_matrix, invert, stack_matrix
from wing_tf.geometry.boxes import crop_square


def mean_shape(landmarks_px: np.ndarray, box_xyxy_px: np.ndarray) -> np.ndarray:
    """Returns the mean shape of faces, relative to the squares around their boxes.

    It is what a model without an image would predict, the baseline of every evaluation.

    Args:
        landmarks_px: Landmarks [N, K, 2]; NaN where not annotated.
        box_xyxy_px: Face boxes [N, 4] in the same frame.

    Returns:
        Shape [K, 2] in a frame in which the tight square spans -0.5 to 0.5; NaN for a landmark
        that no face has.
    """
    to_unit = crop_matrix(crop_square(box_xyxy_px, 1.0), (1, 1))
    shapes = apply_affine(to_unit, landmarks_px)
    counts = np.sum(np.isfinite(shapes), axis=0)
    return np.where(counts > 0, np.nansum(shapes, axis=0) / np.maximum(counts, 1), np.nan)


def place_shape_in_boxes(shape: np.ndarray, box_xyxy_px: np.ndarray) -> np.ndarray:
    """Returns the shape [K, 2] of `mean_shape` placed in boxes [N, 4]: landmarks [N, K, 2]."""
    to_unit = crop_matrix(crop_square(box_xyxy_px, 1.0), (1, 1))
    return apply_affine(invert(to_unit), np.broadcast_to(shape, (len(box_xyxy_px), *shape.shape)))


def as_complex(points: np.ndarray) -> np.ndarray:
    """Returns points [..., 2] as complex numbers x + i y [...], whose products rotate and scale."""
    return np.ascontiguousarray(points, np.float64).view(np.complex128)[..., 0]


def fit_similarity(points: Any, target: Any, *, weights: Any = None, xp: Any = np) -> Any:
    """Returns the similarity transform that maps points to target points with least squares.

    The transform is a scale, a rotation and a translation without reflection, in closed form. With
    points p and targets q relative to their centers, a = sum(p . q) / sum(p . p) and
    b = sum(p x q) / sum(p . p), its linear part is [[a, -b], [b, a]]. If all points coincide, they
    are mapped to the target's center.

    Args:
        points: Points [..., K, 2].
        target: Target points [K, 2] or [..., K, 2].
        weights: Weights [..., K] of the points. Defaults to equal weights.
        xp: Array namespace. Defaults to NumPy.

    Returns:
        Matrices [..., 2, 3].

    Examples:
        >>> square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        >>> fit_similarity(square, 3 * square + 5)
        array([[ 3., -0.,  5.],
               [ 0.,  3.,  5.]])

    Reference:
        Umeyama, 1991; for two dimensions Cootes and Taylor, 2004, appendix B.
    """
    weight = _normalized(weights, points, xp)[..., None]
    center, target_center = xp.sum(weight * points, axis=-2), xp.sum(weight * target, axis=-2)
    p, q = points - center[..., None, :], target - target_center[..., None, :]
    variance = xp.sum(weight * p * p, axis=(-2, -1))
    variance = xp.where(variance > 0, variance, xp.ones_like(variance))
    a = xp.sum(weight * p * q, axis=(-2, -1)) / variance
    cross = p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]
    b = xp.sum(weight[..., 0] * cross, axis=-1) / variance
    x, y = center[..., 0], center[..., 1]
    return stack_matrix(
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
    """Aligns points to target points, with a fallback for points that can't be aligned.

    Points can't be aligned if one of them is not finite, if their spread differs from what the
    fallback expects by a factor of more than ``max_scale_ratio`` (for example if they nearly
    coincide), or if the scale of the fitted similarity differs from the fallback's by more than
    that factor (for example if their shape is a different one).

    Args:
        points: Points [..., K, 2].
        target: Target points [K, 2] or [..., K, 2].
        fallback: Similarity [2, 3] or [..., 2, 3] for points that can't be aligned.
        weights: Weights [..., K]; see `fit_similarity`. Defaults to equal weights.
        max_scale_ratio: Limit of both factors. Defaults to 4.
        xp: Array namespace. Defaults to NumPy.

    Returns:
        Similarities [..., 2, 3], and aligned points [..., K, 2], which are the target points if the
        points can't be aligned.
    """
    finite = xp.all(xp.isfinite(points), axis=(-2, -1))
    points = xp.where(finite[..., None, None], points, xp.zeros_like(points))
    matrix = fit_similarity(points, target, weights=weights, xp=xp)
    expected = fallback[..., 0, 0] ** 2 + fallback[..., 1, 0] ** 2
    scale = (matrix[..., 0, 0] ** 2 + matrix[..., 1, 0] ** 2) / expected
    # The scale alone does not suffice: if points coincide, it is a quotient of rounding errors.
    weight = _normalized(weights, points, xp)
    spread = _variance(points, weight, xp) * expected / _variance(target, weight, xp)
    usable = finite
    for ratio in (scale, spread):
        usable = usable & (ratio < max_scale_ratio**2) & (ratio > max_scale_ratio**-2)
    usable = usable[..., None, None]
    aligned = apply_affine(matrix, points, xp=xp)
    target = xp.broadcast_to(target, aligned.shape) if xp is np else target
    return xp.where(usable, matrix, fallback), xp.where(usable, aligned, target)


def _variance(points: Any, weight: Any, xp: Any) -> Any:
    """Returns the weighted mean squared distance of points [..., K, 2] from their center."""
    centered = points - xp.sum(weight[..., None] * points, axis=-2, keepdims=True)
    return xp.sum(weight[..., None] * centered * centered, axis=(-2, -1))


def _normalized(weights: Any, points: Any, xp: Any) -> Any:
    """Returns weights [..., K] whose sum is 1, or 0 if all weights are 0."""
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
    """Generalized Procrustes analysis: aligns shapes to their mean until the mean converges.

    Args:
        landmarks_px: Shapes [N, K, 2]; NaN where a landmark is not annotated.
        flip_permutation: Flip permutation of the scheme, to average the shapes and their mirror
            images, so that the mean is symmetric. Defaults to None, no symmetry.
        tolerance: Largest change of a coordinate of the mean at convergence. Defaults to 1e-6.
        max_iterations: Maximum number of iterations. Defaults to 100.

    Returns:
        The mean [K, 2], centered on 0, of the shapes' average orientation, with a root mean square
        distance of 1 from the center; and the aligned shapes [N, K, 2], NaN where a landmark is not
        annotated.

    Raises:
        ValueError: If the mean does not converge, a landmark is not annotated in any shape, or all
            points of the mean coincide.

    Reference:
        Gower, Generalized Procrustes analysis, 1975; Wing paper, section 5.
    """
    if flip_permutation is not None and list(flip_permutation) == sorted(flip_permutation):
        flip_permutation = None  # Without a pair there is no axis of symmetry.
    annotated = np.all(np.isfinite(landmarks_px), axis=-1)
    if not np.all(annotated.any(axis=0)):
        raise ValueError("A landmark is not annotated in any face: there is no mean shape.")
    shapes = np.where(annotated[..., None], np.asarray(landmarks_px, np.float64), 0.0)
    weights = annotated.astype(np.float64)
    centered = shapes - (np.sum(shapes, axis=1) / np.sum(weights, axis=1)[:, None])[:, None]
    mean = _standardize(_mean_annotated(centered, annotated), flip_permutation)
    moved = np.inf
    for _ in range(max_iterations):
        aligned = apply_affine(fit_similarity(shapes, mean, weights=weights), shapes)
        new = _standardize(_mean_annotated(aligned, annotated), flip_permutation)
        moved, mean = float(np.max(np.abs(new - mean))), new
        if moved <= tolerance:
            aligned = apply_affine(fit_similarity(shapes, mean, weights=weights), shapes)
            return mean, np.where(annotated[..., None], aligned, np.nan)
    raise ValueError(
        f"The mean shape must converge within {max_iterations} iterations. "
        f"Received: a change of {moved:.2g} in the last one."
    )


def _mean_annotated(shapes: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    counts = np.sum(annotated, axis=0)[:, None]
    return np.sum(np.where(annotated[..., None], shapes, 0.0), axis=0) / counts


def _standardize(shape: np.ndarray, flip_permutation: Sequence[int] | None) -> np.ndarray:
    """Centers a shape [K, 2], scales it to unit size and makes it symmetric if it has pairs."""
    centered = shape - np.mean(shape, axis=0)
    if flip_permutation is not None:
        centered = (centered + centered[list(flip_permutation)] * [-1.0, 1.0]) / 2
    size = np.sqrt(np.mean(np.sum(centered**2, axis=-1)))
    if not size > 0:
        raise ValueError("All points of the mean shape coincide.")
    return centered / size
