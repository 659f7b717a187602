"""State of one tracked face, and comparisons of face positions."""

import dataclasses
import math

import numpy as np

from wing_tf.geometry import box_iou, crop_square
from wing_tf.geometry.shapes import as_complex
from wing_tf.inference.face import Face
from wing_tf.inference.smoothing import OneEuroFilter

MIN_SAME_IOU = 0.4
"""Minimum intersection over union of two observations of one face."""

_MIN_CONTAINED = 0.6  # fraction of a face's square that is in another one
# From frame to frame; distances are in sides of the face.
_MAX_JUMP, _MAX_GROWTH, _MAX_PREDICTED_S = 0.6, 1.6, 0.2
# From the expected position of a lost face: at once, and per second since it was lost.
_MAX_DISTANCE, _MAX_DISTANCE_PER_S = 1.0, 1.5
_VELOCITY_TIME_CONSTANT_S = 0.15
_MAX_SHAPE_CHANGE = 0.05  # from the last checked shape, relative to its spread


@dataclasses.dataclass(eq=False)
class Track:
    """State of one face.

    Attributes:
        face: The face in the last frame in which it was found, not smoothed.
        time_s: Time of that frame.
        detected_s: Time at which the detector last found it.
        smoother: Filter of its landmarks; None without smoothing.
        identity: None until the face is reported.
        visible: False while the face is lost.
        velocity_px: [2] per second, averaged while no other face was near.
        checked_px: Landmarks [K, 2] whose shape was last checked.
    """

    face: Face
    time_s: float
    detected_s: float
    smoother: OneEuroFilter | None
    identity: int | None = None
    visible: bool = True
    velocity_px: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(2))
    checked_px: np.ndarray = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.checked_px = self.face.landmarks_px
        self._apart, self._apart_s = self.face.tracked_square_xyxy_px, self.time_s

    def next_box(self, time_s: float) -> np.ndarray:
        """Returns the box [4] to crop in a frame: that of the face, moved at its velocity."""
        step = self.velocity_px * min(time_s - self.time_s, _MAX_PREDICTED_S)
        return self.face.tracked_box_xyxy_px + np.tile(step, 2)

    def square(self, time_s: float) -> np.ndarray:
        """Returns the square [4] of the face. If it is lost, the square that is expected."""
        if self.visible:
            return self.face.tracked_square_xyxy_px
        return self._apart + np.tile(self.velocity_px * (time_s - self._apart_s), 2)

    def distance_to(self, face: Face, time_s: float) -> float | None:
        """Returns the distance of a detected face to this lost one; None if it is another face."""
        distance, growth = _change(face.tracked_square_xyxy_px, self.square(time_s))
        distance /= _MAX_DISTANCE + _MAX_DISTANCE_PER_S * (time_s - self._apart_s)
        return None if distance > 1 or growth > _MAX_GROWTH else distance

    def keeps_shape(self, face: Face) -> bool:
        """Returns whether a face has nearly the checked shape; faster than to check it again."""
        # The squared error after the best similarity, as a fraction of the squared spread, is one
        # minus the squared correlation of the shapes as complex numbers.
        found, checked = as_complex(face.landmarks_px), as_complex(self.checked_px)
        found, checked = found - found.mean(), checked - checked.mean()
        spreads = np.vdot(found, found).real * np.vdot(checked, checked).real
        return bool(abs(np.vdot(found, checked)) ** 2 > (1 - _MAX_SHAPE_CHANGE**2) * spreads)

    def update_velocity(self, time_s: float) -> None:
        """Averages the velocity with that since the last time without another face near."""
        square, step_s = self.face.tracked_square_xyxy_px, time_s - self._apart_s
        if step_s > 0:
            velocity = (square - self._apart).reshape(2, 2).mean(axis=0) / step_s
            weight = 1 - math.exp(-step_s / _VELOCITY_TIME_CONSTANT_S)
            self.velocity_px = self.velocity_px + weight * (velocity - self.velocity_px)
        self._apart, self._apart_s = square, time_s

    def restart(self, face: Face, time_s: float) -> None:
        """Continues with a detected face; the smoothing starts anew."""
        self.face, self.time_s, self.detected_s, self.visible = face, time_s, time_s, True
        self._apart, self._apart_s = face.tracked_square_xyxy_px, time_s
        if self.smoother is not None:
            self.smoother.reset()


def side_of(face: Face) -> float:
    """Returns the side of the square around a face."""
    return float(np.ptp(face.tracked_square_xyxy_px[::2]))


def face_iou(face: Face, other: Face) -> float:
    """Returns the intersection over union of the squares around two faces."""
    return float(box_iou(face.tracked_square_xyxy_px, other.tracked_square_xyxy_px))


def is_within(face: Face, other: Face) -> bool:
    """Returns whether most of a face's square is in the square of another face."""
    square, outer = face.tracked_square_xyxy_px, other.tracked_square_xyxy_px
    low, high = np.maximum(square[:2], outer[:2]), np.minimum(square[2:], outer[2:])
    return bool(np.prod(np.maximum(high - low, 0)) > _MIN_CONTAINED * side_of(face) ** 2)


def is_continuous(face: Face, box_xyxy_px: np.ndarray) -> bool:
    """Returns whether a face has about the position and size of the predicted box [4]."""
    distance, growth = _change(face.tracked_square_xyxy_px, crop_square(box_xyxy_px, 1.0))
    return distance <= _MAX_JUMP and growth <= _MAX_GROWTH


def _change(square: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Returns the distance of two centers in sides of `other`, and the ratio of sides (>= 1)."""
    move = (square - other).reshape(2, 2).mean(axis=0)
    side, other_side = np.ptp(square[::2]), np.ptp(other[::2])
    return float(np.linalg.norm(move) / other_side), float(
        max(side, other_side) / min(side, other_side)
    )
