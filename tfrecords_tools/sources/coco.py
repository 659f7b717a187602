"""Images of the user's own with annotations in a COCO keypoint JSON file."""

import collections
import pathlib
import posixpath
from typing import Any

import numpy as np

from tfrecords_tools.sources.annotation_file import AnnotationFileSource
from tfrecords_tools.sources.base import Item, xywh_to_xyxy
from wing_tf.landmarks import LandmarkScheme
from wing_tf.utils.text_files import read_json


class CocoSource(AnnotationFileSource):
    """A COCO JSON file: ``images``, ``annotations`` with ``keypoints``, ``categories``.

    ``keypoints`` are x, y, v for each of the K points of the scheme, in its order: v is 0 for not
    annotated, 1 for occluded, 2 for visible. ``bbox`` is x, y, width, height. Three fields go
    beyond COCO: ``split`` and ``source_image`` (name of the photograph, by default the file: all
    faces of one photograph are on the same side of the validation split) of an image, and
    ``attributes`` (a list of names of further subsets) of an annotation.

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
    ):
        super().__init__(path, scheme=scheme, root=root, origin=origin, exif=exif)
        self.category = category
        self.split = split

    def list_items(self) -> list[Item]:
        """Lists the annotations in the order of the file."""
        content = self._read()
        category = self._pick_category(content)
        images = {image["id"]: image for image in content["images"]}
        count = self.scheme.num_landmarks
        items, ignored = [], collections.Counter[str]()
        for number, annotation in enumerate(content["annotations"]):
            key = f"annotation {annotation.get('id', f'number {number}')}"
            points = annotation.get("keypoints")
            if annotation.get("category_id", category) != category:
                ignored["annotations of other categories"] += 1
            elif annotation.get("iscrowd"):
                ignored["crowds"] += 1
            elif not points or annotation.get("num_keypoints") == 0:
                ignored["annotations without keypoints"] += 1
            elif not isinstance(points, list):
                self.skipped[key] = f"keypoints must be a list, found {points!r}"
            elif len(points) != 3 * count:
                self.skipped[key] = f"expected {count} points, found {len(points) / 3:g}"
            else:
                try:
                    items.append(self._item(annotation, images, number))
                except (TypeError, ValueError) as error:
                    self.skipped[key] = str(error)
        self.skipped.update({name: f"{number} of them" for name, number in ignored.items()})
        return items

    def _read(self) -> dict[str, Any]:
        content = read_json(self.path)
        for name in ("images", "annotations", "categories"):
            rows = content.get(name) if isinstance(content, dict) else None
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise ValueError(
                    f"{self.path} is not a COCO file: it must have the lists images, annotations "
                    f"and categories. Missing: {name}."
                )
            if name != "annotations" and not all("id" in row for row in rows):
                raise ValueError(f"{self.path} is not a COCO file: one of {name} has no id.")
        return content

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
        row = next(row for row in content["categories"] if row["id"] == picked)
        count = len(row.get("keypoints") or [])
        if count and count != self.scheme.num_landmarks:
            raise ValueError(
                f"{self.path}: the category {names[picked]!r} has {count} points; "
                f"{self.scheme.name} has {self.scheme.num_landmarks}."
            )
        return picked

    def _item(self, annotation: dict[str, Any], images: dict[Any, Any], number: int) -> Item:
        """Parses one annotation. Raises ValueError with the reason."""
        image = images.get(annotation.get("image_id"))
        if image is None or not image.get("file_name"):
            raise ValueError(f"no image {annotation.get('image_id')!r} with a file_name")
        split = image.get("split") or self.split
        attributes = annotation.get("attributes") or ()
        if isinstance(attributes, dict):  # some tools store other things under this name
            attributes = ()
        if not isinstance(attributes, list | tuple):
            raise ValueError(f"attributes must be a list of names, found {attributes!r}")
        self.check_names(split, attributes)
        numbers = _floats(annotation["keypoints"], "keypoints").reshape(-1, 3)
        if not np.all(np.isin(numbers[:, 2], [0, 1, 2])):
            raise ValueError("v must be 0, 1 or 2 for each point")
        visibility = numbers[:, 2].astype(int)
        bbox = annotation.get("bbox")
        box = xywh_to_xyxy(_floats(bbox, "bbox", 4)) if bbox else None
        name = posixpath.normpath(str(image["file_name"]))
        key = f"{name}#{annotation.get('id', f'number {number}')}"
        source_image = str(image.get("source_image") or name)
        return Item(
            key, source_image, split, (name, numbers[:, :2], visibility, box), tuple(attributes)
        )


def _floats(values: Any, name: str, count: int | None = None) -> np.ndarray:
    try:
        numbers = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} are not numbers: {error}") from error
    if numbers.ndim != 1 or (count is not None and len(numbers) != count):
        raise ValueError(f"{name} must be a list of {count or 'plain'} numbers, found {values}")
    if not np.all(np.isfinite(numbers)):
        raise ValueError(f"{name} hold NaN or infinity")
    return numbers
