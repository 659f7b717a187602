"""Any annotated images through a COCO key-point JSON."""

import collections
import json
import pathlib
import posixpath
import re
from typing import Any

import numpy as np

from tfrecords_tools.sources.base import (
    EXIF_CHOICES,
    Face,
    Item,
    Source,
    has_area,
    make_face,
    read_image,
)
from wing_tf.landmarks import LandmarkScheme, get_scheme


class CocoSource(Source):
    """A COCO JSON: ``images``, ``annotations`` with ``keypoints``, ``categories``.

    ``keypoints`` are x, y, v for each of the K points: v is 0 where the point is missing, 1 where
    it is hidden, 2 where it is visible. ``bbox`` is x, y, width, height and becomes x, y,
    x + width, y + height. Some fields beyond COCO's are taken where they are: ``split`` of an
    image, and ``attributes`` of an annotation, a list of names of further sub-sets.

    A ``image`` of an image names the photograph that it is of, its file where absent: faces of
    one photograph are never on both sides of the validation split.

    Crowds and annotations without key points are no faces: they are not listed, and counted in
    `skipped`. COCO's points count pixels from 0, as this package does their centers, and boxes are
    taken in the same frame. Tools that draw in a continuous frame, where the first pixel's center
    is .5, need ``origin=0.5``.

    Args:
        path: the JSON file.
        scheme: the scheme's name, or a scheme; its K points in the file's order.
        root: what ``file_name`` is relative to; the JSON file's folder if None.
        category: the name of the category to take; needed where several have key points.
        origin: the coordinate of the first pixel's center, taken off points and boxes.
        split: of images that name none.
        exif: what an image that its EXIF data turns means; see `read_image`.

    Raises:
        ValueError: if the file is absent, no COCO JSON, or has another number of points.
    """

    name = "coco"
    default_crop = "dataset_or_landmark_box"

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
        self.path = pathlib.Path(path)
        self.scheme = get_scheme(scheme)
        self.root = pathlib.Path(root) if root else self.path.parent
        self.category = category
        self.origin = origin
        self.split = split
        self.exif = exif
        if exif not in EXIF_CHOICES:
            raise ValueError(f"`exif` must be one of {EXIF_CHOICES}. Received: exif={exif!r}.")
        self.skipped = {}
        if not self.path.is_file():
            raise ValueError(f"No COCO JSON file at {self.path}.")

    def items(self) -> list[Item]:
        """Returns the annotations, in the file's order."""
        content = self._read()
        category = self._pick_category(content)
        images = {image["id"]: image for image in content["images"]}
        count = self.scheme.num_landmarks
        items, ignored, wrong = [], collections.Counter[str](), []
        self.skipped = {}
        for number, annotation in enumerate(content["annotations"]):
            key = f"annotation {annotation.get('id', f'number {number}')}"
            points = annotation.get("keypoints")
            if annotation.get("category_id", category) != category:
                ignored["annotations of other categories"] += 1
            elif annotation.get("iscrowd"):
                ignored["crowds"] += 1
            elif not points or annotation.get("num_keypoints") == 0:
                ignored["annotations without key points"] += 1
            elif not isinstance(points, list):
                self.skipped[key] = f"keypoints must be a list, found {points!r}"
            elif len(points) != 3 * count:
                wrong.append(len(points) / 3)
                self.skipped[key] = f"expected {count} points, found {len(points) / 3:g}"
            else:
                try:
                    items.append(self._item(annotation, images, number))
                except (TypeError, ValueError) as error:
                    self.skipped[key] = str(error)
        if not items and wrong:
            raise ValueError(
                f"{self.path} has {wrong[0]:g} points a face; {self.scheme.name} has {count}."
            )
        if not items:
            raise ValueError(
                f"{self.path} holds no usable annotation: {dict(ignored) or self.skipped}."
            )
        self.skipped.update({name: f"{many} of them" for name, many in ignored.items()})
        self.has_boxes = any(has_area(item.source_data[-1]) for item in items)
        return items

    def load(self, item: Item) -> Face:
        """Reads an image; points and box come from the file."""
        name, points, visibility, box = item.source_data
        return make_face(
            read_image(self.root / name, exif=self.exif),
            points - self.origin,
            visibility,
            None if box is None else box - self.origin,
        )

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{self.path} is no JSON file: {error}") from error
        for name in ("images", "annotations", "categories"):
            rows = content.get(name) if isinstance(content, dict) else None
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise ValueError(
                    f"{self.path} is no COCO file: it must have the lists images, annotations and "
                    f"categories. Missing: {name}."
                )
            if name != "annotations" and not all("id" in row for row in rows):
                raise ValueError(f"{self.path} is no COCO file: one of {name} has no id.")
        return content

    def _pick_category(self, content: dict[str, Any]) -> Any:
        """Returns the id of the category to take."""
        names = {row["id"]: str(row.get("name", row["id"])) for row in content["categories"]}
        if self.category is not None:
            known = {name: identifier for identifier, name in names.items()}
            if self.category not in known:
                raise ValueError(
                    f"`category` must be one of {', '.join(known) or 'none'} of {self.path}. "
                    f"Received: category={self.category!r}."
                )
            picked = known[self.category]
        else:
            pointed = [row["id"] for row in content["categories"] if row.get("keypoints")]
            if not pointed:  # not every tool names the points
                used = {a.get("category_id") for a in content["annotations"] if a.get("keypoints")}
                pointed = [identifier for identifier in names if identifier in used]
            if len(pointed) != 1:
                listed = ", ".join(names[identifier] for identifier in pointed)
                raise ValueError(
                    f"{self.path} must have one category with key points, or `category` must name "
                    f"one. Found: {listed or 'none'}."
                )
            picked = pointed[0]
        row = next(row for row in content["categories"] if row["id"] == picked)
        count = len(row.get("keypoints") or [])
        if count and count != self.scheme.num_landmarks:
            raise ValueError(
                f"{self.path}: the category {names[picked]!r} has {count} points; "
                f"{self.scheme.name} has {self.scheme.num_landmarks}."
            )
        return picked

    def _item(self, annotation: dict[str, Any], images: dict[Any, Any], number: int) -> Item:
        """Reads one annotation. Raises ValueError with a reason."""
        image = images.get(annotation.get("image_id"))
        if image is None or not image.get("file_name"):
            raise ValueError(f"no image {annotation.get('image_id')!r} with a file_name")
        split = image.get("split") or self.split
        attributes = annotation.get("attributes") or ()
        if isinstance(attributes, dict):  # what some tools put there; not names of sub-sets
            attributes = ()
        if not isinstance(attributes, list | tuple):
            raise ValueError(f"attributes must be a list of names, found {attributes!r}")
        for name in (split, *attributes):
            if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
                raise ValueError(f"split or attribute {name!r}: letters, digits and _ only")
        numbers = _floats(annotation["keypoints"], "keypoints").reshape(-1, 3)
        visibility = numbers[:, 2].astype(int)
        if not np.all(np.isin(numbers[:, 2], [0, 1, 2])):
            raise ValueError("v must be 0, 1 or 2 for each point")
        box = None
        if annotation.get("bbox"):
            x, y, width, height = _floats(annotation["bbox"], "bbox", 4)
            box = np.array([x, y, x + width, y + height])
        name = posixpath.normpath(str(image["file_name"]))
        key = f"{name}#{annotation.get('id', f'number {number}')}"
        source_image = str(image.get("source_image") or name)
        source_data = (name, numbers[:, :2], visibility, box)
        return Item(key, source_image, split, source_data, tuple(attributes))


def _floats(values: Any, name: str, count: int | None = None) -> np.ndarray:
    try:
        numbers = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} are not numbers: {error}") from error
    if numbers.ndim != 1 or (count is not None and len(numbers) != count):
        raise ValueError(f"{name} must be {count or 'plain'} numbers, found {values}")
    if not np.all(np.isfinite(numbers)):
        raise ValueError(f"{name} hold NaN or infinity")
    return numbers
