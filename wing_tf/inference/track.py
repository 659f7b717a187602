"""One face of a video: where it is, where it goes and what it looks like."""

import dataclasses

import numpy as np

from wing_tf.geometry import apply_affine, box_iou, crop_square, landmark_box
from wing_tf.geometry.resample import crop_and_resize
from wing_tf.geometry.shapes import fit_similarity
from wing_tf.inference.face import Face
from wing_tf.inference.smoothing import OneEuroFilter

SAME = 0.4  # overlap above which two are one face
AGREEING = 0.6  # overlap of a known face with a detection that has nothing to add
TOO_NEAR = 0.2  # overlap with a known face above which a new one must be clearly another
_VELOCITY_S = 0.15  # time constant of its mean
_LONGEST_STEP_S = 0.2  # that a velocity is trusted for from one frame to the next
_SAME_SHAPE = 0.05  # residual after alignment, over the face's spread
_SIGNATURE_S = 0.2  # between two looks
_CELLS = 8  # of a signature, along each side
_SAMPLES = 32  # pixels along each side that it is the mean of
_LARGEST_JUMP, _LARGEST_GROWTH = 0.6, 1.6  # from frame to frame, in sides and times
_REACH, _REACH_PER_S = 1.0, 1.5  # of a hidden face from where it should be, in sides
_MOST = 0.6  # of a face
_LARGEST_RESIZE = 1.6  # of a face while it is hidden
_LARGEST_DIFFERENCE = 0.15  # of its looks
# Half of a face differs from the whole by .16, .25 at most (95 %); two persons differ by .24.
_LARGEST_DIFFERENCE_ASTRAY = 0.25
_MUCH_BETTER = 0.6  # residual of a shape over that of another


@dataclasses.dataclass(eq=False)
class Track:
    """What is known of one face.

    Attributes:
        identity: its number; None until it is reported.
        face: as it was last seen, not smoothed.
        time_s: when that was.
        found_s: when the detector last found it.
        smoother: of its landmarks; None if they are not smoothed.
        visible: False while it is hidden or lost.
        velocity_px: [2], a second; that of the time when it was last apart from others.
        apart: the square [4] round the face at that time.
        apart_s: that time.
        signature: what it looked like then.
        checked: landmarks [K, 2] of the last face whose shape was found to be one.
    """

    face: Face
    time_s: float
    found_s: float
    smoother: OneEuroFilter | None
    signature: np.ndarray
    identity: int | None = None
    visible: bool = True
    velocity_px: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(2))
    apart: np.ndarray = dataclasses.field(init=False)
    apart_s: float = dataclasses.field(init=False)
    signature_s: float = dataclasses.field(init=False)
    checked: np.ndarray = dataclasses.field(init=False)

    def __post_init__(self):
        self.apart, self.apart_s = square_of(self.face), self.time_s
        self.signature_s, self.checked = self.time_s, self.face.landmarks_px

    def next_box(self, time_s: float) -> np.ndarray:
        """Returns the box [4] of the landmarks, moved to where they should be by now."""
        step = self.velocity_px * min(time_s - self.time_s, _LONGEST_STEP_S)
        return landmark_box(self.face.landmarks_px) + np.tile(step, 2)

    def hidden_square(self, time_s: float) -> np.ndarray:
        """Returns the square [4] where a hidden face should be by now."""
        return self.apart + np.tile(self.velocity_px * (time_s - self.apart_s), 2)

    def cost_of(self, face: Face, signature: np.ndarray, time_s: float) -> float | None:
        """Returns how badly a face that is found fits this one, which is hidden; None: not at all.

        Args:
            face: as it is found.
            signature: of it.
            time_s: of the frame.
        """
        expected, found = self.hidden_square(time_s), square_of(face)
        distance = np.linalg.norm(center_of(found) - center_of(expected)) / side_of(expected)
        reach = _REACH + _REACH_PER_S * (time_s - self.apart_s)
        other = difference(signature, self.signature)
        resize = abs(np.log(side_of(found) / side_of(expected)))
        if distance > reach or not self.looks_like(signature) or resize > np.log(_LARGEST_RESIZE):
            return None
        return float(distance / reach + other / _LARGEST_DIFFERENCE)

    def is_put_right_by(self, face: Face, signature: np.ndarray) -> bool:
        """Returns whether a face that was found at this one's place shows that it has gone astray.

        Args:
            face: as it is found, over this one or round it.
            signature: of it.
        """
        if face.pose is None or self.face.pose is None:
            return False
        better = face.pose.residual < _MUCH_BETTER * self.face.pose.residual
        return better and difference(signature, self.signature) <= _LARGEST_DIFFERENCE_ASTRAY

    def is_near(self, face: Face, looks: np.ndarray | None) -> bool:
        """Returns whether a detected face is this one, or too near to it to be told apart.

        What overlaps this one by less than a half is a neighbor of it where it is just where the
        detector says and looks another.

        Args:
            face: as it is detected.
            looks: its signature; None while a face is hidden, whose edge a neighbor may be.
        """
        share = overlap(face, self.face)
        if share > SAME or is_within(self.face, face) or is_within(face, self.face):
            return True
        placed = box_iou(face.box_xyxy_px, square_of(face)) > AGREEING
        other = looks is not None and placed and not self.looks_like(looks)
        return share > TOO_NEAR and not other

    def looks_like(self, signature: np.ndarray) -> bool:
        """Returns whether this may be the face that a signature is of."""
        return difference(signature, self.signature) <= _LARGEST_DIFFERENCE

    def has_kept_shape(self, face: Face) -> bool:
        """Returns whether a face's shape is nearly the one that was checked.

        This takes far less time than another check.
        """
        moved = apply_affine(fit_similarity(face.landmarks_px, self.checked), face.landmarks_px)
        spread = np.linalg.norm(self.checked - self.checked.mean(axis=0))
        return bool(np.linalg.norm(moved - self.checked) < _SAME_SHAPE * spread)

    def see(self, face: Face, time_s: float) -> None:
        """Takes in where the face is now."""
        self.face, self.time_s, self.visible = face, time_s, True

    def learn(self, image: np.ndarray, time_s: float) -> None:
        """Learns velocity and looks of a face that no other one touches."""
        square = square_of(self.face)
        step_s = time_s - self.apart_s
        if step_s > 0:
            velocity = (center_of(square) - center_of(self.apart)) / step_s
            share = 1 - np.exp(-step_s / _VELOCITY_S)
            self.velocity_px = self.velocity_px + share * (velocity - self.velocity_px)
        self.apart, self.apart_s = square, time_s
        if time_s - self.signature_s >= _SIGNATURE_S:
            self.signature_s = time_s
            self.signature = (self.signature + signature_of(image, self.face)) / 2

    def start_again(self, face: Face, time_s: float) -> None:
        """Takes in a face that is found again after it was hidden."""
        self.see(face, time_s)
        self.found_s = time_s
        self.apart, self.apart_s = square_of(face), time_s
        if self.smoother is not None:
            self.smoother.reset()


