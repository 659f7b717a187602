"""Images of the user's own with annotations in a CSV file."""

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence

import numpy as np

from tfrecords_tools.sources.annotation_file import AnnotationFileSource, normal_path
from tfrecords_tools.sources.base import Item
from wing_tf.utils.did_you_mean import did_you_mean
from wing_tf.utils.printable import path_of_cell
from wing_tf.utils.text_files import csv_delimiter, read_text

_BOX = ("box_x0", "box_y0", "box_x1", "box_y1")
_SIZE = ("width", "height")
_TEXTS = ("path", "split", "attributes", "source_image")
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}


class CsvSource(AnnotationFileSource):
    """A CSV file with a header and one row per face.

    Fields are separated by commas, semicolons or tabs, whichever the header has most of; after
    semicolons and tabs, a number may have a decimal comma. The case of column names and spaces
    around them are ignored. A column that is not listed here is an error, and so is the name of a
    split other than train, validation, test and ``test_...``. A row with the image and points of
    an earlier one is skipped.

    Columns: ``path`` (absolute, or relative to `root`) and ``x0, y0, x1, y1, ...`` for all K
    points; an empty coordinate marks a point that is not annotated. Optional columns:

    * ``box_x0, box_y0, box_x1, box_y1``: the face box.
    * ``v0 ... v{K-1}``: visibility, 0 not annotated, 1 occluded, 2 visible.
    * ``width, height``: size of the image, which is compared with the file.
    * ``split``: "train" by default.
    * ``attributes``: names of further subsets, separated by spaces or |.
    * ``source_image``: name of the photograph, by default the path. All faces of one photograph
      are on the same side of the validation split.

    See `AnnotationFileSource` for the arguments.
    """

    name = "csv"
    layout = "a header and one row per face"
    has_visibility_numbers = True

    def list_items(self) -> Iterator[Item]:
        """Lists the rows in the order of the file."""
        return self.without_copies(self._read())

    def _read(self) -> Iterator[Item]:
        text = read_text(self.path)
        delimiter = csv_delimiter(text)
        rows = self._rows(text, delimiter)
        header = _Header(next(rows, (1, []))[1], self, delimiter)
        for line, fields in rows:
            try:
                item = header.read(line, fields)
                self.check_attributes(item.attributes)
            except ValueError as error:
                self.skipped[f"line {line}"] = str(error)
            else:
                self.check_split(item.split, f"line {line}")
                yield item

    def _rows(self, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Yields the number of the last line and the fields of each row that is not blank."""
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
        start = 1
        try:
            for fields in reader:
                if any(field.strip() for field in fields):
                    yield reader.line_num, fields
                start = reader.line_num + 1
        except csv.Error as error:
            raise ValueError(
                f"{self.path}, line {start}: not valid CSV ({error}): is a quote not closed?"
            ) from error


class _Header:
    """Positions of a file's columns. Raises ValueError if they are not as expected."""

    def __init__(self, header: Sequence[str], source: CsvSource, delimiter: str):
        path, scheme = source.path, source.scheme
        count = scheme.num_landmarks
        columns = [name.strip().lower() for name in header]
        points = [f"{axis}{i}" for i in range(count) for axis in "xy"]
        flags = [f"v{i}" for i in range(count)]
        missing = [name for name in ("path", *points) if name not in columns]
        if missing:
            raise ValueError(
                f"{path} must have the columns path, x0, y0, ..., x{count - 1}, y{count - 1} for "
                f"{scheme.name}. Missing: {_first(missing)}. Found: {_first(columns)}, "
                f"separated by {_DELIMITERS[delimiter]}."
            )
        if f"x{count}" in columns:
            raise ValueError(f"{path} has more points than {scheme.name}'s {count}.")
        if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
            raise ValueError(f"{path} has columns of the same name: {_first(twice)}.")
        known = {*_TEXTS, *_BOX, *_SIZE, *points, *flags, ""}
        if unknown := [name for name in columns if name not in known]:
            raise ValueError(
                f"{path} has unknown columns: {_first(unknown)}."
                f"{did_you_mean(unknown[0], [*_TEXTS, *_BOX, *_SIZE])} Rename or remove them; "
                f"known beside the points are {', '.join((*_TEXTS, *_SIZE, *_BOX))} and v0, v1, ..."
            )
        for names in (_BOX, _SIZE, flags):
            present = [name for name in names if name in columns]
            if present and len(present) < len(names):
                raise ValueError(
                    f"{path} must have all or none of the columns {names[0]} ... {names[-1]}. "
                    f"Found: {', '.join(present[:4])}."
                )
        self._root = source.root
        self.num_columns = len(columns)
        self._index = {name: index for index, name in enumerate(columns)}
        self._points = points
        self._box = _BOX if _BOX[0] in columns else ()
        self._size = _SIZE if _SIZE[0] in columns else ()
        self._flags = flags if flags[0] in columns else ()
        self._decimal_comma = delimiter != ","

    def read(self, line: int, fields: Sequence[str]) -> Item:
        """Parses the row of a line. Raises ValueError with the reason."""
        if len(fields) != self.num_columns:
            raise ValueError(f"{len(fields)} fields, but the header has {self.num_columns}")
        path = path_of_cell(self._text(fields, "path"), self._root)
        if not path:
            raise ValueError("the path is empty")
        points = self._numbers(fields, self._points).reshape(-1, 2)
        if np.any(np.isinf(points)):
            raise ValueError("a coordinate is infinite")
        box = self._numbers(fields, self._box) if self._box else None
        if box is not None and np.all(np.isnan(box)):
            box = None
        size = self._numbers(fields, self._size) if self._size else None
        if size is not None and np.all(np.isnan(size)):
            size = None
        visibility = None
        if self._flags:
            visibility = self._numbers(fields, self._flags)
            if not np.all(np.isin(visibility, [0, 1, 2])):
                raise ValueError("visibility must be 0, 1 or 2 for each point")
            visibility = visibility.astype(np.int8)  # small, as a large file has many rows
        return Item(
            key=f"{path}#{line}",
            source_image=self._text(fields, "source_image") or normal_path(path),
            split=self._text(fields, "split") or "train",
            source_data=(path, points, visibility, size, box),
            attributes=tuple(self._text(fields, "attributes").replace("|", " ").split()),
        )

    def _text(self, fields: Sequence[str], name: str) -> str:
        return fields[self._index[name]].strip() if name in self._index else ""

    def _numbers(self, fields: Sequence[str], names: Sequence[str]) -> np.ndarray:
        values = []
        for name in names:
            text = fields[self._index[name]].strip()
            if self._decimal_comma:
                text = re.sub(r"^([+-]?\d*),(\d+)$", r"\1.\2", text)
            try:
                values.append(float(text) if text else math.nan)
            except ValueError:
                raise ValueError(f"column {name} holds {text!r}, not a number") from None
        return np.array(values)


def _first(names: Sequence[str], count: int = 6) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
