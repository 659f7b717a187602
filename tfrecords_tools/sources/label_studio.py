"""Annotations of Label Studio in its JSON export."""

import pathlib
import re
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tfrecords_tools.sources.folder import IMAGE_SUFFIXES
from tfrecords_tools.sources.labeled_face import (
    LabeledFace,
    LabeledPoint,
    by_face,
    image_size,
    number,
)
from tfrecords_tools.sources.labeled_points import LabeledPointsSource
from wing_tf.data import record_schema as schema
from wing_tf.utils.text_files import MAX_ANNOTATION_BYTES, read_json

_TYPES = ("keypointlabels", "rectanglelabels", "choices")

# Label Studio puts eight digits before the names of uploaded files.
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")


class LabelStudioSource(LabeledPointsSource):
    """The export "JSON" of Label Studio: tasks with ``annotations``.

    Results of ``KeyPointLabels`` are landmarks; their coordinates are percentages of the image. Key
    points with the same parent region are one face, and a parent that is a rectangle is its box.
    Without parents, all key points of an image are one face. A choice "occluded" of a key point
    marks an occluded landmark. Tasks with predictions only, which nobody has submitted, are counted
    in `skipped`; a task with several annotations needs one that is marked as ground truth.

    Label Studio's own converter is not used: it rounds to whole pixels and joins all faces of an
    image.

    Reference:
        https://labelstud.io/guide/task_format and https://labelstud.io/tags/keypointlabels
    """

    name = "labelstudio"
    layout = "tasks with key points"
    grouping = "their parent regions"

    @staticmethod
    def read(path: pathlib.Path, skipped: dict[str, str]) -> Iterator[LabeledFace]:
        """Yields the faces of a JSON file."""
        tasks = read_json(path, max_bytes=MAX_ANNOTATION_BYTES, finite=False)
        if (
            not isinstance(tasks, list)
            or not all(isinstance(task, dict) for task in tasks)
            or not all(isinstance(task.get("data"), dict) for task in tasks)
        ):
            raise ValueError(
                f"{path} is not a list of Label Studio's tasks. Export JSON, not JSON-MIN or CSV."
            )
        ignored = Counter[str]()
        for order, task in enumerate(tasks):
            name = f"task {task.get('id', f'number {order}')}"
            try:
                annotation = _annotation(task)
                if annotation is None:
                    ignored["tasks without annotations"] += 1
                else:
                    yield from _faces(name, task, annotation, skipped)
                    ignored.update(
                        f"results of the type {result.get('type')}"
                        for result in annotation
                        if result.get("type") not in _TYPES
                    )
            except ValueError as error:
                skipped[name] = str(error)
        skipped.update({kind: f"{count} of them" for kind, count in ignored.items()})


def _annotation(task: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Returns the results of the task's one annotation, None if there is none."""
    annotations = task.get("annotations") or []
    if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
        raise ValueError("annotations must be a list of objects")
    valid = [a for a in annotations if not a.get("was_cancelled")]
    if len(valid) > 1:
        true = [a for a in valid if a.get("ground_truth")]
        if len(true) != 1:
            raise ValueError(f"has {len(valid)} annotations: mark one as ground truth")
        valid = true
    if not valid:
        return None
    results = valid[0].get("result")
    if not isinstance(results, list) or not all(isinstance(r, dict) for r in results):
        raise ValueError("the result of its annotation must be a list of objects")
    return results


def _image_url(data: dict[str, Any]) -> str:
    """Returns the one value of a task that is the URL of an image."""
    texts = {name: value for name, value in data.items() if isinstance(value, str)}
    if texts.get("image"):
        return texts["image"]
    urls = [text for text in texts.values() if text.lower().endswith(IMAGE_SUFFIXES)]
    if len(urls) != 1:
        raise ValueError(f"its data must have one image, found {', '.join(texts) or 'no text'}")
    return urls[0]


def _paths(url: str) -> tuple[str, tuple[tuple[str, ...], ...]]:
    """Returns the path of an image's URL, and the paths of files that it may be."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        raise ValueError(f"{url[:60]!r} is not a valid URL") from None
    # File names on Linux need not be UTF-8.
    queries = urllib.parse.parse_qs(parts.query, errors="surrogateescape")
    path = queries.get("d", [urllib.parse.unquote(parts.path, errors="surrogateescape")])[0]
    path = path.replace("\\", "/").lstrip("/")
    if not path:
        raise ValueError(f"{url[:60]!r} does not name an image")
    file = pathlib.PurePosixPath(path)
    uploaded = file.with_name(_UPLOADED.sub("", file.name)).as_posix() if file.name else path
    return path, ((path,), (uploaded,)) if uploaded != path else ((path,),)


def _faces(
    name: str, task: dict[str, Any], results: list[dict[str, Any]], skipped: dict[str, str]
) -> Iterator[LabeledFace]:
    image, files = _paths(_image_url(task["data"]))
    boxes = {_name(r, "id"): r for r in results if r.get("type") == "rectanglelabels"}
    occluded = {_name(r, "id") for r in results if r.get("type") == "choices" and _is_occluded(r)}
    marks, sizes = [], set()
    for result in results:
        if result.get("type") == "keypointlabels":
            size = image_size(result.get("original_width"), result.get("original_height"))
            if size is None:
                raise ValueError("a key point lacks original_width and original_height")
            sizes.add(size)
            point = _point(result, size, _name(result, "id") in occluded)
            marks.append((_name(result, "parentID") or None, point))
    if not marks:
        skipped[name] = "no key points"
        return
    if len(sizes) > 1:
        raise ValueError("its key points have different image sizes")
    (size,) = sizes
    for parent, points in by_face(marks, name, "parent region", skipped).items():
        yield LabeledFace(
            name=name if parent is None else f"{name} {parent}",
            image=image,
            points=tuple(points),
            box_xyxy=_box(boxes[parent], size) if parent in boxes else None,
            image_size_wh=size,
            files=files,
        )


def _name(result: dict[str, Any], key: str) -> str:
    name = result.get(key)
    if not isinstance(name, str | int | None):
        raise ValueError(f"{key} of a result must be text, found {str(name)[:40]!r}")
    return "" if name is None else str(name)


def _value(result: dict[str, Any]) -> dict[str, Any]:
    value = result.get("value")
    if not isinstance(value, dict):
        raise ValueError("a result has no value")
    if result.get("image_rotation"):
        raise ValueError("the image was rotated in Label Studio")
    return value


def _is_occluded(result: dict[str, Any]) -> bool:
    choices = _value(result).get("choices")
    return isinstance(choices, list) and any(str(c).lower() == "occluded" for c in choices)


def _point(result: dict[str, Any], size_wh: tuple[int, int], occluded: bool) -> LabeledPoint:
    value = _value(result)
    labels = value.get("keypointlabels")
    if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
        raise ValueError(f"a key point must have one label, found {labels!r}")
    x, y = (
        number(value.get(axis), f"{axis} of {labels[0]!r}") / 100 * side
        for axis, side in zip("xy", size_wh, strict=True)
    )
    return LabeledPoint(labels[0], (x, y), schema.OCCLUDED if occluded else schema.VISIBLE)


def _box(result: dict[str, Any], size_wh: tuple[int, int]) -> tuple[float, float, float, float]:
    value = _value(result)
    if value.get("rotation"):
        raise ValueError("the rectangle of a face is rotated")
    x, y, width, height = (
        number(value.get(name), f"{name} of a rectangle") / 100 * side
        for name, side in zip(("x", "y", "width", "height"), size_wh * 2, strict=True)
    )
    return x, y, x + width, y + height
