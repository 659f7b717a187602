"""Antialiased crops of pictures on the host."""

import cv2
import numpy as np

from wing_tf.geometry.affine import box_to_size

_LARGEST_SAMPLED_SIDE = 8192


def crop_resample(image: np.ndarray, box_xyxy_px: np.ndarray, size_hw: tuple[int, int]):
    """Cuts a box out of a picture and scales it, exactly placed and antialiased.

    The box need not lie on whole pixels or inside the picture: what lies outside is black. To scale
    down by s, the picture is sampled bilinearly on a grid ceil(s) times as fine as the result and
    whole blocks are averaged, so that every source pixel counts and nothing shifts.

    Args:
        image: uint8 [H, W, C] or [H, W].
        box_xyxy_px: [4], continuous coordinates (see `wing_tf.geometry`).
        size_hw: the result's height and width.

    Returns:
        The crop, uint8 [h, w, C], and the map [2, 3] of source pixels to crop pixels.

    Raises:
        ValueError: if the box is empty or not finite.
    """
    box = np.asarray(box_xyxy_px, np.float64)
    if not np.all(np.isfinite(box)) or np.any(box[2:] - box[:2] <= 0):
        raise ValueError(
            f"`box_xyxy_px` must be finite, with x0 < x1 and y0 < y1. Received: {box.tolist()}."
        )
    height, width = size_hw
    source_to_crop = box_to_size(box, size_hw)
    shrink = max((box[2] - box[0]) / width, (box[3] - box[1]) / height)
    factor = min(max(1, int(np.ceil(shrink - 1e-6))), _LARGEST_SAMPLED_SIDE // max(size_hw))
    fine = cv2.warpAffine(
        image,
        box_to_size(box, (height * factor, width * factor)),
        (width * factor, height * factor),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    if factor > 1:
        fine = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    return fine, source_to_crop
