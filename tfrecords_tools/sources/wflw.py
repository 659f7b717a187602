"""WFLW: 98 points, a box and six attributes per face, in two lists."""

import pathlib
from collections.abc import Iterator
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import Face, Item
from tfrecords_tools.sources.folder import FolderSource
from wing_tf.utils.text_files import read_text

ATTRIBUTES = ("pose", "expression", "illumination", "make_up", "occlusion", "blur")

_LISTS = "WFLW_annotations/list_98pt_rect_attr_train_test"


class WflwSource(FolderSource):
    """WFLW, Wider Facial Landmarks in the Wild.

    Each line of a list is a face: 196 coordinates, the box x_min y_min x_max y_max, a 0 or 1 for
    each of `ATTRIBUTES`, and the path of the image below ``WFLW_images``. An image may hold several
    faces, so the key of a face is its line number.

    The origin is not documented; public loaders subtract nothing.

    Args:
        root: Folder of ``WFLW_images`` and ``WFLW_annotations``. The lists are also found in
            ``WFLW_annotations`` or in the folder itself.
        origin: Coordinate of the first pixel's center, subtracted from points and boxes.
    """

    name = "wflw"
    layout = f"WFLW_images/ and {_LISTS}/list_98pt_rect_attr_{{train,test}}.txt"
    default_crop = "dataset_box"
    has_boxes = True
    official_counts = MappingProxyType(
        {
            "train": 7500,
            "test": 2500,
            "test_pose": 326,
            "test_expression": 314,
            "test_illumination": 698,
            "test_make_up": 206,
            "test_occlusion": 736,
            "test_blur": 773,
        }
    )

    def __init__(self, root: str | pathlib.Path, *, origin: float = 0.0):
        super().__init__("wflw_98", root, origin)
        self.images = self.find_path("WFLW_images")
        folders = (f"{_LISTS}/", "WFLW_annotations/", "")
        self.lists = {
            split: self.find_path(*(f"{f}list_98pt_rect_attr_{split}.txt" for f in folders))
            for split in ("train", "test")
        }

    def list_items(self) -> Iterator[Item]:
        """Lists the faces of both lists, by line."""
        for split, path in self.lists.items():
            for number, line in enumerate(read_text(path).split("\n"), start=1):
                if not line.strip():
                    continue
                key = f"{split}/{number:05d}"
                try:
                    item = _parse(key, split, line)
                except ValueError as error:
                    self.skipped[key] = str(error)
                else:
                    yield item

    def load(self, item: Item) -> Face:
        """Loads one face."""
        points, box = item.source_data[:196].reshape(98, 2), item.source_data[196:]
        return self.make_face(self.images / item.source_image, points, box=box)


def _parse(key: str, split: str, line: str) -> Item:
    """Parses one line. Raises ValueError with the reason."""
    words = line.split()
    if len(words) != 207:
        raise ValueError(
            f"expected 207 words (196 coordinates, 4 of a box, 6 flags, a path), found {len(words)}"
        )
    numbers = np.array([float(word) for word in words[:200]])
    if not np.all(np.isfinite(numbers)):
        raise ValueError("holds NaN or infinity")
    flags = words[200:206]
    if any(flag not in ("0", "1") for flag in flags):
        raise ValueError(f"flags must be 0 or 1, found {' '.join(flags)}")
    attributes = tuple(name for name, flag in zip(ATTRIBUTES, flags, strict=True) if flag == "1")
    return Item(key, words[206], split, numbers, attributes)
