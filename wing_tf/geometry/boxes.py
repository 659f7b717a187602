"""Boxes ``x0, y0, x1, y1`` in continuous pixel coordinates."""

from typing import Any

import numpy as np


def landmark_box(landmarks_px: np.ndarray) -> np.ndarray:
    """Returns the tight box [..., 4] of landmarks [..., K, 2].

    Points that are NaN are left out; where all are, the box is NaN.
    """
    low, high = np.fmin.reduce(landmarks_px, axis=-2), np.fmax.reduce(landmarks_px, axis=-2)
    return np.concatenate([low, high], axis=-1)


def crop_square(box_xyxy_px: Any, margin: float, xp: Any = np) -> Any:
    """Returns the square round a box: same center, side ``margin`` times the box's longer side.

    Args:
        box_xyxy_px: [..., 4].
        margin: 1 for the tight square, 2 for twice its side.
        xp: the array namespace.

    Returns:
        [..., 4].

    Example:
        >>> crop_square(np.array([10.0, 0.0, 20.0, 20.0]), 1.5)
        array([ 0., -5., 30., 25.])
    """
    low, high = box_xyxy_px[..., :2], box_xyxy_px[..., 2:]
    center = (low + high) / 2
    half = xp.max(high - low, axis=-1, keepdims=True) * (margin / 2)
    return xp.concatenate([center - half, center + half], axis=-1)


def crop_region(box_xyxy_px: Any, margin: float, square: bool = True, xp: Any = np) -> Any:
    """Returns what a network sees of a face: `crop_square`, or the box with each side enlarged.

    Args:
        box_xyxy_px: [..., 4].
        margin: times the longer side, or times each side if not ``square``.
        square: the square on the longer side; else the box keeps its shape.
        xp: the array namespace.

    Returns:
        [..., 4].

    Example:
        >>> crop_region(np.array([10.0, 0.0, 20.0, 20.0]), 1.5, square=False)
        array([ 7.5, -5. , 22.5, 25. ])
    """
    if square:
        return crop_square(box_xyxy_px, margin, xp=xp)
    low, high = box_xyxy_px[..., :2], box_xyxy_px[..., 2:]
    center, half = (low + high) / 2, (high - low) * (margin / 2)
    return xp.concatenate([center - half, center + half], axis=-1)


def perturb_box(
    box_xyxy_px: np.ndarray, amount: float, generator: np.random.Generator
) -> np.ndarray:
    """Shifts and scales boxes as a foreign detector would.

    Each box is shifted by up to ``amount`` of its longer side in x and in y and scaled by a factor
    between 1 - ``amount`` and 1 + ``amount``, all uniform.

    Args:
        box_xyxy_px: [N, 4].
        amount: a fraction, such as 0.1.
        generator: the source of the numbers.

    Returns:
        [N, 4].
    """
    low, high = box_xyxy_px[:, :2], box_xyxy_px[:, 2:]
    side = np.max(high - low, axis=1, keepdims=True)
    draws = generator.uniform(-amount, amount, size=(len(box_xyxy_px), 3))
    center = (low + high) / 2 + draws[:, :2] * side
    half = (high - low) / 2 * (1 + draws[:, 2:])
    return np.concatenate([center - half, center + half], axis=1)


def box_iou(box_xyxy_px: np.ndarray, other_xyxy_px: np.ndarray) -> np.ndarray:
    """Returns the intersection over union [...] of boxes [..., 4], which may broadcast."""
    low = np.maximum(box_xyxy_px[..., :2], other_xyxy_px[..., :2])
    high = np.minimum(box_xyxy_px[..., 2:], other_xyxy_px[..., 2:])
    intersection = np.prod(np.maximum(high - low, 0.0), axis=-1)
    areas = [np.prod(b[..., 2:] - b[..., :2], axis=-1) for b in (box_xyxy_px, other_xyxy_px)]
    return intersection / (areas[0] + areas[1] - intersection)


def shrink_ratio(span_px: float, size: int, side: int = 0) -> int:
    """Returns by how much an image may be shrunk before a crop of it is sampled bilinearly.

    The largest of 1, 2, 4, 8 that leaves the crop at least ``size`` pixels, within a tenth, so that
    nothing is lost; at most about 1.8 pixels are left for one of the result's, which one bilinear
    sample covers.

    Args:
        span_px: the crop's side in the image's pixels.
        size: the result's side in pixels.
        side: the image's side; only ratios that divide it are taken. 0: any.

    Example:
        >>> shrink_ratio(147.2, 64)
        2
    """
    ratios = (r for r in (1, 2, 4, 8) if r == 1 or span_px / r >= 0.9 * size)
    return max(r for r in ratios if side % r == 0)
