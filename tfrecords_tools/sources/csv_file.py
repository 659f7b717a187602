"""Any annotated images through one CSV file."""

import csv
import dataclasses
import math
import pathlib
import posixpath
import re
from collections.abc import Iterator, Sequence

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

_BOX = ("box_x0", "box_y0", "box_x1", "box_y1")


@dataclasses.dataclass(frozen=True)
class _Row:
    """One face's numbers, as small as they are: a large file has many."""

    path: str
    points: np.ndarray  # [K, 2]
    visibility: np.ndarray | None  # int8 [K]
    box: np.ndarray | None  # [4]


class CsvSource(Source):
    """A CSV file with a header; one face a row.

    Columns: ``path`` (absolute, or relative to ``root``), ``x0, y0, x1, y1, ...`` for all K points;
    optional: ``box_x0, box_y0, box_x1, box_y1``, visibility ``v0 ... v{K-1}`` (0 missing, 1 hidden,
    2 visible), ``split`` ("train" where absent), ``attributes`` (names of further sub-sets,
    separated by spaces or |), ``image`` (what photograph it is of; the path where absent: faces
    of one photograph are never on both sides of the validation split). An empty coordinate is a
    missing point.

    Args:
        path: the CSV file.
        scheme: the scheme's name, or a scheme.
        root: what paths are relative to; the CSV file's folder if None.
        origin: the coordinate of the first pixel's center, taken off all points and boxes.
        exif: what an image that its EXIF data turns means; see `read_image`.

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
        exif: str = "refuse",
    ):
        self.path = pathlib.Path(path)
        self.scheme = get_scheme(scheme)
        self.root = pathlib.Path(root) if root else self.path.parent
        self.origin = origin
        self.exif = exif
        self.skipped = {}
        if exif not in EXIF_CHOICES:
            raise ValueError(f"`exif` must be one of {EXIF_CHOICES}. Received: exif={exif!r}.")
        if not self.path.is_file():
            raise ValueError(f"No CSV file at {self.path}.")

    def items(self) -> list[Item]:
        """Returns the rows, in the file's order."""
        items = []
        self.skipped = {}
        rows = self._rows()
        header = _Header(next(rows, (1, []))[1], self.scheme, self.path)
        for line, fields in rows:
            try:
                row, split, attributes, image = header.read(fields)
            except ValueError as error:
                self.skipped[f"line {line}"] = str(error)
                continue
            items.append(Item(f"{row.path}#{line}", image, split, row, attributes))
        if not items and not self.skipped:
            raise ValueError(f"{self.path} holds no rows.")
        if not items:
            first = dict(list(self.skipped.items())[:3])
            raise ValueError(f"{self.path} holds no usable row: {first}.")
        self.has_boxes = any(has_area(item.source_data.box) for item in items)
        return items

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yields the rows that are not blank, and the lines that they end on."""
        with self.path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            try:
                for fields in reader:
                    if any(field.strip() for field in fields):
                        yield reader.line_num, fields
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{self.path} must be UTF-8 text: after line {reader.line_num}, {error}."
                ) from error
            except csv.Error as error:  # such as a quote that is never closed
                raise ValueError(f"{self.path}, line {reader.line_num}: {error}.") from error

    def load(self, item: Item) -> Face:
        """Reads one row's image."""
        row = item.source_data
        image = read_image(self.root / row.path, exif=self.exif)
        box = None if row.box is None else row.box - self.origin
        return make_face(image, row.points - self.origin, row.visibility, box)


class _Header:
    """Where a file's columns are. Raises ValueError if some are missing."""

    def __init__(self, header: Sequence[str], scheme: LandmarkScheme, path: pathlib.Path):
        count = scheme.num_landmarks
        columns = [name.strip() for name in header]
        points = [f"{axis}{i}" for i in range(count) for axis in "xy"]
        absent = [name for name in ("path", *points) if name not in columns]
        if absent:
            raise ValueError(
                f"{path} must have the columns path, x0, y0, ..., x{count - 1}, y{count - 1} for "
                f"{scheme.name}. Missing: {', '.join(absent[:6])}"
                f"{', ...' if len(absent) > 6 else ''}."
            )
        if f"x{count}" in columns:
            raise ValueError(f"{path} has more points than {scheme.name}'s {count}.")
        if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
            raise ValueError(f"{path} has columns of the same name: {', '.join(twice[:6])}.")
        flags = [f"v{i}" for i in range(count)]
        for names in (_BOX, flags):
            present = [name for name in names if name in columns]
            if present and len(present) < len(names):
                raise ValueError(
                    f"{path} must have all or none of the columns {names[0]} ... {names[-1]}. "
                    f"Found: {', '.join(present[:4])}."
                )
        self.columns = columns
        self._at = {name: index for index, name in enumerate(columns)}
        self._points = points
        self._box = _BOX if _BOX[0] in columns else ()
        self._flags = flags if flags[0] in columns else ()

    def read(self, fields: Sequence[str]) -> tuple[_Row, str, tuple[str, ...], str]:
        """Returns a row's face, split, attributes and image; ValueError says what is wrong."""
        if len(fields) != len(self.columns):
            raise ValueError(f"{len(fields)} fields, where the header has {len(self.columns)}")
        path = self._text(fields, "path")
        if not path:
            raise ValueError("the path is empty")
        split = self._text(fields, "split") or "train"
        attributes = tuple(self._text(fields, "attributes").replace("|", " ").split())
        for what, name in (("split", split), *(("attribute", a) for a in attributes)):
            if not re.fullmatch(r"\w+", name):
                raise ValueError(f"{what} {name!r}: letters, digits and _ only")
        points = self._numbers(fields, self._points).reshape(-1, 2)
        if np.any(np.isinf(points)):
            raise ValueError("a coordinate is infinite")
        box = self._numbers(fields, self._box) if self._box else None
        if box is not None and np.all(np.isnan(box)):
            box = None
        visibility = None
        if self._flags:
            visibility = self._numbers(fields, self._flags)
            if not np.all(np.isin(visibility, [0, 1, 2])):
                raise ValueError("visibility must be 0, 1 or 2 for each point")
            visibility = visibility.astype(np.int8)
        source_image = self._text(fields, "source_image") or posixpath.normpath(path)
        return _Row(path, points, visibility, box), split, attributes, source_image

    def _text(self, fields: Sequence[str], name: str) -> str:
        return fields[self._at[name]].strip() if name in self._at else ""

    def _numbers(self, fields: Sequence[str], names: Sequence[str]) -> np.ndarray:
        values = []
        for name in names:
            text = fields[self._at[name]].strip()
            try:
                values.append(float(text) if text else math.nan)
            except ValueError as error:
                raise ValueError(f"column {name} holds {text!r}, not a number") from error
        return np.array(values)
