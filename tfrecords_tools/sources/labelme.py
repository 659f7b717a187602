"""Annotations of labelme: a JSON file for each image."""

import pathlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tfrecords_tools.sources.labeled_face import (
    LabeledFace,
    LabeledPoint,
    by_face,
    files_in,
    image_size,
    number,
)
from tfrecords_tools.sources.labeled_points import LabeledPointsSource
from wing_tf.data import record_schema as schema
from wing_tf.utils.text_files import read_json


class LabelmeSource(LabeledPointsSource):
    """A folder of labelme's JSON files, with its subfolders.

    Shapes of the type "point" are landmarks; the flag "occluded" of a shape marks an occluded one.
    Points with the same ``group_id`` are one face, and a rectangle with it is its box. Without
    ``group_id``, all points of an image are one face. Image paths are relative to `root`, and to
    the JSON file if `root` is not given.

    labelme's own reader requires PyQt, and that of supervision leaves out points: neither is used.

    Reference:
        https://github.com/wkentaro/labelme
    """

    name = "labelme"
    layout = "JSON files of labelme with points"
    grouping = "group_id"
    takes_folder = True

    @staticmethod
    def read(path: pathlib.Path, skipped: dict[str, str]) -> Iterator[LabeledFace]:
        """Yields the faces of all JSON files in a folder, or of one."""
        files = files_in(path, ".json")
        folder = path if path.is_dir() else path.parent
        ignored = Counter[str]()
        for file in files:
            name = file.relative_to(folder).as_posix()
            try:
                yield from _faces(name, _content(file), skipped, ignored)
            except (ValueError, OSError) as error:
                skipped[name] = str(error)
        skipped.update({kind: f"{count} of them" for kind, count in ignored.items()})


def _content(file: pathlib.Path) -> dict[str, Any]:
    content = read_json(file, finite=False)
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("shapes"), list)
        or not isinstance(content.get("imagePath"), str)
    ):
        raise ValueError("not a labelme file: it must have shapes and imagePath")
    return content


def _faces(
    name: str, content: dict[str, Any], skipped: dict[str, str], ignored: Counter[str]
) -> Iterator[LabeledFace]:
    # On Windows, labelme writes backslashes.
    image = pathlib.PureWindowsPath(content["imagePath"]).as_posix()
    size = image_size(content.get("imageWidth"), content.get("imageHeight"))
    marks, boxes = [], []
    for shape in content["shapes"]:
        if not isinstance(shape, dict):
            raise ValueError("one of the shapes is not an object")
        group, kind = shape.get("group_id"), shape.get("shape_type", "polygon")
        if not isinstance(group, int | str | None):
            raise ValueError(f"group_id must be a number, found {group!r}")
        if kind == "point":
            marks.append((group, _point(shape)))
        elif kind == "rectangle" and group is not None:
            boxes.append((group, _corners(shape)))
        else:
            ignored[f"shapes of the type {kind}"] += 1
    if not marks:
        skipped[name] = "no points"
    box_of = dict(boxes)
    beside = pathlib.PurePosixPath(name).parent / image
    groups = by_face(marks, name, "group_id", skipped)
    if unused := sum(group not in groups for group, _ in boxes):
        ignored["rectangles whose group_id no face has"] += unused
    for group, points in groups.items():
        if sum(group == other for other, _ in boxes) > 1:
            skipped[f"{name}#{group}"] = "several rectangles have the group_id of this face"
            continue
        yield LabeledFace(
            name="0" if group is None else f"group {group}",
            image=name,
            points=tuple(points),
            box_xyxy=box_of.get(group),
            image_size_wh=size,
            files=((beside.as_posix(),), (image,)),
        )


def _point(shape: dict[str, Any]) -> LabeledPoint:
    label, points, flags = shape.get("label"), shape.get("points"), shape.get("flags")
    if not isinstance(label, str):
        raise ValueError(f"a label must be text, found {label!r}")
    if not isinstance(points, list) or len(points) != 1:
        raise ValueError(f"the shape {label!r} must have one point")
    occluded = isinstance(flags, dict) and flags.get("occluded") is True
    visibility = schema.OCCLUDED if occluded else schema.VISIBLE
    return LabeledPoint(label, _xy(points[0], label), visibility)


def _corners(shape: dict[str, Any]) -> tuple[float, float, float, float]:
    label, points = shape.get("label"), shape.get("points")
    if not isinstance(points, list) or len(points) not in (2, 4):
        raise ValueError(f"the rectangle {label!r} must have two or four points")
    xs, ys = zip(*(_xy(point, label) for point in points), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _xy(point: Any, label: Any) -> tuple[float, float]:
    if not isinstance(point, list) or len(point) != 2:
        raise ValueError(f"a point of {label!r} must be x and y")
    return number(point[0], f"x of {label!r}"), number(point[1], f"y of {label!r}")
