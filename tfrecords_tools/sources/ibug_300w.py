"""300-W and its private test set: images with ``.pts`` files in the owners' folders."""

import pathlib
import re
from collections.abc import Iterator
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import Face, Item
from tfrecords_tools.sources.dataset_files import parse_points, read_lines
from tfrecords_tools.sources.folder import FolderSource
from tfrecords_tools.sources.ibug_boxes import IbugBoxes
from tfrecords_tools.sources.missing_points import parse_missing

# Split and official number of faces of each folder.
_FOLDERS = {
    "afw": ("train", 337),
    "helen/trainset": ("train", 2000),
    "lfpw/trainset": ("train", 811),
    "helen/testset": ("test_helen", 330),
    "lfpw/testset": ("test_lfpw", 224),
    "ibug": ("test_ibug", 135),
    # The private set, published after the challenge.
    "01_Indoor": ("test_indoor", 300),
    "02_Outdoor": ("test_outdoor", 300),
}

# The owners' archive of the private set unpacks to 300W/01_Indoor and 300W/02_Outdoor.
_PRIVATE_PARENT = "300W"

# AFW and Helen name the faces of one image NUMBER_1, NUMBER_2, ...
_FACE_OF_IMAGE = re.compile(r"^(\d+)_\d{1,2}$")


def read_pts(path: pathlib.Path, num_landmarks: int | None, origin: float = 1.0) -> np.ndarray:
    """Reads a ``.pts`` file.

    Args:
        path: Text file: ``version: 1``, ``n_points: 68``, ``{``, one "x y" per row, ``}``. Some
            copies hold the rows only.
        num_landmarks: Number of points that the file must hold. None for the number that it states.
        origin: Coordinate of the first pixel's center; 1 in the owners' files.

    Returns:
        float64 [K, 2], with the first pixel's center at 0.

    Raises:
        BadRecordError: If the file can't be read, or holds another number of points, text or NaN.
    """
    lines = read_lines(path)
    text = "\n".join(lines)
    if "{" in text:
        stated = re.search(r"n_points:\s*(\d+)", text.split("{", 1)[0])
        if num_landmarks is None and stated:
            num_landmarks = int(stated.group(1))
        lines = text.split("{", 1)[1].split("}", 1)[0].splitlines()
    return parse_points(path, lines, num_landmarks) - origin


class Ibug300WSource(FolderSource):
    """The 300-W tree: ``afw``, ``helen/{trainset,testset}``, ``lfpw/{...}``, ``ibug``.

    The private set, ``01_Indoor`` and ``02_Outdoor``, is found beside them or below ``300W/``. The
    common test set of the literature is "test_helen" and "test_lfpw" together, the challenging one
    "test_ibug", the private one "test_indoor" and "test_outdoor". Official counts are by folder.

    The organizers' ``bounding_boxes.zip`` has a detector's boxes for all but the private set. If
    its files are found (in the root, ``Bounding Boxes/`` or ``bounding_boxes/``), they are the
    data set's own boxes.

    Args:
        root: Folder of the tree. Missing subfolders are reported as count differences.
        origin: Coordinate of the first pixel's center in the ``.pts`` and box files.
        missing: Coordinates "X,Y" of the files that mark a point as not annotated, or "none". By
            default, -1,-1 and 0,0 do, and a warning names the faces.
    """

    name = "ibug_300w"
    ends_with_box = True
    layout = f"one or more of {', '.join(_FOLDERS)}, with images and .pts files of the same names"
    official_counts = MappingProxyType({name: count for name, (_, count) in _FOLDERS.items()})

    def __init__(
        self, root: str | pathlib.Path, *, origin: float = 1.0, missing: str | None = None
    ):
        super().__init__("ibug_68", root, origin)
        self.missing = parse_missing(missing)
        if not self.root.is_dir():
            raise ValueError(f"`root` must be a folder. Received: {self.root}.")

    def list_items(self) -> Iterator[Item]:
        """Lists the faces of all folders, sorted by name within each."""
        boxes = IbugBoxes(self.root)
        for folder, (split, _) in _FOLDERS.items():
            files = list(self._folder(folder).glob("*"))
            for stem, (image, points) in self.list_pairs(folder, files, files, ".pts").items():
                match = _FACE_OF_IMAGE.match(stem)
                source_image = f"{folder}/{match.group(1) if match else stem}"
                source_data = (image, points, boxes.find(folder, stem))
                yield Item(f"{folder}/{stem}", source_image, split, source_data)

    def groups(self, item: Item) -> tuple[str, ...]:
        """Returns the folder of the face."""
        return (item.key.rpartition("/")[0],)

    def _folder(self, name: str) -> pathlib.Path:
        folder = self.root / name
        return folder if folder.is_dir() else self.root / _PRIVATE_PARENT / name

    def load(self, item: Item) -> Face:
        """Loads one face."""
        image, points, box = item.source_data
        return self.make_face(image, read_pts(points, self.scheme.num_landmarks, 0.0), box=box)
