"""Images of the user's own with annotations in a CSV file."""

import csv
import io
import math
import pathlib
import posixpath
from collections.abc import Iterator, Sequence

import numpy as np

from tfrecords_tools.sources.annotation_file import AnnotationFileSource
from tfrecords_tools.sources.base import Item
from wing_tf.landmarks import LandmarkScheme
from wing_tf.utils.text_files import read_text

_BOX = ("box_x0", "box_y0", "box_x1", "box_y1")


class CsvSource(AnnotationFileSource):
    """A CSV file with a header and one row per face.

    Columns: ``path`` (absolute, or relative to `root`) and ``x0, y0, x1, y1, ...`` for all K
    points; an empty coordinate marks a point that is not annotated. Optional columns:

    * ``box_x0, box_y0, box_x1, box_y1``: the face box.
    * ``v0 ... v{K-1}``: visibility, 0 not annotated, 1 occluded, 2 visible.
    * ``split``: "train" by default.
    * ``attributes``: names of further subsets, separated by spaces or |.
    * ``source_image``: name of the photograph, by default the path. All faces of one photograph
      are on the same side of the validation split.

    See `AnnotationFileSource` for the arguments.
    """

    name = "csv"
    layout = "a header and one row per face"

    def list_items(self) -> Iterator[Item]:
        """Lists the rows in the order of the file."""
        rows = self._rows()
        header = _Header(next(rows, (1, []))[1], self.scheme, self.path)
        for line, fields in rows:
            try:
                item = header.read(line, fields)
                self.check_names(item.split, item.attributes)
            except ValueError as error:
                self.skipped[f"line {line}"] = str(error)
            else:
                yield item

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yields the number of the last line and the fields of each row that is not blank."""
        reader = csv.reader(io.StringIO(read_text(self.path)))
        try:
            for fields in reader:
                if any(field.strip() for field in fields):
                    yield reader.line_num, fields
        except csv.Error as error:  # such as a quote that is never closed
            raise ValueError(f"{self.path}, line {reader.line_num}: {error}.") from error


class _Header:
    """Positions of a file's columns. Raises ValueError if some are missing."""

    def __init__(self, header: Sequence[str], scheme: LandmarkScheme, path: pathlib.Path):
        count = scheme.num_landmarks
        columns = [name.strip() for name in header]
        points = [f"{axis}{i}" for i in range(count) for axis in "xy"]
        missing = [name for name in ("path", *points) if name not in columns]
        if missing:
            raise ValueError(
                f"{path} must have the columns path, x0, y0, ..., x{count - 1}, y{count - 1} for "
                f"{scheme.name}. Missing: {', '.join(missing[:6])}"
                f"{', ...' if len(missing) > 6 else ''}."
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
        self.num_columns = len(columns)
        self._index = {name: index for index, name in enumerate(columns)}
        self._points = points
        self._box = _BOX if _BOX[0] in columns else ()
        self._flags = flags if flags[0] in columns else ()

    def read(self, line: int, fields: Sequence[str]) -> Item:
        """Parses the row of a line. Raises ValueError with the reason."""
        if len(fields) != self.num_columns:
            raise ValueError(f"{len(fields)} fields, but the header has {self.num_columns}")
        path = self._text(fields, "path")
        if not path:
            raise ValueError("the path is empty")
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
            visibility = visibility.astype(np.int8)  # small, as a large file has many rows
        return Item(
            key=f"{path}#{line}",
            source_image=self._text(fields, "source_image") or posixpath.normpath(path),
            split=self._text(fields, "split") or "train",
            source_data=(path, points, visibility, box),
            attributes=tuple(self._text(fields, "attributes").replace("|", " ").split()),
        )

    def _text(self, fields: Sequence[str], name: str) -> str:
        return fields[self._index[name]].strip() if name in self._index else ""

    def _numbers(self, fields: Sequence[str], names: Sequence[str]) -> np.ndarray:
        values = []
        for name in names:
            text = fields[self._index[name]].strip()
            try:
                values.append(float(text) if text else math.nan)
            except ValueError:
                raise ValueError(f"column {name} holds {text!r}, not a number") from None
        return np.array(values)
