"""Face boxes by crop rule."""

import threading

import numpy as np

from tfrecords_tools.sources.base import BadRecordError, Face
from wing_tf.data.crop_rules import CropRule
from wing_tf.detection import BlazeFaceDetector, matching_box
from wing_tf.geometry import landmark_box

_MIN_SIDE_PX = 2.0
_LEVELS = 3  # of BlazeFace: annotated faces may be small, beside large ones
_local = threading.local()  # one detector per thread, because a shared one runs one at a time


def face_box(face: Face, rule: CropRule) -> np.ndarray:
    """Returns the box [4] of a face by a crop rule, in pixels of its image.

    Raises:
        BadRecordError: If the rule needs the data set's box and there is none, the detector does
            not find the face (`wing_tf.detection.matching_box`), or the box is smaller than 2 px.
    """
    if rule.box == "detector":
        box = _detect(face)
    elif rule.box == "landmark" or (rule.box == "dataset_or_landmark" and face.box_xyxy_px is None):
        box = landmark_box(face.landmarks_px)
    elif face.box_xyxy_px is None:
        raise BadRecordError(
            f"the crop rule {rule.name} needs the data set's box, which this face lacks"
        )
    elif rule.box in ("dataset", "dataset_or_landmark"):
        box = face.box_xyxy_px
    else:
        widened = rule.box == "awing_code_widened"
        box = awing_box(face.box_xyxy_px, face.landmarks_px if widened else None)
    sides = box[2:] - box[:2]
    if np.max(sides) < _MIN_SIDE_PX or (not rule.square and np.min(sides) < _MIN_SIDE_PX):
        raise BadRecordError(
            f"the {rule.box} box is smaller than {_MIN_SIDE_PX:g} px: {np.round(box, 3).tolist()}"
        )
    return box


def _detect(face: Face) -> np.ndarray:
    if not hasattr(_local, "detector"):
        _local.detector = BlazeFaceDetector(levels=_LEVELS)
    box = matching_box(_local.detector(face.image), face.landmarks_px)
    if box is None:
        raise BadRecordError("the detector does not find the face")
    return box[:4]


def awing_box(box_xyxy_px: np.ndarray, landmarks_px: np.ndarray | None = None) -> np.ndarray:
    """Returns the square crop [4] of Adaptive Wing's published code.

    The box is padded by a fortieth of its width and height on each side (whole pixels, not beyond
    the image's left and top edges). A square of side .8 (w + h) around its center is resized to
    450 pixels, and the network sees the central 360.

    Args:
        box_xyxy_px: [4], the data set's box.
        landmarks_px: [K, 2], the ground truth: the square is enlarged until all landmarks are in
            10 .. 440 of its 450 pixels, and the network sees all of it if one is outside
            5 .. 250 of its 256. None for a crop that does not use the ground truth.
    """
    left, top, right, bottom = np.trunc(np.asarray(box_xyxy_px, np.float64))
    pad_x, pad_y = int(0.05 * (right - left) / 2), int(0.05 * (bottom - top) / 2)
    left, top = max(0.0, left - pad_x), max(0.0, top - pad_y)
    right, bottom = right + pad_x, bottom + pad_y
    center = np.array([left + right, top + bottom]) / 2
    width_plus_height = (right - left) + (bottom - top)
    side, visible_fraction = 0.8 * width_plus_height, 360 / 450
    if landmarks_px is not None:
        known = landmarks_px[np.isfinite(landmarks_px).all(axis=-1)]
        min_offset, max_offset = np.min(known - center), np.max(known - center)
        factor = 250.0

        def in_square(value, side, pixels):
            return (value / side + 0.5) * pixels

        while (
            in_square(min_offset, side, 450) < 10 or in_square(max_offset, side, 450) > 440
        ) and factor > 10:
            factor -= 10
            side = 200 * width_plus_height / factor
        inner = side * visible_fraction
        if in_square(max_offset, inner, 256) > 250 or in_square(min_offset, inner, 256) < 5:
            visible_fraction = 1.0
    half = side * visible_fraction / 2
    return np.concatenate([center - half, center + half])
