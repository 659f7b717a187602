"""Validation of images, face boxes and thresholds."""

import numbers
from typing import Any

import numpy as np

from wing_tf.detection import gives_boxes
from wing_tf.model_spec import ModelSpec

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
    """Returns boxes as float64 [N, 4] or [N, 5]; raises ValueError if they are not valid.

    The fifth column is the detection score in 0..1, NaN where it is unknown.
    """
    try:
        boxes = np.asarray(boxes_xyxy_px, np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"`boxes_xyxy_px` must be [N, 4] or [N, 5] numbers. Received: {boxes_xyxy_px!r}."
        ) from None
    if boxes.shape == (0,):  # an empty list
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] not in (4, 5):
        raise ValueError(
            "`boxes_xyxy_px` must be [N, 4], or [N, 5] with detection scores. "
            f"Received: shape={boxes.shape}."
        )
    # NaN must fail this comparison, too.
    finite = np.all(np.abs(boxes[:, :4]) <= _MAX_COORDINATE_PX)
    if not finite or np.any(boxes[:, 2:4] <= boxes[:, :2]):
        raise ValueError(
            "`boxes_xyxy_px` must be finite (at most 1e7 from 0), with x0 < x1 and y0 < y1. "
            f"Received: {boxes.tolist()}."
        )
    scores = boxes[:, 4:]
    if np.any((scores < 0) | (scores > 1)):
        raise ValueError(
            "The fifth column of `boxes_xyxy_px`, the detection score, must be 0 to 1. "
            f"Received: {scores[:, 0].tolist()}."
        )
    return boxes


def check_min_score(min_score: float | None, spec: ModelSpec, detector: Any = None) -> float:
    """Returns the threshold of scores.

    None is that of the calibration, or 0 without one or for a detector of given boxes.
    """
    calibration = spec.score_calibration
    if min_score is None:
        return 0.0 if calibration is None or gives_boxes(detector) else calibration.min_score
    if not isinstance(min_score, numbers.Real) or not 0 <= min_score <= 1:
        raise ValueError(f"`min_score` must be 0 to 1. Received: min_score={min_score!r}.")
    if calibration is None and min_score > 0:
        raise ValueError(
            "`min_score` needs a model with calibrated scores: train it with at least 50 "
            "validation faces, or export it with their records (wing-export --data). Received: "
            f"min_score={min_score!r}."
        )
    return float(min_score)


def detection_scores(boxes_xyxy_px: np.ndarray) -> list[float | None]:
    """Returns the detection score of each box; None for boxes [N, 4], and for NaN in [N, 5]."""
    if boxes_xyxy_px.shape[1] == 4:
        return [None] * len(boxes_xyxy_px)
    return [None if np.isnan(score) else float(score) for score in boxes_xyxy_px[:, 4]]


def check_overlap(boxes_xyxy_px: np.ndarray, image: np.ndarray) -> None:
    """Raises ValueError if a box [N, 4] or [N, 5] does not overlap the image [H, W, 3]."""
    if not (inside := overlaps_image(boxes_xyxy_px, image)).all():
        raise ValueError(
            f"A box lies outside of the image of {image.shape[1]} x {image.shape[0]} pixels. "
            f"Received: {boxes_xyxy_px[~inside][0].tolist()}."
        )


def overlaps_image(boxes_xyxy_px: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Returns whether each box [N, 4] or [N, 5] overlaps the image [H, W, 3]; bool [N]."""
    height, width = image.shape[:2]
    starts = boxes_xyxy_px[:, :2] < [width - 0.5, height - 0.5]
    return np.all((boxes_xyxy_px[:, 2:4] > -0.5) & starts, axis=1)
