"""LaPa: 106 points, one text file per image."""

import pathlib
import re
from collections.abc import Iterator
from types import MappingProxyType

from tfrecords_tools.sources.base import Face, Item
from tfrecords_tools.sources.dataset_files import parse_points, read_lines
from tfrecords_tools.sources.folder import FolderSource

SPLITS = ("train", "val", "test")

# Faces of one photograph have the same name up to their number.
_FACE_OF_IMAGE = re.compile(r"^(.*\d.*)_\d{1,2}$")


class LapaSource(FolderSource):
    """LaPa, Landmark guided face Parsing. Its segmentation masks are not read.

    A text file holds the number of points, which may be missing, then one "x y" per row. There are
    no boxes. The origin is not documented; public loaders subtract nothing. The owners' validation
    faces are the split "val", besides the fraction of "train" that the writer holds out.

    Args:
        root: Folder of ``train``, ``val`` and ``test``.
        origin: Coordinate of the first pixel's center, subtracted from all points.
    """

    name = "lapa"
    layout = "{train,val,test}/images/NAME.jpg and {train,val,test}/landmarks/NAME.txt"
    official_counts = MappingProxyType({"train": 18176, "val": 2000, "test": 2000})

    def __init__(self, root: str | pathlib.Path, *, origin: float = 0.0):
        super().__init__("lapa_106", root, origin)
        for split in SPLITS:
            for folder in ("images", "landmarks"):
                self.find_path(f"{split}/{folder}")

    def list_items(self) -> Iterator[Item]:
        """Lists the faces of the three splits, sorted by name within each."""
        for split in SPLITS:
            images, points = ((self.root / split / f).iterdir() for f in ("images", "landmarks"))
            for stem, pair in self.list_pairs(split, images, points, ".txt").items():
                match = _FACE_OF_IMAGE.match(stem)
                yield Item(f"{split}/{stem}", match.group(1) if match else stem, split, pair)

    def load(self, item: Item) -> Face:
        """Loads one face."""
        image, path = item.source_data
        points = parse_points(path, read_lines(path), self.scheme.num_landmarks)
        return self.make_face(image, points)
