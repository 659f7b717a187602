"""Base class of the user's own images with one annotation file."""

import dataclasses
import pathlib
import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tfrecords_tools.sources.base import Face, Item
from tfrecords_tools.sources.folder import FolderSource
from tfrecords_tools.sources.missing_points import has_dropped_points, parse_missing
from wing_tf.landmarks import LandmarkScheme
from wing_tf.utils.did_you_mean import did_you_mean
from wing_tf.utils.image_files import EXIF_CHOICES
from wing_tf.utils.local_path import local_path

_SPLITS = ("train", "validation", "test")
_OTHER_NAMES = {  # of splits, in other packages
    "training": "train",
    "trn": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
    "eval": "test",
}


def normal_path(path: str) -> str:
    r"""Returns one spelling of the path of an image, for a/1.jpg, a\1.jpg and ./a/1.jpg."""
    return posixpath.normpath(path.replace("\\", "/"))


class AnnotationFileSource(FolderSource):
    """Images of the user's own and one file with all annotations.

    Attributes:
        takes_folder: Whether the annotations may be a folder of files.
        has_visibility_numbers: Whether the annotations say 0, 1 or 2 for each point.

    Args:
        path: The annotation file.
        scheme: Name of the landmark scheme, or a scheme.
        root: Folder that image paths are relative to. Defaults to the folder of the file.
        origin: Coordinate of the first pixel's center, subtracted from points and boxes.
        exif: What the annotations of images mean that are rotated by their EXIF data: "apply" if
            they were made on the rotated image, "ignore" if on the stored pixels. With "refuse",
            such images are skipped.
        missing: Coordinates "X,Y" that mark a point as not annotated, or "none" if no coordinates
            do. By default, -1,-1 and 0,0 do, and a warning names the faces.

    Raises:
        ValueError: If the file is missing or an argument is not valid.
    """

    default_crop = "dataset_or_landmark_box"
    ends_with_box = True
    takes_folder = False
    has_visibility_numbers = False

    def __init__(
        self,
        path: str | pathlib.Path,
        *,
        scheme: str | LandmarkScheme,
        root: str | pathlib.Path | None = None,
        origin: float = 0.0,
        exif: str = "refuse",
        missing: str | None = None,
    ):
        path = local_path(path)
        is_folder = self.takes_folder and path.is_dir()
        super().__init__(scheme, root or (path if is_folder else path.parent), origin)
        self.path = path
        self.exif = exif
        self.missing = parse_missing(missing)
        if exif not in EXIF_CHOICES:
            raise ValueError(f"`exif` must be one of {EXIF_CHOICES}. Received: exif={exif!r}.")
        if not is_folder and not self.path.is_file():
            kind = "file or folder" if self.takes_folder else "file"
            raise ValueError(f"No {self.name.upper()} {kind} at {self.path}.")

    def load(self, item: Item) -> Face:
        """Loads one face.

        Its data are the image path, points, visibility, optionally the size (width, height) of the
        image, and the box.
        """
        path, points, visibility, *size, box = item.source_data
        image = self.find_image(self.root, path)
        face = self.make_face(image, points, visibility, box, size[0] if size else None)
        if self.has_visibility_numbers and has_dropped_points(points, visibility):
            text = (
                "points with visibility 0 have coordinates, which are left out (0 is not "
                "annotated, 1 occluded, 2 visible)"
            )
            face = dataclasses.replace(face, warnings=(*face.warnings, text))
        return face

    def without_copies(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yields the faces; those with image and points of an earlier one go to `skipped`."""
        first_of: dict[tuple[str, bytes, bytes], Item] = {}
        for item in items:
            path, points, visibility, *_ = item.source_data
            image = normal_path(path)
            flags = b"" if visibility is None else visibility.tobytes()
            first = first_of.setdefault((image, points.tobytes(), flags), item)
            if first is item:
                yield item
            else:
                splits = f", which is in the split {first.split}" * (first.split != item.split)
                self.skipped[item.key] = f"equals {first.key}{splits}"

    @staticmethod
    def check_attributes(attributes: Iterable[Any]) -> None:
        """Raises ValueError if a name can't be part of a record's attributes."""
        for name in attributes:
            if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
                raise ValueError(f"attribute {name!r}: letters, digits and _ only")

    def check_split(self, split: Any, where: str) -> None:
        """Raises ValueError if a split is not train, validation, test or ``test_...``.

        Faces of a misspelled split must not be trained on, so this is an error of the file.
        """
        if isinstance(split, str) and re.fullmatch(r"train|validation|test(_\w+)?", split):
            return
        name = str(split).lower()
        if other := _OTHER_NAMES.get(name):
            hint = f" Did you mean {other!r}?"
        else:
            hint = did_you_mean(name, _SPLITS)
        raise ValueError(
            f"{self.path}, {where}: a split must be train, validation, test or test_NAME (letters, "
            f"digits and _). Received: {split!r}.{hint}"
        )
