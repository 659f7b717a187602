"""300-W and its family: images with ``.pts`` files beside them, in the owners' folders."""

import pathlib
import re
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import (
    IMAGE_SUFFIXES,
    Face,
    Item,
    Source,
    has_area,
    make_face,
    read_image,
)
from tfrecords_tools.sources.dataset_files import parse_rows, read_text
from tfrecords_tools.sources.ibug_boxes import IbugBoxes
from wing_tf.landmarks import LandmarkScheme, get_scheme

FOLDER_SPLITS = {
    "afw": "train",
    "helen/trainset": "train",
    "lfpw/trainset": "train",
    "helen/testset": "test_helen",
    "lfpw/testset": "test_lfpw",
    "ibug": "test_ibug",
    # The private set, made public after the challenge.
    "01_Indoor": "test_indoor",
    "02_Outdoor": "test_outdoor",
}

# The owners' archive of the private set unpacks to 300W/01_Indoor and 300W/02_Outdoor.
_PRIVATE_PARENT = "300W"

# AFW and Helen name the faces of one image NUMBER_1, NUMBER_2, ...
_FACE_OF_IMAGE = re.compile(r"^(\d+)_\d{1,2}$")


def read_pts(path: pathlib.Path, num_landmarks: int, origin: float = 1.0) -> np.ndarray:
    """Reads a ``.pts`` file.

    Args:
        path: text: ``version: 1``, ``n_points: 68``, ``{``, one "x y" a row, ``}``; some copies
            hold the rows only.
        num_landmarks: the number of points that must be there.
        origin: the coordinate of the first pixel's center; 1 in the owners' files.

    Returns:
        float64 [K, 2], with pixel centers at integers from 0.

    Raises:
        BadRecordError: if the file can't be read, holds another number of points, text or NaN.
    """
    text = read_text(path)
    if "{" in text:
        text = text.split("{", 1)[1].split("}", 1)[0]
    return parse_rows(path, text.splitlines(), num_landmarks) - origin


class Ibug300WSource(Source):
    """The 300-W tree: ``afw``, ``helen/{trainset,testset}``, ``lfpw/{...}``, ``ibug``.

    The private set, ``01_Indoor`` and ``02_Outdoor``, is found beside them or below ``300W/``. The
    common test set of the literature is "test_helen" and "test_lfpw" together, the challenging one
    "test_ibug", the private one "test_indoor" and "test_outdoor". Counts are held by folder.

    The organizers' ``bounding_boxes.zip`` has a detector's boxes of all but the private set: where
    its files are found (in the root, ``Bounding Boxes/`` or ``bounding_boxes/``), they are the
    faces' own boxes.

    Args:
        root: the folder that holds them; those that are absent are left out, and counted.
        origin: the coordinate of the first pixel's center in the ``.pts`` and box files.

    Raises:
        ValueError: if the folder is absent.
    """

    name = "ibug_300w"
    official_counts = MappingProxyType(
        {
            "afw": 337,
            "helen/trainset": 2000,
            "lfpw/trainset": 811,
            "helen/testset": 330,
            "lfpw/testset": 224,
            "ibug": 135,
            "01_Indoor": 300,
            "02_Outdoor": 300,
        }
    )

    def __init__(self, root: str | pathlib.Path, *, origin: float = 1.0):
        self.root = pathlib.Path(root)
        self.origin = origin
        self.scheme: LandmarkScheme = get_scheme("ibug_68")
        self.skipped = {}
        if not self.root.is_dir():
            raise ValueError(f"`root` must be a folder. Received: {self.root}.")

    def items(self) -> list[Item]:
        """Returns the faces of all folders, by name."""
        items = []
        self.skipped = {}
        boxes = IbugBoxes(self.root)
        for folder, split in FOLDER_SPLITS.items():
            files = sorted(p for p in self._folder(folder).glob("*") if p.is_file())
            images: dict[str, pathlib.Path] = {}
            for path in files:
                if path.suffix.lower() in IMAGE_SUFFIXES:
                    images.setdefault(path.stem, path)
            marked = {path.stem: path for path in files if path.suffix.lower() == ".pts"}
            for stem in sorted(images.keys() | marked.keys()):
                key = f"{folder}/{stem}"
                if stem not in marked:
                    self.skipped[key] = "image without a .pts file"
                elif stem not in images:
                    self.skipped[key] = ".pts file without an image"
                else:
                    match = _FACE_OF_IMAGE.match(stem)
                    image = f"{folder}/{match.group(1) if match else stem}"
                    box = boxes.find(folder, stem)
                    items.append(Item(key, image, split, (images[stem], marked[stem], box)))
        if not items:
            raise ValueError(
                f"No annotated image below {self.root}. Expected at least one of "
                f"{', '.join(FOLDER_SPLITS)} with images and .pts files of the same names."
            )
        self.has_boxes = any(has_area(item.source_data[-1]) for item in items)
        return items

    def group(self, item: Item) -> tuple[str, ...]:
        """Returns the face's folder."""
        return (item.key.rpartition("/")[0],)

    def _folder(self, name: str) -> pathlib.Path:
        there = self.root / name
        return there if there.is_dir() else self.root / _PRIVATE_PARENT / name

    def load(self, item: Item) -> Face:
        """Reads an image and its points."""
        image, points, box = item.source_data
        return make_face(
            read_image(image),
            read_pts(points, self.scheme.num_landmarks, self.origin),
            box_xyxy_px=None if box is None else box - self.origin,
        )
