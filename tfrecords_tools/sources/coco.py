"""Images of the user's own with annotations in a COCO keypoint JSON file."""

import collections
import pathlib
import posixpath
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfrecords_tools.sources.annotation_file import AnnotationFileSource, normal_path
from tfrecords_tools.sources.base import Item, xywh_to_xyxy
from tfrecords_tools.sources.labeled_face import LabeledFace, LabeledPoint
from wing_tf.landmarks import LandmarkScheme
from wing_tf.utils.text_files import MAX_ANNOTATION_BYTES, read_json


class CocoSource(AnnotationFileSource):
    """A COCO JSON file: ``images``, ``annotations`` with ``keypoints``, ``categories``.

    ``keypoints`` are x, y, v for each of the K points of the scheme, in its order: v is 0 for not
    annotated, 1 for occluded, 2 for visible. ``bbox`` is x, y, width, height. Three fields go
    beyond COCO: ``split`` and ``source_image`` (name of the photograph, by default the file: all
    faces of one photograph are on the same side of the validation split) of an image, and
    ``attributes`` (a list of names of further subsets) of an annotation.

    The ``width`` and ``height`` of an image, if given, are compared with its file. Two images with
    one id are an error: such a file was joined from two, and the images of its annotations are
    unknown. Annotations with one id are numbered, and one with the image and points of an earlier
    one is skipped. The category's names of points, if the scheme has some of them, must be in the
    scheme's order. Splits
    are train, validation, test and ``test_...``; others are an error.

    Crowds and annotations without keypoints are not faces: they are counted in `skipped`. Points
    and boxes are taken as COCO's, with the first pixel's center at 0. Tools with a continuous
    frame, where it is at .5, need ``origin=0.5``.

    Args:
        category: Name of the category; required if several have keypoints.
        split: Split of images that name none.

    The other arguments are those of `AnnotationFileSource`.
    """

    name = "coco"
    layout = "annotations with keypoints"
    has_visibility_numbers = True

    def __init__(
        self,
        path: str | pathlib.Path,
        *,
        scheme: str | LandmarkScheme,
        root: str | pathlib.Path | None = None,
        category: str | None = None,
        origin: float = 0.0,
        split: str = "train",
        exif: str = "refuse",
        missing: str | None = None,
    ):
        super().__init__(path, scheme=scheme, root=root, origin=origin, exif=exif, missing=missing)
        self.category = category
        self.split = split

    @staticmethod
    def read(path: pathlib.Path, skipped: dict[str, str]) -> Iterator[LabeledFace]:
        """Yields the faces of a file, whose labels are the category's names, or else numbers."""
        content = _read_content(path)
        categories = {row["id"]: row for row in content["categories"]}
        for number, annotation in enumerate(content["annotations"]):
            key = f"annotation {annotation.get('id', f'number {number}')}"
            keypoints = annotation.get("keypoints")
            if annotation.get("iscrowd") or not keypoints or annotation.get("num_keypoints") == 0:
                continue
            try:
                identifier = annotation.get("category_id", next(iter(categories), None))
                if (category := categories.get(identifier)) is None:
                    raise ValueError(f"no category {identifier!r:.80}")
                rows = _keypoints(keypoints)
                names = _names(category, path) or range(len(rows))
                if len(names) != len(rows):
                    raise ValueError(f"expected {len(names)} points, found {len(rows)}")
                points = tuple(
                    LabeledPoint(str(name), (x, y), int(v))
                    for name, (x, y, v) in zip(names, rows.tolist(), strict=True)
                )
            except (TypeError, ValueError, OverflowError) as error:
                skipped[key] = str(error)
            else:
                name = str(category.get("name", category["id"]))
                yield LabeledFace(key, str(annotation.get("image_id")), points, category=name)

    def list_items(self) -> list[Item]:
        """Lists the annotations in the order of the file."""
        content = _read_content(self.path)
        category = self._pick_category(content)
        images = self._images_by_id(content)
        count = self.scheme.num_landmarks
        items, ignored = [], collections.Counter[str]()
        ids = [str(a.get("id", f"number {i}")) for i, a in enumerate(content["annotations"])]
        repeated = {name for name, number in collections.Counter(ids).items() if number > 1}
        occurrences = collections.Counter[str]()
        for identifier, annotation in zip(ids, content["annotations"], strict=True):
            occurrences[identifier] += 1
            if occurrences[identifier] > 1:
                identifier = f"{identifier}, occurrence {occurrences[identifier]}"
            key = f"annotation {identifier}"
            points = annotation.get("keypoints")
            if annotation.get("category_id", category) != category:
                ignored["annotations of other categories"] += 1
            elif annotation.get("iscrowd"):
                ignored["crowds"] += 1
            elif not points or annotation.get("num_keypoints") == 0:
                ignored["annotations without keypoints"] += 1
            elif not isinstance(points, list):
                self.skipped[key] = f"keypoints must be a list, found {points!r:.80}"
            elif len(points) != 3 * count:
                self.skipped[key] = f"expected {count} points, found {len(points) / 3:g}"
            else:
                try:
                    item = self._item(annotation, images, identifier)
                except (TypeError, ValueError, OverflowError) as error:
                    self.skipped[key] = str(error)
                else:
                    self.check_split(item.split, key)
                    items.append(item)
        self.skipped.update({name: f"{number} of them" for name, number in ignored.items()})
        if repeated:
            shown = ", ".join(sorted(repeated)[:3])
            self.warnings.append(f"annotation ids that are used more than once: {shown}")
        return list(self.without_copies(items))

    def _images_by_id(self, content: dict[str, Any]) -> dict[Any, dict[str, Any]]:
        """Returns the images by id. Raises ValueError if two of them share one."""
        images: dict[Any, dict[str, Any]] = {}
        for image in content["images"]:
            other = images.setdefault(image["id"], image)
            if other != image:
                raise ValueError(
                    f"{self.path}: the images {other.get('file_name')!r} and "
                    f"{image.get('file_name')!r} have the same id {image['id']!r}, so it is "
                    "unknown which one an annotation belongs to. Renumber both in files that are "
                    "joined, or write records of each file."
                )
        return images

    def _pick_category(self, content: dict[str, Any]) -> Any:
        """Returns the id of the category to use."""
        names = {row["id"]: str(row.get("name", row["id"])) for row in content["categories"]}
        if self.category is not None:
            ids = {name: identifier for identifier, name in names.items()}
            if self.category not in ids:
                raise ValueError(
                    f"`category` must be one of the categories of {self.path}: "
                    f"{', '.join(ids) or 'it has none'}. Received: category={self.category!r}."
                )
            picked = ids[self.category]
        else:
            candidates = [row["id"] for row in content["categories"] if row.get("keypoints")]
            if not candidates:  # not every tool names the points
                used = {a.get("category_id") for a in content["annotations"] if a.get("keypoints")}
                candidates = [identifier for identifier in names if identifier in used]
            if len(candidates) != 1:
                listed = ", ".join(names[identifier] for identifier in candidates)
                raise ValueError(
                    f"{self.path} must have exactly one category with keypoints, or `category` "
                    f"must name one. Found: {listed or 'no category with keypoints'}."
                )
            picked = candidates[0]
        # By a dictionary, which finds an identifier that is NaN, too.
        labels = _names({row["id"]: row for row in content["categories"]}[picked], self.path)
        count = len(labels)
        if count and count != self.scheme.num_landmarks:
            raise ValueError(
                f"{self.path}: the category {names[picked]!r} has {count} points; "
                f"{self.scheme.name} has {self.scheme.num_landmarks}."
            )
        for label, name in zip(labels, self.scheme.point_names, strict=False):
            if label != name and label in self.scheme.point_names:
                raise ValueError(
                    f"{self.path}: the category {names[picked]!r} has the point {label!r} where "
                    f"{self.scheme.name} has {name!r}. Write the scheme with the points in the "
                    "order of the file."
                )
        return picked

    def _item(self, annotation: dict[str, Any], images: dict[Any, Any], identifier: str) -> Item:
        """Parses one annotation. Raises ValueError or TypeError with the reason."""
        image = images.get(annotation.get("image_id"))
        if image is None or not image.get("file_name"):
            raise ValueError(f"no image {annotation.get('image_id')!r:.80} with a file_name")
        attributes = annotation.get("attributes") or ()
        if isinstance(attributes, dict):  # some tools store other things under this name
            attributes = ()
        if not isinstance(attributes, list | tuple):
            raise ValueError(f"attributes must be a list of names, found {attributes!r:.80}")
        self.check_attributes(attributes)
        numbers = _keypoints(annotation["keypoints"])
        bbox = annotation.get("bbox")
        box = xywh_to_xyxy(_floats(bbox, "bbox", 4)) if bbox else None
        size = [image.get("width"), image.get("height")]
        size_wh = None if None in size else _floats(size, "width and height", 2)
        name = posixpath.normpath(str(image["file_name"]))
        return Item(
            key=f"{name}#{identifier}",
            source_image=str(image.get("source_image") or normal_path(name)),
            split=image.get("split") or self.split,
            source_data=(name, numbers[:, :2], numbers[:, 2].astype(int), size_wh, box),
            attributes=tuple(attributes),
        )


