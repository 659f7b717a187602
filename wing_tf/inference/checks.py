"""Validation of images and face boxes."""

from typing import Any

import numpy as np

# Far beyond any image, and small enough for exact crop arithmetic.
_MAX_COORDINATE_PX = 1e7


def check_image(image: Any) -> None:
    """Raises ValueError if an image is not uint8 RGB [H, W, 3]."""
    if not isinstance(image, np.ndarray):
        raise ValueError(f"`image` must be uint8 RGB [H, W, 3]. Received: {type(image).__name__}.")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(
            f"`image` must be uint8 RGB [H, W, 3]. Received: {image.dtype} {image.shape}."
        )


def check_crops(crops: Any, side: int) -> None:
    """Raises ValueError if crops are not uint8 [N, side, side, 3]."""
    shape, dtype = getattr(crops, "shape", None), getattr(crops, "dtype", None)
    if not isinstance(crops, np.ndarray) or dtype != np.uint8 or crops.shape[1:] != (side, side, 3):
        raise ValueError(
            f"`crops` must be a uint8 array [N, {side}, {side}, 3]. Received: "
            f"{type(crops).__name__}, {dtype}, {shape}."
        )


def check_boxes(boxes_xyxy_px: Any) -> np.ndarray:
    """Returns boxes as float64 [N, 4]; raises ValueError if they are not valid."""
    try:
        boxes = np.asarray(boxes_xyxy_px, np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"`boxes_xyxy_px` must be [N, 4] numbers. Received: {boxes_xyxy_px!r}."
        ) from None
    if boxes.shape == (0,):  # an empty list
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"`boxes_xyxy_px` must be [N, 4]. Received: shape={boxes.shape}.")
    # NaN must fail this comparison, too.
    finite = np.all(np.abs(boxes) <= _MAX_COORDINATE_PX)
    if not finite or np.any(boxes[:, 2:] <= boxes[:, :2]):
        raise ValueError(
            "`boxes_xyxy_px` must be finite (at most 1e7 from 0), with x0 < x1 and y0 < y1. "
            f"Received: {boxes.tolist()}."
        )
    return boxes


def overlaps_image(boxes_xyxy_px: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Returns whether each box [N, 4] overlaps the image [H, W, 3]; bool [N]."""
    height, width = image.shape[:2]
    starts = boxes_xyxy_px[:, :2] < [width - 0.5, height - 0.5]
    return np.all((boxes_xyxy_px[:, 2:] > -0.5) & starts, axis=1)