def square_of(face: Face) -> np.ndarray:
    """Returns the square [4] round the landmarks of a face."""
    return crop_square(landmark_box(face.landmarks_px), 1.0)


def center_of(square: np.ndarray) -> np.ndarray:
    """Returns the middle [..., 2] of squares [..., 4]."""
    return (square[..., :2] + square[..., 2:]) / 2


def side_of(square: np.ndarray) -> np.ndarray:
    """Returns the side [...] of squares [..., 4]."""
    return square[..., 2] - square[..., 0]


def overlap(face: Face, other: Face) -> float:
    """Returns the intersection over union of the squares round two faces."""
    return float(box_iou(square_of(face), square_of(other)))


def is_within(face: Face, other: Face) -> bool:
    """Returns whether most of a face lies in the square round another one."""
    square, outer = square_of(face), square_of(other)
    low, high = np.maximum(square[:2], outer[:2]), np.minimum(square[2:], outer[2:])
    return bool(np.prod(np.maximum(high - low, 0)) > _MOST * side_of(square) ** 2)


def is_in(box: np.ndarray, image: np.ndarray) -> bool:
    """Returns whether a box [4] has a part in the image, and is one at all."""
    height, width = image.shape[:2]
    starts = np.all(box[:2] < [width - 0.5, height - 0.5])
    return bool(starts and np.all(box[2:] > -0.5) and np.all(box[2:] > box[:2]))


def continues(face: Face, box: np.ndarray) -> bool:
    """Returns whether a face is about where and as large as the box [4] that was expected."""
    square = square_of(face)
    side = np.max(box[2:] - box[:2])
    jump = np.linalg.norm(center_of(square) - center_of(box))
    growth = abs(np.log(side_of(square) / side))
    return bool(jump <= _LARGEST_JUMP * side and growth <= np.log(_LARGEST_GROWTH))


def signature_of(image: np.ndarray, face: Face) -> np.ndarray:
    """Returns what a face looks like from afar: colors float [8, 8, 3] in 0..1.

    Args:
        image: uint8 RGB [H, W, 3].
        face: with its landmarks in the image.
    """
    square = square_of(face)
    step = max(1, int(side_of(square) // _SAMPLES))
    # Every n-th pixel will do, and pixel n x is pixel x of what is left.
    crop, _ = crop_and_resize(image[::step, ::step], square / step, (_CELLS, _CELLS))
    return crop / 255


def difference(signature: np.ndarray, other: np.ndarray) -> float:
    """Returns how far two signatures are apart: the root mean square in the circle they fill."""
    return float(np.sqrt(np.mean((signature - other)[_CIRCLE] ** 2)))


_RADII = np.hypot(*(np.mgrid[:_CELLS, :_CELLS] - (_CELLS - 1) / 2))
_CIRCLE = _RADII <= _CELLS / 2 - 0.4  # corners show what is behind the face
