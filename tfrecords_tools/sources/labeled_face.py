"""Faces as points with labels, and parts that the readers of annotation tools share."""

import dataclasses
import math
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

from wing_tf.data import record_schema as schema


@dataclasses.dataclass(frozen=True)
class LabeledPoint:
    """One point: its label, its coordinates as the tool counts them, and its visibility flag."""

    label: str
    xy: tuple[float, float]
    visibility: int = schema.VISIBLE


@dataclasses.dataclass(frozen=True)
class LabeledFace:
    """The points of one face, in any order.

    Attributes:
        name: Name of the face, unique among those of its image.
        image: Name of the image, as the tool states it.
        points: The annotated points.
        box_xyxy: Face box in the tool's coordinates, or None.
        image_size_wh: Size of the image that the tool states, or None.
        split: Split that the tool states, or None.
        category: Name of the kind of object.
        ordered: Whether the points have no labels of their own and are in the order of the scheme.
        files: Paths of the image, as groups in order of preference. Defaults to `image`.
    """

    name: str
    image: str
    points: tuple[LabeledPoint, ...]
    box_xyxy: tuple[float, float, float, float] | None = None
    image_size_wh: tuple[int, int] | None = None
    split: str | None = None
    category: str = "points"
    ordered: bool = False
    files: tuple[tuple[str, ...], ...] = ()


@runtime_checkable
class LabeledFaceReader(Protocol):
    """A source that reads faces as labels and points, without knowing a scheme."""

    @staticmethod
    def read(path: pathlib.Path, skipped: dict[str, str]) -> Iterator[LabeledFace]:
        """Yields the faces of an annotation file or folder.

        Args:
            path: The file or folder.
            skipped: Gets the faces and images that are not usable, with the reasons.

        Raises:
            ValueError: If the file is not such a file.
        """


def by_face(
    marks: Iterable[tuple[Any, Any]], image: str, grouping: str, skipped: dict[str, str]
) -> dict[Any, list[Any]]:
    """Returns the marks of an image by face; those without a face are one, if there is no other.

    Args:
        marks: Pairs of a face, None if none is stated, and a mark.
        image: Name of the image, for `skipped`.
        grouping: How the tool states the face.
        skipped: Gets marks without a face, if there are faces.
    """
    groups: dict[Any, list[Any]] = {}
    for face, mark in marks:
        groups.setdefault(face, []).append(mark)
    if None in groups and len(groups) > 1:
        alone = groups.pop(None)
        skipped[f"{image}#without {grouping}"] = (
            f"{len(alone)} point(s) have no {grouping}, other points of this image have one"
        )
    return groups


def files_in(path: pathlib.Path, suffix: str) -> list[pathlib.Path]:
    """Returns the files below a folder that have a suffix, sorted, or the file at `path`.

    The case of the suffix does not matter.
    """
    if not path.is_dir():
        return [path]
    # Not pipes, which would block.
    found = (file for file in sorted(path.rglob("*")) if file.suffix.lower() == suffix)
    return [file for file in found if file.is_file()]


def number(value: Any, name: str) -> float:
    """Returns a finite number. Raises ValueError that names it."""
    try:
        result = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if not math.isfinite(result):
        raise ValueError(f"{name} must be a number, found {str(value)[:40]!r}")
    return result


def image_size(width: Any, height: Any) -> tuple[int, int] | None:
    """Returns the size that a tool states, None if it states none. Raises ValueError."""
    if width is None or height is None:
        return None
    return int(number(width, "the image's width")), int(number(height, "the image's height"))
