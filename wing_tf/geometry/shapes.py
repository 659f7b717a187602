"""Shapes relative to their boxes: the mean shape and its placement, the baseline of every model."""

import numpy as np

from wing_tf.geometry.affine import apply_affine, box_to_size, invert
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
    to_unit = box_to_size(crop_square(box_xyxy_px, 1.0), (1, 1))
    shapes = apply_affine(to_unit, landmarks_px)
    counts = np.sum(np.isfinite(shapes), axis=0)
    return np.where(counts > 0, np.nansum(shapes, axis=0) / np.maximum(counts, 1), np.nan)


def shape_in_box(shape: np.ndarray, box_xyxy_px: np.ndarray) -> np.ndarray:
    """Places the shape [K, 2] of `mean_shape` in boxes [N, 4]; returns [N, K, 2] in their frame."""
    to_unit = box_to_size(crop_square(box_xyxy_px, 1.0), (1, 1))
    return apply_affine(invert(to_unit), np.broadcast_to(shape, (len(box_xyxy_px), *shape.shape)))
