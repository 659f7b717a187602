"""WFLW: 98 points, a box and six attributes a face, in two lists."""

import pathlib
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import Face, Item, Source, make_face, read_image, require_path
from tfrecords_tools.sources.dataset_files import find_path
from wing_tf.landmarks import LandmarkScheme, get_scheme

ATTRIBUTES = ("pose", "expression", "illumination", "make_up", "occlusion", "blur")

_LISTS = "WFLW_annotations/list_98pt_rect_attr_train_test"
LAYOUT = f"WFLW_images/ and {_LISTS}/list_98pt_rect_attr_{{train,test}}.txt"


class WflwSource(Source):
    """WFLW, Wider Facial Landmarks in the Wild.

    A line of a list is a face: 196 coordinates, the box x_min y_min x_max y_max, a 0 or 1 for each
    of `ATTRIBUTES`, the image's path below ``WFLW_images``. Images hold several faces, so that
    a face's name is its line.

    The owners do not say what the first pixel's center is called; public loaders take nothing off
    the coordinates.

    Args:
        root: the folder that holds ``WFLW_images`` and ``WFLW_annotations``. The lists are also
            taken from ``WFLW_annotations`` or from the folder itself.
        origin: the coordinate of the first pixel's center, taken off points and boxes.

    Raises:
        ValueError: if the images' folder or a list is absent.
    """

    name = "wflw"
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
        self.root = pathlib.Path(root)
        self.origin = origin
        self.scheme: LandmarkScheme = get_scheme("wflw_98")
        self.skipped = {}
        require_path(self.root / "WFLW_images", LAYOUT)
        folders = (f"{_LISTS}/", "WFLW_annotations/", "")
        self.lists = {
            split: find_path(
                self.root, [f"{f}list_98pt_rect_attr_{split}.txt" for f in folders], LAYOUT
            )
            for split in ("train", "test")
        }

    def items(self) -> list[Item]:
        """Returns the faces of both lists, by line."""
        items = []
        self.skipped = {}
        for split, path in self.lists.items():
            with path.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, start=1):
                    if not line.strip():
                        continue
                    key = f"{split}/{number:05d}"
                    try:
                        items.append(_face(key, split, line))
                    except ValueError as error:
                        self.skipped[key] = str(error)
        if not items:
            first = next(iter(self.skipped.items()), ("both", "empty"))
            raise ValueError(
                f"No usable line in {' and '.join(map(str, self.lists.values()))}: "
                f"{first[0]}: {first[1]}."
            )
        return items

    def load(self, item: Item) -> Face:
        """Reads an image; points and box come from the list."""
        numbers = item.source_data - self.origin
        return make_face(
            read_image(self.root / "WFLW_images" / item.source_image),
            numbers[:196].reshape(98, 2),
            box_xyxy_px=numbers[196:],
        )


def _face(key: str, split: str, line: str) -> Item:
    """Reads one line. Raises ValueError with a reason."""
    words = line.split()
    if len(words) != 207:
        raise ValueError(
            f"expected 207 words (196 coordinates, 4 of a box, 6 flags, a path), found {len(words)}"
        )
    numbers = np.array([float(word) for word in words[:200]])
    if not np.all(np.isfinite(numbers)):
        raise ValueError("holds NaN or infinity")
    if any(flag not in ("0", "1") for flag in words[200:206]):
        raise ValueError(f"flags must be 0 or 1, found {' '.join(words[200:206])}")
    attributes = tuple(
        name for name, flag in zip(ATTRIBUTES, words[200:206], strict=True) if flag == "1"
    )
    return Item(key, words[206], split, numbers, attributes)