def _read_content(path: pathlib.Path) -> dict[str, Any]:
    content = read_json(path, max_bytes=MAX_ANNOTATION_BYTES, finite=False)
    for name in ("images", "annotations", "categories"):
        rows = content.get(name) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(
                f"{path} is not a COCO file: it must have the lists images, annotations "
                f"and categories. Missing: {name}."
            )
        if name != "annotations" and not all(
            isinstance(row.get("id"), int | float | str) for row in rows
        ):
            raise ValueError(
                f"{path} is not a COCO file: one of {name} has no id, a number or text."
            )
    return content


def _names(category: dict[str, Any], path: pathlib.Path) -> list[Any]:
    """Returns the names of a category's points, none if it has no names."""
    labels = category.get("keypoints") or []
    if not isinstance(labels, list):
        raise ValueError(
            f"{path}: keypoints of the category {str(category.get('name', category['id']))!r} must "
            f"be a list of names. Received: {labels!r:.80}."
        )
    return labels


def _keypoints(values: Any) -> np.ndarray:
    """Returns the rows x, y, v of an annotation. Raises ValueError with the reason."""
    numbers = _floats(values, "keypoints").reshape(-1, 3)
    if not np.all(np.isin(numbers[:, 2], [0, 1, 2])):
        raise ValueError("v must be 0, 1 or 2 for each point")
    return numbers


def _floats(values: Any, name: str, count: int | None = None) -> np.ndarray:
    try:
        numbers = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} are not numbers: {error}") from error
    if numbers.ndim != 1 or (count is not None and len(numbers) != count):
        raise ValueError(
            f"{name} must be a list of {count or 'plain'} numbers, found {values!r:.80}"
        )
    if not np.all(np.isfinite(numbers)):
        raise ValueError(f"{name} hold NaN or infinity")
    return numbers
