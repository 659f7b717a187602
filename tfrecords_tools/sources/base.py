"""Base classes of annotated data sets."""

import abc
import collections
import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from wing_tf.landmarks import LandmarkScheme


class BadRecordError(ValueError):
    """One face is not usable; the writer skips it and names it in the manifest."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One face that a source has listed and not loaded yet.

    Attributes:
        key: Name of the face, unique in the source. Faces are ordered and hashed by it.
        source_image: Name of its source image. All faces of one image are on the same side of the
            train/validation split.
        split: "train", or the name of a test set such as "test_helen".
        source_data: What the source needs to load the face; picklable.
        attributes: Names of the subsets that the face is in besides its split, such as WFLW's
            "pose". Letters, digits and _ only.
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
        image: Source image, uint8 RGB [H, W, 3].
        landmarks_px: Float [K, 2] in pixels of the image, NaN where not annotated.
        visibility: Int [K]: 0 not annotated, 1 occluded but annotated, 2 visible.
        box_xyxy_px: Float [4], the data set's own face box, or None.
        angles_deg: Yaw, pitch and roll, or None if not known.
        warnings: What is not certain about the annotation. The manifest counts equal texts.
    """

    image: np.ndarray
    landmarks_px: np.ndarray
    visibility: np.ndarray
    box_xyxy_px: np.ndarray | None = None
    angles_deg: np.ndarray | None = None
    warnings: tuple[str, ...] = ()


class Source(abc.ABC):
    """A data set as its owners distribute it. Sources are pickled to the writer's processes.

    Attributes:
        name: Key in `tfrecords_tools.sources.SOURCES`.
        scheme: The landmark scheme.
        default_crop: Name of the crop rule that is used by default (`wing_tf.data.crop_rules`).
        has_boxes: Whether any face has the data set's own box. Valid after `items` was called.
        official_counts: Number of faces according to the owners, by the groups of `groups`.
            Differences are reported in the manifest.
        skipped: Faces that `items` could not list, and the reasons.
        warnings: What is not certain about the faces that `items` listed.
    """

    name: str
    scheme: LandmarkScheme
    default_crop: str = "landmark_box"
    has_boxes: bool = False
    official_counts: Mapping[str, int] = MappingProxyType({})
    skipped: dict[str, str]
    warnings: Sequence[str] = ()

    @abc.abstractmethod
    def items(self) -> list[Item]:
        """Returns all faces in a fixed order. Raises ValueError if there are none."""

    @abc.abstractmethod
    def load(self, item: Item) -> Face:
        """Loads one face. Raises `BadRecordError` with the reason if it is not usable."""

    def groups(self, item: Item) -> tuple[str, ...]:
        """Returns the groups of `official_counts` that a face is counted in.

        Defaults to its split, and its split with each attribute, such as "test_pose".
        """
        return (item.split, *(f"{item.split}_{attribute}" for attribute in item.attributes))

    def count_differences(self, items: Sequence[Item]) -> list[str]:
        """Returns one line for each group whose number of faces differs from the official one."""
        counts = collections.Counter(name for item in items for name in self.groups(item))
        return [
            f"{name}: {counts[name]} faces, officially {count}"
            for name, count in self.official_counts.items()
            if counts[name] != count
        ]


def xywh_to_xyxy(box: np.ndarray) -> np.ndarray:
    """Converts x, y, width, height to x0, y0, x1, y1."""
    return np.concatenate([box[:2], box[:2] + box[2:]])
