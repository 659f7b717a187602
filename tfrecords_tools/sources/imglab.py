"""Annotations of imglab, the tool of dlib."""

import pathlib
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator

from tfrecords_tools.sources.labeled_face import LabeledFace, LabeledPoint, image_size, number
from tfrecords_tools.sources.labeled_points import LabeledPointsSource
from tfrecords_tools.sources.xml_file import read_xml


class ImglabSource(LabeledPointsSource):
    """An XML file of dlib's imglab: boxes with parts.

    A box is a face, and its parts are the landmarks. Coordinates are whole pixels, counted from 0,
    of the image as it is stored: dlib ignores EXIF data. Boxes that are marked as ``ignore`` or
    have no parts are counted in `skipped`. dlib itself is not used: its Python package is compiled
    on installation.

    Reference:
        https://github.com/davisking/dlib/tree/master/tools/imglab
    """

    name = "imglab"
    layout = "boxes with parts"
    grouping = "their boxes"
    tool_origin = 0.0
    tool_exif = "ignore"

    @staticmethod
    def read(path: pathlib.Path, skipped: dict[str, str]) -> Iterator[LabeledFace]:
        """Yields the faces of an XML file."""
        root = read_xml(path, "dataset", "a file of dlib's imglab")
        ignored = Counter[str]()
        for order, element in enumerate(root.iterfind("images/image")):
            image = (element.get("file") or "").replace("\\", "/")
            for box_number, box in enumerate(element.iterfind("box"), start=1):
                key = f"{image or f'image number {order}'}#box {box_number}"
                parts = box.findall("part")
                if box.get("ignore") == "1":
                    ignored["boxes to ignore"] += 1
                elif not parts:
                    ignored["boxes without parts"] += 1
                elif not image:
                    skipped[key] = "the image has no file"
                else:
                    try:
                        yield LabeledFace(
                            f"box {box_number}",
                            image,
                            tuple(map(_point, parts)),
                            _box(box),
                            image_size(element.get("width"), element.get("height")),
                            category=(box.findtext("label") or "face").strip(),
                        )
                    except ValueError as error:
                        skipped[key] = str(error)
        skipped.update({kind: f"{count} of them" for kind, count in ignored.items()})


def _point(part: ET.Element) -> LabeledPoint:
    label = part.get("name")
    if label is None:
        raise ValueError("a part has no name")
    xy = number(part.get("x"), f"x of {label!r}"), number(part.get("y"), f"y of {label!r}")
    return LabeledPoint(label, xy)


def _box(box: ET.Element) -> tuple[float, float, float, float]:
    names = ("left", "top", "width", "height")
    left, top, width, height = (number(box.get(name), f"{name} of the box") for name in names)
    return (
        left,
        top,
        left + width - 1,
        top + height - 1,
    )  # dlib's rectangles end at their last pixel
