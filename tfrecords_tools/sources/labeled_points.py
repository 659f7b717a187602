"""Base class of sources whose landmarks are points with labels, as annotation tools write them."""

import abc
import collections
import os
import pathlib
import posixpath
import stat
from collections.abc import Iterable, Iterator

import numpy as np

from tfrecords_tools.sources.annotation_file import AnnotationFileSource
from tfrecords_tools.sources.base import Item
from tfrecords_tools.sources.labeled_face import LabeledFace
from wing_tf.data import record_schema as schema
from wing_tf.landmarks import LandmarkScheme
from wing_tf.utils.did_you_mean import did_you_mean


class LabeledPointsSource(AnnotationFileSource):
    """Annotations in which a label says which landmark a point is.

    A label is the landmark's name in the scheme, or its index from 0 if the scheme has no names. A
    landmark without a point is not annotated. A face is skipped and named if a label appears twice,
    is not in the scheme, or if some points of its image belong to a face and others to none.

    An image is searched for by its whole path below `root` and below ``images/`` in it, then
    without the first folders of the path.

    Args:
        category: Name of the kind of object; required if there are several.
        split: Split of images for which the file states none.

    The other arguments are those of `AnnotationFileSource`. `origin` and `exif` default to what the
    tool does.

    Attributes:
        grouping: How the tool marks the points of one face, for error messages.
        tool_origin: The tool's coordinate of the first pixel's center.
        tool_exif: What the tool does with images that are rotated by their EXIF data.
    """

    grouping: str
    tool_origin: float = 0.5
    tool_exif: str = "apply"

    def __init__(
        self,
        path: str | pathlib.Path,
        *,
        scheme: str | LandmarkScheme,
        root: str | pathlib.Path | None = None,
        category: str | None = None,
        origin: float | None = None,
        split: str = "train",
        exif: str | None = None,
        missing: str | None = None,
    ):
        super().__init__(
            path,
            scheme=scheme,
            root=root,
            origin=self.tool_origin if origin is None else origin,
            exif=self.tool_exif if exif is None else exif,
            missing=missing,
        )
        self.category = category
        self.split = split

    @staticmethod
    @abc.abstractmethod
    def read(path: pathlib.Path, skipped: dict[str, str]) -> Iterator[LabeledFace]:
        """Yields the faces of an annotation file or folder, see `LabeledFaceReader`."""

    def list_items(self) -> list[Item]:
        """Lists the faces in the order of the file."""
        index_of = label_indices(self.scheme)
        found: list[tuple[str, str, Item]] = []  # category, name of the image, face
        occurrences = collections.Counter[str]()
        for face in self.read(self.path, self.skipped):
            key = f"{face.image}#{face.name}"
            occurrences[key] += 1  # files that are joined may list an image twice
            if occurrences[key] > 1:
                key = f"{key}, occurrence {occurrences[key]}"
            self._check_numbers(key, face)
            try:
                item = self._item(key, face, index_of)
            except ValueError as error:
                self.skipped[key] = str(error)
            else:
                self.check_split(item.split, key)
                found.append((face.category, face.image, item))
        categories = sorted({category for category, _, _ in found})
        if self.category is None and len(categories) > 1:
            raise ValueError(
                f"{self.path} has several kinds of objects: {', '.join(categories)}. Name one by "
                "`category`."
            )
        if self.category is not None and found and self.category not in categories:
            raise ValueError(
                f"`category` must be one of {', '.join(categories)}, which {self.path} has. "
                f"Received: category={self.category!r}."
            )
        names_of = collections.defaultdict(set)
        for _, image, item in found:
            names_of[item.source_image].add(self.image_id(image))
        items = []
        for category, _, item in found:
            others = sorted(names_of[item.source_image])
            if self.category not in (None, category):
                self.skipped[item.key] = f"is a {category}, not a {self.category}"
            elif len(others) > 1:
                self.skipped[item.key] = (
                    f"annotations of several images ({', '.join(others[:3])}) lead to the one file "
                    f"{item.source_image}"
                )
            else:
                items.append(item)
        return list(self.without_copies(items))

    def _check_numbers(self, key: str, face: LabeledFace) -> None:
        """Raises ValueError if numbers count from 1: faces without the last would be shifted."""
        count = self.scheme.num_landmarks
        if self.scheme.point_names or face.ordered:
            return
        if any(p.label.isdecimal() and int(p.label[:9]) == count for p in face.points):
            raise ValueError(
                f"{self.path}, {key}: the label {count} is not in 0 to {count - 1}, the points of "
                f"{self.scheme.name}. If labels count from 1, make a scheme with these names: "
                "wing-tfrecords scheme."
            )

    def image_id(self, image: str) -> str:
        """Returns the name by which images are told apart."""
        return posixpath.normpath(image)

    def _item(self, key: str, face: LabeledFace, index_of: dict[str, int]) -> Item:
        """Returns a face by the scheme's indices. Raises ValueError with the reason."""
        count = self.scheme.num_landmarks
        if face.ordered and len(face.points) != count:
            raise ValueError(f"expected {count} points, found {len(face.points)}")
        points = np.full((count, 2), np.nan)
        visibility = np.zeros(count, np.int8)
        seen = set()
        for number, point in enumerate(face.points):
            index = number if face.ordered else self._index(point.label, index_of)
            if index in seen:
                raise ValueError(
                    f"the label {point.label!r} appears twice in one face: faces of one image "
                    f"must differ in {self.grouping}"
                )
            seen.add(index)
            points[index] = point.xy
            visibility[index] = point.visibility
        if not np.any(visibility):
            raise ValueError("no point is annotated")
        points[visibility == schema.NOT_ANNOTATED] = np.nan
        box = None if face.box_xyxy is None else np.array(face.box_xyxy)
        image = self._find_image(face)
        size = None if face.image_size_wh is None else np.array(face.image_size_wh)
        return Item(key, image, face.split or self.split, (image, points, visibility, size, box))

    def _index(self, label: str, index_of: dict[str, int]) -> int:
        if label in index_of:
            return index_of[label]
        if not self.scheme.point_names and label.isdecimal():  # dlib pads numbers with zeros
            label = str(int(label[:9]))
        if label in index_of:
            return index_of[label]
        known = (
            f"the names of its points{did_you_mean(label, index_of)}"
            if self.scheme.point_names
            else f"the numbers 0 to {self.scheme.num_landmarks - 1}"
        )
        raise ValueError(f"unknown label {label!r}: labels of {self.scheme.name} are {known}")

    def _find_image(self, face: LabeledFace) -> str:
        """Returns the path of a face's image below `root`. Raises ValueError."""
        for group in face.files or ((face.image,),):
            whole = [(name, posixpath.join("images", name)) for name in group]
            for names in ([n for n, _ in whole], [n for _, n in whole]):
                if path := self._one_file(names):
                    return path
            depth = max(len(pathlib.PurePosixPath(name).parts) for name in group)
            for start in range(1, depth):
                parts = [pathlib.PurePosixPath(name).parts[start:] for name in group]
                if path := self._one_file([posixpath.join(*part) for part in parts if part]):
                    return path
        raise ValueError(f"no image {(face.files or ((face.image,),))[-1][0]} in {self.root}")

    def _one_file(self, names: Iterable[str]) -> str | None:
        """Returns the one name that is a file below `root`, None if there is none."""
        files: dict[tuple[int, int], str] = {}
        for name in names:
            try:
                found = os.stat(self.root / name)
            except (OSError, ValueError):  # ValueError: a null character
                continue
            if stat.S_ISREG(found.st_mode):
                files.setdefault((found.st_dev, found.st_ino), posixpath.normpath(name))
        if len(files) > 1:
            raise ValueError(f"there are several images: {', '.join(sorted(files.values()))}")
        return next(iter(files.values()), None)


def label_indices(scheme: LandmarkScheme) -> dict[str, int]:
    """Returns the indices of a scheme's landmarks by label."""
    names = scheme.point_names or [str(index) for index in range(scheme.num_landmarks)]
    return {name: index for index, name in enumerate(names)}
