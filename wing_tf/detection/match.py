"""Which of a detector's boxes is a face's."""

import numpy as np

from wing_tf.geometry import box_iou, crop_square, landmark_box

_LEAST_SHARE = 0.5  # of the landmarks
_LARGEST = 6.0  # over the landmarks' longer side


def matching_box(boxes_xyxy_px: np.ndarray, landmarks_px: np.ndarray) -> np.ndarray | None:
    """Returns the box [4] that finds a face; None if none does, or no landmark is known.

    Schemes may fill a face or be of its eyes only, so what counts is what a box holds: the middle
    of the landmarks and half of them at least. Of several, the one that holds most, and of these
    the one that overlaps most with the square round the landmarks.

    Args:
        boxes_xyxy_px: a detector's [N, 4].
        landmarks_px: the true ones [K, 2], NaN where missing.
    """
    known = landmarks_px[np.isfinite(landmarks_px).all(axis=1)]
    if not len(boxes_xyxy_px) or not len(known):
        return None
    tight = landmark_box(known)
    middle = (tight[:2] + tight[2:]) / 2
    low, high = boxes_xyxy_px[:, :2], boxes_xyxy_px[:, 2:]
    inside = ((known >= low[:, None]) & (known <= high[:, None])).all(axis=-1)
    shares = inside.mean(axis=1)
    holds = ((middle >= low) & (middle <= high)).all(axis=1)
    fits = holds & (shares >= _LEAST_SHARE)
    if has_size(known):
        sides = np.max(high - low, axis=1)
        fits &= sides <= _LARGEST * np.max(tight[2:] - tight[:2])
    if not fits.any():
        return None
    overlaps = box_iou(boxes_xyxy_px, crop_square(tight, 1.0))
    return boxes_xyxy_px[np.lexsort((overlaps, shares, fits))[-1]]


def has_size(landmarks_px: np.ndarray) -> bool:
    """Returns whether two known landmarks [K, 2] are apart: nothing can be measured otherwise."""
    tight = landmark_box(landmarks_px)
    return bool(np.max(tight[2:] - tight[:2]) > 0)  # False where all are NaN, too
