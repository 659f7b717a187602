"""What every source of annotated faces offers to the writer."""

import abc
import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

from wing_tf.data import record_schema as schema
from wing_tf.landmarks import LandmarkScheme

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


class BadRecordError(ValueError):
    """One face can't be used; the writer counts and names it and goes on."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One face that a source has found and not read yet.

    Attributes:
        key: its name, unique in the source; faces are ordered and hashed by it.
        source_image: the name of its source image: faces of one image never stand on both sides of
            a train/validation split.
        split: "train", or the name of a test set such as "test_helen".
        source_data: what the source needs in order to load it; picklable.
        attributes: names of the sub-sets that it is in beside its split, such as WFLW's "pose":
            letters, digits and _ only.
    """

    key: str
    source_image: str
    split: str
    source_data: Any
    attributes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Face:
    """One annotated face.

    Attributes:
        image: uint8 RGB [H, W, 3], the source image.
        landmarks_px: float [K, 2] in its pixels, NaN where missing.
        visibility: int [K]: 0 missing, 1 hidden but annotated, 2 visible.
        box_xyxy_px: float [4], the data set's own face box; None where it has none.
        angles_deg: yaw, pitch, roll, where known.
    """

    image: np.ndarray
    landmarks_px: np.ndarray
    visibility: np.ndarray
    box_xyxy_px: np.ndarray | None = None
    angles_deg: np.ndarray | None = None


class Source(abc.ABC):
    """A data set as its owners distribute it. Objects are sent to the writer's processes.

    Attributes:
        name: as in `tfrecords_tools.sources.SOURCES`.
        scheme: the scheme.
        default_crop: the name of the crop rule that is used unless another is asked for; see
            `wing_tf.data.crop_rules`.
        has_boxes: whether any face has the data set's own box; known after `items`.
        official_counts: how many faces the owners say there are, by the groups of `group`. Faces
            that are absent, or could not be used, are reported, not hidden.
        skipped: faces that `items` could not even list: names and reasons.
    """

    name: str
    scheme: LandmarkScheme
    default_crop: str = "landmark_box"
    has_boxes: bool = False
    official_counts: Mapping[str, int] = MappingProxyType({})
    skipped: dict[str, str]

    @abc.abstractmethod
    def items(self) -> list[Item]:
        """Returns all faces in a fixed order. Raises ValueError where there are none."""

    @abc.abstractmethod
    def load(self, item: Item) -> Face:
        """Reads one face. Raises `BadRecordError` with a reason."""

    def group(self, item: Item) -> tuple[str, ...]:
        """Returns the groups of `official_counts` that a face is counted in.

        By default its split, and its split with each attribute, such as "test_pose".
        """
        return (item.split, *(f"{item.split}_{attribute}" for attribute in item.attributes))

    def count_differences(self, items: Sequence[Item]) -> list[str]:
        """Returns a line for each group that holds another number of faces than it should."""
        found = collections.Counter(name for item in items for name in self.group(item))
        return [
            f"{name}: {found[name]} faces, officially {count}"
            for name, count in self.official_counts.items()
            if found[name] != count
        ]


EXIF_CHOICES = ("refuse", "apply", "ignore")
_EXIF = (b"Exif", b"eXIf", b"EXIF")  # as JPEG, PNG and WebP mark it, wherever it stands


def read_image(path: pathlib.Path, *, exif: str = "ignore") -> np.ndarray:
    """Reads an image as uint8 RGB [H, W, 3], in the pixel grid that its annotations mean.

    Cameras store an image as it comes and say in its EXIF data how to turn it. Published data sets
    are annotated on the stored pixels; most tools show, and annotate, the turned image. (OpenCV
    turns TIFF files whatever it is told: they are as "apply" says.)

    Args:
        path: the file.
        exif: "ignore" takes the stored pixels, "apply" turns them, "refuse" takes no image that
            would be turned, as it can't be known which one was annotated.

    Raises:
        BadRecordError: if it is missing, can't be decoded, or is refused.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise BadRecordError(f"cannot read image {path}: {error.strerror}") from error
    stored = None if exif == "apply" else _decode(data, cv2.IMREAD_IGNORE_ORIENTATION)
    image = stored
    if exif == "apply" or (exif == "refuse" and any(mark in data.tobytes() for mark in _EXIF)):
        image = _decode(data, 0)
    if image is None:
        raise BadRecordError(f"cannot decode image {path}")
    if stored is not None and image is not stored and not np.array_equal(image, stored):
        raise BadRecordError(
            f"{path} is turned by its EXIF data: annotated as shown (--exif=apply, as most tools "
            "do) or as stored (--exif=ignore)?"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _decode(data: np.ndarray, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(data, cv2.IMREAD_COLOR | flags) if data.size else None
    except cv2.error:  # such as a header that claims more pixels than OpenCV takes
        return None


def make_face(
    image: np.ndarray,
    landmarks_px: np.ndarray,
    visibility: np.ndarray | None = None,
    box_xyxy_px: np.ndarray | None = None,
) -> Face:
    """Returns a `Face` whose visibility follows the package's rules.

    * A point without coordinates (NaN) is missing (0).
    * A point outside of the image is kept, and hidden (1): no pixel shows it.
    * Any other is visible (2) unless ``visibility`` says otherwise.

    A box of no size stands for none, as some tools write it.

    Raises:
        BadRecordError: if no landmark is given, all are within 0..1, or the box is turned round.
    """
    height, width = image.shape[:2]
    missing = ~np.all(np.isfinite(landmarks_px), axis=1)
    flags = np.full(len(landmarks_px), schema.VISIBLE) if visibility is None else visibility
    outside = np.any((landmarks_px < -0.5) | (landmarks_px > [width - 0.5, height - 0.5]), axis=1)
    flags = np.where(outside, np.minimum(flags, schema.OCCLUDED), flags)
    flags = np.where(missing, schema.NOT_ANNOTATED, flags)
    if np.all(flags == schema.NOT_ANNOTATED):
        raise BadRecordError("no landmark has coordinates")
    landmarks_px = np.where((flags == schema.NOT_ANNOTATED)[:, None], np.nan, landmarks_px)
    known = landmarks_px[flags != schema.NOT_ANNOTATED]
    if len(known) > 1 and np.all((known >= 0) & (known <= 1)):
        raise BadRecordError(
            "all landmarks are within 0 and 1: pixels are expected, not coordinates scaled to "
            "[0, 1]"
        )
    box = None if box_xyxy_px is None else np.asarray(box_xyxy_px, float)
    if box is not None:
        if not np.all(np.isfinite(box)) or np.any(box[2:] < box[:2]):
            shown = np.round(box, 3).tolist()
            raise BadRecordError(f"the face box is not x0, y0, x1, y1: {shown}")
        if not has_area(box):
            box = None
    return Face(image, landmarks_px, flags.astype(np.int64), box)


def has_area(box_xyxy_px: np.ndarray | None) -> bool:
    """Whether there is a box that has width and height: tools write zeros where there is none."""
    return box_xyxy_px is not None and bool(np.all(box_xyxy_px[2:] > box_xyxy_px[:2]))


def require_path(path: pathlib.Path, layout: str) -> pathlib.Path:
    """Returns a path that must exist.

    Args:
        path: a file or a folder of a data set.
        layout: the official layout, for the message.

    Raises:
        ValueError: if it does not exist; the message names it and the layout.
    """
    if not path.exists():
        raise ValueError(f"There is no {path}. The official layout is: {layout}")
    return path
