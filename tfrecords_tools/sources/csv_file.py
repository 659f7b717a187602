"""Any annotated pictures through one CSV file."""

import csv
import math
import pathlib
import posixpath
import re

import numpy as np

from tfrecords_tools.sources.base import (
    BadRecordError,
    Face,
    Item,
    Source,
    annotated_face,
    read_picture,
)
from wing_tf.landmarks import LandmarkScheme, get_scheme

_BOX = ("box_x0", "box_y0", "box_x1", "box_y1")


class CsvSource(Source):
    """A CSV file with a header; one face a row.

    Columns: ``path`` (absolute, or relative to ``root``), ``x0, y0, x1, y1, ...`` for all K points;
    optional: ``box_x0, box_y0, box_x1, box_y1``, visibility ``v0 ... v{K-1}`` (0 missing, 1 hidden,
    2 visible), ``split`` ("train" where absent), ``attributes`` (names of further sub-sets,
    separated by spaces or |). An empty coordinate is a missing point. Rows with
    one path are faces of one picture.

    Args:
        path: the CSV file.
        scheme: the mark-up's name, or a scheme.
        root: what paths are relative to; the CSV file's folder if None.
        origin: the coordinate of the first pixel's centre, taken off all points and boxes.

    Raises:
        ValueError: if the file is absent or lacks columns.
    """

    name = "csv"
    default_crop = "dataset_or_landmark_box"

    def __init__(
        self,
        path: str | pathlib.Path,
        *,
        scheme: str | LandmarkScheme,
        root: str | pathlib.Path | None = None,
        origin: float = 0.0,
    ):
        self.path = pathlib.Path(path)
        self.scheme = get_scheme(scheme)
        self.root = pathlib.Path(root) if root else self.path.parent
        self.origin = origin
        self.skipped = {}
        if not self.path.is_file():
            raise ValueError(f"No CSV file at {self.path}.")

    def items(self) -> list[Item]:
        """Returns the rows, in the file's order."""
        count = self.scheme.num_landmarks
        needed = ["path", *(f"{axis}{i}" for i in range(count) for axis in "xy")]
        with self.path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            absent = [name for name in needed if name not in columns]
            if absent:
                raise ValueError(
                    f"{self.path} must have the columns path, x0, y0, ..., x{count - 1}, "
                    f"y{count - 1} for {self.scheme.name}. Missing: {', '.join(absent[:6])}"
                    f"{', ...' if len(absent) > 6 else ''}."
                )
            if f"x{count}" in columns:
                raise ValueError(f"{self.path} has more points than {self.scheme.name}'s {count}.")
            for names in (_BOX, tuple(f"v{i}" for i in range(count))):
                present = [name for name in names if name in columns]
                if present and len(present) < len(names):
                    raise ValueError(
                        f"{self.path} must have all or none of the columns {names[0]} ... "
                        f"{names[-1]}. Found: {', '.join(present[:4])}."
                    )
            rows = list(reader)
        if not rows:
            raise ValueError(f"{self.path} holds no rows.")
        items = []
        self.skipped = {}
        for line, row in enumerate(rows, start=2):
            path = (row["path"] or "").strip()
            split = (row.get("split") or "").strip() or "train"
            attributes = tuple((row.get("attributes") or "").replace("|", " ").split())
            if not path:
                self.skipped[f"line {line}"] = "the path is empty"
            elif wrong := [n for n in (split, *attributes) if not re.fullmatch(r"\w+", n)]:
                what = "split" if wrong[0] == split else "attribute"
                self.skipped[f"line {line}"] = f"{what} {wrong[0]!r}: letters, digits and _ only"
            else:
                row["path"] = path
                picture = posixpath.normpath(path)
                items.append(Item(f"{path}#{line}", picture, split, row, attributes))
        if not items:
            raise ValueError(f"{self.path} holds no usable row: {self.skipped}.")
        return items

    def load(self, item: Item) -> Face:
        """Reads one row's picture and points."""
        row = item.payload

        def numbers(names: list[str]) -> np.ndarray:
            values = []
            for name in names:
                text = (row.get(name) or "").strip()
                try:
                    values.append(float(text) if text else math.nan)
                except ValueError as error:
                    raise BadRecordError(f"column {name} holds {text!r}, not a number") from error
            return np.array(values)

        count = self.scheme.num_landmarks
        points = numbers([f"{axis}{i}" for i in range(count) for axis in "xy"]).reshape(-1, 2)
        if np.any(np.isinf(points)):
            raise BadRecordError("a coordinate is infinite")
        box = numbers(list(_BOX)) - self.origin if _BOX[0] in row else None
        if box is not None and np.all(np.isnan(box)):
            box = None
        visibility = None
        if "v0" in row:
            visibility = numbers([f"v{i}" for i in range(count)])
            if not np.all(np.isin(visibility, [0, 1, 2])):
                raise BadRecordError("visibility must be 0, 1 or 2 for each point")
        return annotated_face(
            read_picture(self.root / row["path"]), points - self.origin, visibility, box
        )
