"""Base class of data sets that are a folder of images and annotations."""

import abc
import itertools
import os
import pathlib
from collections.abc import Iterable

import numpy as np

from tfrecords_tools.sources.base import BadRecordError, Face, Item, Source
from tfrecords_tools.sources.make_face import check_image_size, has_area, make_face
from tfrecords_tools.sources.missing_points import Marks, find_missing, made_of_missing
from wing_tf.data import record_schema as schema
from wing_tf.landmarks import LandmarkScheme, get_scheme
from wing_tf.utils.image_files import IMAGE_SUFFIXES, load_image
from wing_tf.utils.image_size import MAX_PIXELS
from wing_tf.utils.local_path import local_path


class FolderSource(Source):
    """A data set in a folder.

    Attributes:
        layout: The owners' files, for error messages.
        path: The annotations, for error messages. Defaults to `root`.
        exif: As in `load_image`. Published data sets are annotated on the stored pixels ("ignore").
        ends_with_box: Whether the last element of `Item.source_data` is a box or None.
        max_pixels: Maximum number of pixels of an image; see `load_image`.
        missing: Coordinates that mark a point as not annotated; see `find_missing`. Published data
            sets have none.

    Args:
        scheme: Name of the landmark scheme, or a scheme.
        root: The folder.
        origin: Coordinate of the center of the first pixel in the annotations. It is subtracted
            from points and boxes.

    Raises:
        ValueError: If a file of the layout is missing (subclasses check this with `find_path`), or
            lacks a part, such as a MATLAB variable.
    """

    layout: str = ""
    exif: str = "ignore"
    ends_with_box: bool = False
    max_pixels: int = MAX_PIXELS
    missing: Marks | None = ()
    warnings: list[str]

    def __init__(self, scheme: str | LandmarkScheme, root: str | pathlib.Path, origin: float):
        self.scheme = get_scheme(scheme)
        self.root = self.path = local_path(root)
        self.origin = origin
        self.skipped, self.warnings = {}, []

    def find_path(self, *places: str, root: pathlib.Path | None = None) -> pathlib.Path:
        """Returns the first of several paths that exists, relative to `root`.

        Raises:
            ValueError: If none exists; the message names the first one and the layout.
        """
        paths = [(root or self.root) / place for place in places]
        if found := next((path for path in paths if path.exists()), None):
            return found
        raise ValueError(f"There is no {paths[0]}. The official layout is: {self.layout}")

    def items(self) -> list[Item]:
        """Returns all faces in a fixed order.

        Raises:
            ValueError: If there are none; the message names the first reasons.
        """
        self.skipped, self.warnings = {}, []
        items = list(self.list_items())
        if not items:
            reasons = "; ".join(f"{k}: {v}" for k, v in itertools.islice(self.skipped.items(), 3))
            expected = f"nothing is listed. Expected: {self.layout}"
            raise ValueError(f"No usable face in {self.path}: {reasons or expected}.")
        if self.ends_with_box:
            self.has_boxes = any(has_area(item.source_data[-1]) for item in items)
        return items

    @abc.abstractmethod
    def list_items(self) -> Iterable[Item]:
        """Lists the faces and adds those that it can't list to `skipped`."""

    def list_pairs(
        self,
        folder: str,
        images: Iterable[pathlib.Path],
        annotations: Iterable[pathlib.Path],
        suffix: str,
    ) -> dict[str, tuple[pathlib.Path, pathlib.Path]]:
        """Returns image and annotation file by stem, sorted; files without the other are skipped.

        Args:
            folder: Prefix of the keys in `skipped`.
            images: Files; those that are not images by their suffix are ignored.
            annotations: Files; those with another suffix are ignored.
            suffix: Suffix of annotation files.
        """
        images_of: dict[str, list[pathlib.Path]] = {}
        for path in sorted(images):
            if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                images_of.setdefault(path.stem, []).append(path)
        points_of = {
            path.stem: path
            for path in annotations
            if path.suffix.lower() == suffix and path.is_file()
        }
        pairs = {}
        for stem in sorted(images_of.keys() | points_of.keys()):
            if stem not in points_of:
                self.skipped[f"{folder}/{stem}"] = f"image without a {suffix} file"
            elif stem not in images_of:
                self.skipped[f"{folder}/{stem}"] = f"{suffix} file without an image"
            elif len(images_of[stem]) > 1:
                names = ", ".join(path.name for path in images_of[stem])
                self.skipped[f"{folder}/{stem}"] = f"{suffix} file with several images: {names}"
            else:
                pairs[stem] = images_of[stem][0], points_of[stem]
        return pairs

    @staticmethod
    def find_image(root: pathlib.Path, name: str) -> pathlib.Path:
        r"""Returns the path of an image, in whose name \\ may stand for /."""
        path = root / name
        if "\\" in name and not os.path.exists(path):
            return root / name.replace("\\", "/")
        return path

    def make_face(
        self,
        image: pathlib.Path | np.ndarray,
        points: np.ndarray,
        visibility: np.ndarray | None = None,
        box: np.ndarray | None = None,
        size_wh: np.ndarray | None = None,
    ) -> Face:
        """Returns a face in the package's coordinates and flags; see `make_face.make_face`.

        Args:
            image: Image file, or uint8 RGB [H, W, 3].
            points: [K, 2], as annotated.
            visibility: Int [K]; visible if None.
            box: x0, y0, x1, y1, as annotated.
            size_wh: Width and height of the image according to the annotations, if they say it.

        Raises:
            BadRecordError: If the image or the annotation is not usable.
        """
        if isinstance(image, pathlib.Path):
            try:
                image = load_image(image, exif=self.exif, max_pixels=self.max_pixels)
            except ValueError as error:
                raise BadRecordError(str(error)) from None
        if size_wh is not None:
            check_image_size(image, size_wh, self.exif)
        missing, warnings = find_missing(points, visibility, self.missing)
        if missing is not None:
            flags = schema.VISIBLE if visibility is None else visibility
            visibility = np.where(missing, schema.NOT_ANNOTATED, flags)
        if box is not None and made_of_missing(box, points, visibility, missing):
            box = None
            text = "the face box reaches to points that are not annotated: left out"
            warnings = (*warnings, text)
        box = None if box is None else box - self.origin
        return make_face(image, points - self.origin, visibility, box, warnings=warnings)
