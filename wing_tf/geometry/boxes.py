"""Boxes (x0, y0, x1, y1) in continuous pixel coordinates."""

from typing import Any

import numpy as np


def landmark_box(landmarks_px: np.ndarray) -> np.ndarray:
    """Returns the tight box [..., 4] of landmarks [..., K, 2].

    Landmarks that are NaN are ignored. If all are NaN, so is the box.
    """
    low, high = np.fmin.reduce(landmarks_px, axis=-2), np.fmax.reduce(landmarks_px, axis=-2)
    return np.concatenate([low, high], axis=-1)


def relative_box(box_xyxy_px: np.ndarray, landmarks_px: np.ndarray) -> np.ndarray:
    """Returns boxes in the frame of the tight landmark boxes of the same faces.

    Args:
        box_xyxy_px: Boxes [..., 4].
        landmarks_px: Landmarks [..., K, 2]; NaN are ignored.

    Returns:
        Boxes [..., 4] from the center of the tight boxes, in units of their longer sides.
    """
    center, side = _frame(landmarks_px)
    return (box_xyxy_px - np.tile(center, 2)) / side


def place_box(relative_xyxy: np.ndarray, landmarks_px: np.ndarray) -> np.ndarray:
    """Returns the boxes [..., 4] of faces with landmarks [..., K, 2]: inverts `relative_box`."""
    center, side = _frame(landmarks_px)
    return np.tile(center, 2) + side * relative_xyxy


def _frame(landmarks_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns centers [..., 2] and longer sides [..., 1] of tight landmark boxes."""
    tight = landmark_box(landmarks_px)
    low, high = tight[..., :2], tight[..., 2:]
    return (low + high) / 2, np.max(high - low, axis=-1, keepdims=True)


def crop_square(box_xyxy_px: Any, margin: float, xp: Any = np) -> Any:
    """Returns the square of side ``margin`` times a box's longer side and of the same center.

    Args:
        box_xyxy_px: Boxes [..., 4].
        margin: 1 for the tight square, 2 for twice its side.
        xp: Array namespace. Defaults to NumPy.

    Returns:
        Boxes [..., 4].

    Examples:
        >>> crop_square(np.array([10.0, 0.0, 20.0, 20.0]), 1.5)
        array([ 0., -5., 30., 25.])
    """
    low, high = box_xyxy_px[..., :2], box_xyxy_px[..., 2:]
    center = (low + high) / 2
    half = xp.max(high - low, axis=-1, keepdims=True) * (margin / 2)
    return xp.concatenate([center - half, center + half], axis=-1)


def crop_region(box_xyxy_px: Any, margin: float, square: bool = True, xp: Any = np) -> Any:
    """Returns the region that is cropped for a network: an enlarged square or an enlarged box.

    Args:
        box_xyxy_px: Face boxes [..., 4].
        margin: Factor by which the box is enlarged.
        square: Whether to return `crop_square` or a box of the same aspect ratio. Defaults to
            True.
        xp: Array namespace. Defaults to NumPy.

    Returns:
        Boxes [..., 4].

    Examples:
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
    """Shifts and scales boxes [N, 4] at random to simulate another face detector.

    Each box is shifted in x and in y by up to ``amount`` of its longer side and scaled by a factor
    between 1 - ``amount`` and 1 + ``amount``, all uniformly distributed.
    """
    low, high = box_xyxy_px[:, :2], box_xyxy_px[:, 2:]
    side = np.max(high - low, axis=1, keepdims=True)
    draws = generator.uniform(-amount, amount, size=(len(box_xyxy_px), 3))
    center = (low + high) / 2 + draws[:, :2] * side
    half = (high - low) / 2 * (1 + draws[:, 2:])
    return np.concatenate([center - half, center + half], axis=1)


def box_iou(box_xyxy_px: np.ndarray, other_xyxy_px: np.ndarray) -> np.ndarray:
    """Returns the intersection over union [...] of boxes [..., 4], which broadcast.

    Columns after the fourth, such as scores, are ignored.
    """
    low = np.maximum(box_xyxy_px[..., :2], other_xyxy_px[..., :2])
    high = np.minimum(box_xyxy_px[..., 2:4], other_xyxy_px[..., 2:4])
    sides = [np.maximum(high - low, 0.0)]
    sides += [b[..., 2:4] - b[..., :2] for b in (box_xyxy_px, other_xyxy_px)]
    intersection, area, other_area = (side[..., 0] * side[..., 1] for side in sides)
    return intersection / (area + other_area - intersection)


def shrink_ratio(crop_side_px: float, output_side_px: int, image_side_px: int = 0) -> int:
    """Returns by how much an image may be shrunk before a crop is sampled from it bilinearly.

    Antialiasing needs at most about 1.8 pixels of the shrunk image for each output pixel, which
    one bilinear sample covers. No detail is lost if the shrunk crop has at least .9 times as many
    pixels as the output. The ratio is the largest of 1, 2, 4 and 8 that satisfies this.

    Args:
        crop_side_px: Side of the crop in pixels of the image.
        output_side_px: Side of the output in pixels.
        image_side_px: Side of the image in pixels, which the ratio must divide. Defaults to 0, no
            such restriction.

    Examples:
        >>> shrink_ratio(147.2, 64)
        2
    """
    ratios = (r for r in (1, 2, 4, 8) if r == 1 or crop_side_px / r >= 0.9 * output_side_px)
    return max(r for r in ratios if image_side_px % r == 0)
