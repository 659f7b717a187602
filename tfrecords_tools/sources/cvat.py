"""Annotations of CVAT in its own format, "CVAT for images 1.1"."""

import pathlib
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tfrecords_tools.sources.labeled_face import (
    LabeledFace,
    LabeledPoint,
    by_face,
    image_size,
    number,
)
from tfrecords_tools.sources.labeled_points import LabeledPointsSource
from tfrecords_tools.sources.xml_file import read_xml
from wing_tf.data import record_schema as schema

# Names of subsets in CVAT's projects.
_SPLITS = {
    "default": "",
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}


class CvatSource(LabeledPointsSource):
    """``annotations.xml`` of CVAT's export "CVAT for images 1.1".

    A face is one of these:

    * A skeleton. Its elements are landmarks, and their labels the names.
    * Points with one point each, whose labels are the names. Those with the same ``group_id`` are
      one face; without groups, all of an image are one face.
    * Points with several points: they are in the order of the scheme.

    A box with the ``group_id`` of a face is its box, and must not be rotated.
    ``outside="1"`` marks a landmark that is not annotated, ``occluded="1"`` an occluded one.
    Datumaro, CVAT's own library, is not used: its reader of this format leaves out skeletons.

    Reference:
        https://docs.cvat.ai/docs/other/xml_format/
    """

    name = "cvat"
    layout = "images with points or skeletons"
    grouping = "group_id"

    @staticmethod
    def read(path: pathlib.Path, skipped: dict[str, str]) -> Iterator[LabeledFace]:
        """Yields the faces of an XML file."""
        root = read_xml(path, "annotations", "a CVAT file")
        if root.find("track") is not None:
            raise ValueError(f'{path} is of "CVAT for video". Export "CVAT for images 1.1".')
        ignored = Counter[str]()
        for number_, element in enumerate(root.iterfind("image")):
            image = element.get("name")
            if not image:
                skipped[f"image number {number_}"] = "it has no name"
                continue
            try:
                yield from _faces(element, image, skipped, ignored)
            except ValueError as error:
                skipped[image] = str(error)
        skipped.update({kind: f"{count} of them" for kind, count in ignored.items()})


def _faces(
    element: ET.Element, image: str, skipped: dict[str, str], ignored: Counter[str]
) -> Iterator[LabeledFace]:
    size = image_size(element.get("width"), element.get("height"))
    subset = element.get("subset") or ""
    split = _SPLITS.get(subset.lower(), subset) or None
    files = ((image,), (f"{subset}/{image}",)) if subset else ((image,),)

    def face(name, points, box=None, **more):
        points = tuple(points)
        return LabeledFace(name, image, points, box, size, split, files=files, **more)

    marks, boxes, count = [], [], 0
    whole: list[tuple[str | None, str, list[LabeledPoint], dict[str, Any]]] = []
    for shape in element:
        group = shape.get("group_id")
        if shape.tag == "skeleton":
            count += 1
            points = [point for part in shape.iterfind("points") for point in _points(part)]
            category = shape.get("label") or "skeleton"
            whole.append((group, f"skeleton {count}", points, {"category": category}))
        elif shape.tag == "points":
            count += 1
            points = _points(shape)
            if len(points) == 1:
                marks.append((group, points[0]))
            else:
                category = shape.get("label") or "points"
                more = {"category": category, "ordered": True}
                whole.append((group, f"points {count}", points, more))
        elif shape.tag == "box" and group:
            if number(shape.get("rotation") or "0", "rotation of a box") % 360:
                raise ValueError("a box is rotated: draw it upright")
            corners = [number(shape.get(k), f"{k} of a box") for k in ("xtl", "ytl", "xbr", "ybr")]
            boxes.append((group, tuple(corners)))
        else:
            ignored[f"shapes of the type {shape.tag}"] += 1
    if not count:
        skipped[image] = "no points"
    box_of: dict[str | None, Any] = dict(boxes)
    for group, points in by_face(marks, image, "group_id", skipped).items():
        whole.append((group, "0" if group is None else f"group {group}", points, {}))
    if unused := sum(group not in {other for other, *_ in whole} for group, _ in boxes):
        ignored["boxes whose group_id no face has"] += unused
    for group, name, points, more in whole:
        if sum(group == other for other, _ in boxes) > 1:
            skipped[f"{image}#{group}"] = "several boxes have the group_id of this face"
        else:
            yield face(name, points, box_of.get(group), **more)


def _points(element: ET.Element) -> list[LabeledPoint]:
    label = element.get("label") or ""
    visibility = schema.VISIBLE
    if element.get("occluded") == "1":
        visibility = schema.OCCLUDED
    if element.get("outside") == "1":
        visibility = schema.NOT_ANNOTATED
    points = []
    for pair in (element.get("points") or "").split(";"):
        x, comma, y = pair.partition(",")
        if not comma:
            raise ValueError(f"points of {label!r} must be x,y;x,y, found {pair[:40]!r}")
        xy = number(x, f"x of {label!r}"), number(y, f"y of {label!r}")
        points.append(LabeledPoint(label, xy, visibility))
    return points
