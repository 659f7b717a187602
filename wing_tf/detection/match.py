"""Matching of detected boxes with an annotated face."""

import numpy as np

from wing_tf.geometry import box_iou, crop_square, landmark_box

_MIN_INSIDE = 0.5  # fraction of the landmarks that the box must contain
_MAX_SIDE_RATIO = 6.0  # side of the box over the longer side of the landmarks' box


def matching_box(boxes_xyxy_px: np.ndarray, landmarks_px: np.ndarray) -> np.ndarray | None:
    """Returns the box that detects an annotated face, as it was given. None if there is none.

    A box matches if it contains the center of the landmarks and at least half of them; overlap
    would not do, because a scheme may cover the whole face or the eyes only. Of several, the box
    that contains the most landmarks is returned, and of these the one with the largest overlap with
    the landmark square.

    Args:
        boxes_xyxy_px: Detected boxes [N, 4], or [N, 5] with detection scores.
        landmarks_px: Ground truth landmarks [K, 2], NaN if not annotated.
    """
    known = landmarks_px[np.isfinite(landmarks_px).all(axis=1)]
    if not len(boxes_xyxy_px) or not len(known):
        return None
    tight = landmark_box(known)
    middle = (tight[:2] + tight[2:]) / 2
    low, high = boxes_xyxy_px[:, :2], boxes_xyxy_px[:, 2:4]
    inside = ((known >= low[:, None]) & (known <= high[:, None])).all(axis=-1)
    fractions = inside.mean(axis=1)
    holds = ((middle >= low) & (middle <= high)).all(axis=1)
    fits = holds & (fractions >= _MIN_INSIDE)
    if has_size(known):
        sides = np.max(high - low, axis=1)
        fits &= sides <= _MAX_SIDE_RATIO * np.max(tight[2:] - tight[:2])
    if not fits.any():
        return None
    overlaps = box_iou(boxes_xyxy_px, crop_square(tight, 1.0))
    return boxes_xyxy_px[np.lexsort((overlaps, fractions, fits))[-1]]


def has_size(landmarks_px: np.ndarray) -> bool:
    """Returns whether at least two annotated landmarks [K, 2] differ."""
    tight = landmark_box(landmarks_px)
    return bool(np.max(tight[2:] - tight[:2]) > 0)  # also False if all are NaN
