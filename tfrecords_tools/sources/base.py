"""What every source of annotated faces offers to the writer."""

import abc
import dataclasses
import pathlib
from typing import Any

import cv2
import numpy as np

from wing_tf.data import example_schema as schema
from wing_tf.geometry import landmark_box
from wing_tf.landmarks import LandmarkScheme

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


class BadRecordError(ValueError):
    """One face can't be used; the writer counts and names it and goes on."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One face that a source has found and not read yet.

    Attributes:
        key: its name, unique in the source; faces are ordered and hashed by it.
        picture: the name of its source picture: faces of one picture never stand on both sides of
            a train/validation split.
        split: "train", or the name of a test set such as "test_helen".
        payload: what the source needs in order to load it; picklable.
    """

    key: str
    picture: str
    split: str
    payload: Any


@dataclasses.dataclass(frozen=True)
class Face:
    """One annotated face.

    Attributes:
        image: uint8 RGB [H, W, 3], the source picture.
        landmarks_px: float [K, 2] in its pixels, NaN where missing.
        visibility: int [K]: 0 missing, 1 hidden but annotated, 2 visible.
        box_xyxy_px: float [4].
        angles_deg: yaw, pitch, roll, where known.
    """

    image: np.ndarray
    landmarks_px: np.ndarray
    visibility: np.ndarray
    box_xyxy_px: np.ndarray
    angles_deg: np.ndarray | None = None


class Source(abc.ABC):
    """A data set as its owners distribute it. Objects are sent to the writer's processes.

    Attributes:
        name: as in `tfrecords_tools.sources.SOURCES`.
        scheme: the mark-up.
        box_source: what the boxes are, for the manifest.
        skipped: faces that `items` could not even list: names and reasons.
    """

    name: str
    scheme: LandmarkScheme
    box_source: str
    skipped: dict[str, str]

    @abc.abstractmethod
    def items(self) -> list[Item]:
        """Returns all faces in a fixed order. Raises ValueError where there are none."""

    @abc.abstractmethod
    def load(self, item: Item) -> Face:
        """Reads one face. Raises `BadRecordError` with a reason."""


def read_picture(path: pathlib.Path) -> np.ndarray:
    """Reads a picture as uint8 RGB [H, W, 3], in the pixel grid that its annotations mean.

    EXIF rotation is ignored: annotations are made on, and distributed for, the stored pixels.

    Raises:
        BadRecordError: if it is missing or can't be decoded.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise BadRecordError(f"cannot read picture {path}: {error.strerror}") from error
    try:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:  # such as a header that claims more pixels than OpenCV takes
        image = None
    if image is None:
        raise BadRecordError(f"cannot decode picture {path}")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def annotated_face(
    image: np.ndarray,
    landmarks_px: np.ndarray,
    visibility: np.ndarray | None = None,
    box_xyxy_px: np.ndarray | None = None,
) -> Face:
    """Returns a `Face` whose visibility follows the package's rules.

    * A point without coordinates (NaN) is missing (0).
    * A point outside of the picture is kept, and hidden (1): no pixel shows it.
    * Any other is visible (2) unless ``visibility`` says otherwise.

    Without a box, it is the tight box of the landmarks.

    Raises:
        BadRecordError: if no landmark is given, or the box is not one or is below 2 px.
    """
    height, width = image.shape[:2]
    missing = ~np.all(np.isfinite(landmarks_px), axis=1)
    flags = np.full(len(landmarks_px), schema.VISIBLE) if visibility is None else visibility
    outside = np.any((landmarks_px < -0.5) | (landmarks_px > [width - 0.5, height - 0.5]), axis=1)
    flags = np.where(outside, np.minimum(flags, schema.HIDDEN), flags)
    flags = np.where(missing, schema.MISSING, flags)
    if np.all(flags == schema.MISSING):
        raise BadRecordError("no landmark has coordinates")
    landmarks_px = np.where((flags == schema.MISSING)[:, None], np.nan, landmarks_px)
    box = landmark_box(landmarks_px) if box_xyxy_px is None else np.asarray(box_xyxy_px, float)
    if not np.all(np.isfinite(box)) or np.any(box[2:] < box[:2]):
        raise BadRecordError(f"the face box is not x0, y0, x1, y1: {np.round(box, 3).tolist()}")
    if np.max(box[2:] - box[:2]) < 2:
        raise BadRecordError(
            f"the face is smaller than 2 px: {np.round(box, 3).tolist()}. Pixels are expected, not "
            "coordinates scaled to [0, 1]"
        )
    return Face(image, landmarks_px, flags.astype(np.int64), box)
