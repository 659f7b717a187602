"""Base class of the user's own images with one annotation file."""

import pathlib
import re
from collections.abc import Iterable
from typing import Any

from tfrecords_tools.sources.base import Face, Item
from tfrecords_tools.sources.folder import FolderSource
from wing_tf.landmarks import LandmarkScheme
from wing_tf.utils.image_files import EXIF_CHOICES


class AnnotationFileSource(FolderSource):
    """Images of the user's own and one file with all annotations.

    Attributes:
        takes_folder: Whether the annotations may be a folder of files.

    Args:
        path: The annotation file.
        scheme: Name of the landmark scheme, or a scheme.
        root: Folder that image paths are relative to. Defaults to the folder of the file.
        origin: Coordinate of the first pixel's center, subtracted from points and boxes.
        exif: What the annotations of images mean that are rotated by their EXIF data: "apply" if
            they were made on the rotated image, "ignore" if on the stored pixels. With "refuse",
            such images are skipped.

    Raises:
        ValueError: If the file is missing or an argument is not valid.
    """

    default_crop = "dataset_or_landmark_box"
    ends_with_box = True
    takes_folder = False

    def __init__(
        self,
        path: str | pathlib.Path,
        *,
        scheme: str | LandmarkScheme,
        root: str | pathlib.Path | None = None,
        origin: float = 0.0,
        exif: str = "refuse",
    ):
        path = pathlib.Path(path)
        is_folder = self.takes_folder and path.is_dir()
        super().__init__(scheme, root or (path if is_folder else path.parent), origin)
        self.path = path
        self.exif = exif
        if exif not in EXIF_CHOICES:
            raise ValueError(f"`exif` must be one of {EXIF_CHOICES}. Received: exif={exif!r}.")
        if not is_folder and not self.path.is_file():
            kind = "file or folder" if self.takes_folder else "file"
            raise ValueError(f"No {self.name.upper()} {kind} at {self.path}.")

    def load(self, item: Item) -> Face:
        """Loads one face, whose data are image path, points, visibility and box."""
        path, points, visibility, box = item.source_data
        return self.make_face(self.root / path, points, visibility, box)

    @staticmethod
    def check_names(split: Any, attributes: Iterable[Any]) -> None:
        """Raises ValueError if a name can't be part of a file name or of a record's attributes."""
        for kind, name in (("split", split), *(("attribute", name) for name in attributes)):
            if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
                raise ValueError(f"{kind} {name!r}: letters, digits and _ only")
