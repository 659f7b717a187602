"""LaPa: 106 points, one text file an image."""

import pathlib
import re
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import (
    IMAGE_SUFFIXES,
    Face,
    Item,
    Source,
    make_face,
    read_image,
    require_path,
)
from tfrecords_tools.sources.dataset_files import parse_rows, read_text
from wing_tf.landmarks import LandmarkScheme, get_scheme

LAYOUT = "{train,val,test}/images/NAME.jpg and {train,val,test}/landmarks/NAME.txt"

SPLITS = ("train", "val", "test")

# Faces of one photograph share a name up to their number.
_FACE_OF_IMAGE = re.compile(r"^(.*\d.*)_\d{1,2}$")


def read_points(path: pathlib.Path, num_landmarks: int) -> np.ndarray:
    """Reads a LaPa text file.

    Args:
        path: text: the number of points, then one "x y" a row; the number may be absent.
        num_landmarks: the number of points that must be there.

    Returns:
        float64 [K, 2], as written.

    Raises:
        BadRecordError: if the file can't be read, holds another number of points, text or NaN.
    """
    lines = read_text(path).splitlines()
    if lines and len(lines[0].split()) == 1:
        lines = lines[1:]
    return parse_rows(path, lines, num_landmarks)


class LapaSource(Source):
    """LaPa, Landmark guided face Parsing. Its masks of pixels are not read.

    There are no boxes. The owners do not say what the first pixel's center is called; public
    loaders take nothing off the coordinates. The owners' validation faces are the split "val",
    beside the share of "train" that the writer holds out.

    Args:
        root: the folder that holds ``train``, ``val`` and ``test``.
        origin: the coordinate of the first pixel's center, taken off all points.

    Raises:
        ValueError: if a folder is absent.
    """

    name = "lapa"
    official_counts = MappingProxyType({"train": 18176, "val": 2000, "test": 2000})

    def __init__(self, root: str | pathlib.Path, *, origin: float = 0.0):
        self.root = pathlib.Path(root)
        self.origin = origin
        self.scheme: LandmarkScheme = get_scheme("lapa_106")
        self.skipped = {}
        for split in SPLITS:
            for folder in ("images", "landmarks"):
                require_path(self.root / split / folder, LAYOUT)

    def items(self) -> list[Item]:
        """Returns the faces of the three splits, by name."""
        items = []
        self.skipped = {}
        for split in SPLITS:
            images = {
                path.stem: path.name
                for path in sorted((self.root / split / "images").iterdir())
                if path.suffix.lower() in IMAGE_SUFFIXES
            }
            marked = {path.stem for path in (self.root / split / "landmarks").glob("*.txt")}
            for stem in sorted(images.keys() | marked):
                key = f"{split}/{stem}"
                if stem not in marked:
                    self.skipped[key] = "image without a .txt file"
                elif stem not in images:
                    self.skipped[key] = ".txt file without an image"
                else:
                    match = _FACE_OF_IMAGE.match(stem)
                    image = match.group(1) if match else stem
                    items.append(Item(key, image, split, (images[stem], f"{stem}.txt")))
        if not items:
            raise ValueError(f"No annotated image below {self.root}. The layout is: {LAYOUT}")
        return items

    def load(self, item: Item) -> Face:
        """Reads an image and its points."""
        folder = self.root / item.split
        image, points = item.source_data
        return make_face(
            read_image(folder / "images" / image),
            read_points(folder / "landmarks" / points, self.scheme.num_landmarks) - self.origin,
        )
