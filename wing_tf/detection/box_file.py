"""Face boxes from a CSV or JSON file."""

import csv
import io
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from wing_tf.detection.correction import Correction
from wing_tf.detection.detector import Detector
from wing_tf.utils.text_files import csv_delimiter, parse_json, read_text

_COLUMNS = (("x0", "y0", "x1", "y1"), ("box_x0_px", "box_y0_px", "box_x1_px", "box_y1_px"))
_NAMES = ("path", "image")


class BoxFile(Detector):
    """Boxes of a file, found by the name of the image.

    The output of wing-predict for images is read as well. There are two formats, and in both
    several lines may belong to one image. A box that is repeated counts once.

    * CSV with the header ``path,x0,y0,x1,y1`` (or ``box_x0_px``, ...) in any order and case,
      separated by commas, semicolons or tabs. Other columns are ignored. Four empty fields mean
      that the image has no box.
    * JSON lines, or one JSON object: ``{"path": ..., "boxes_xyxy_px": [[x0, y0, x1, y1], ...]}``,
      ``"box_xyxy_px": [...]`` for one face, or ``"faces": [{"box_xyxy_px": [...]}, ...]``. A line
      without any of these keys is ignored.

    The name may also be called ``image``. It is looked up as given, then relative to the folder of
    the file, then without its leading folders: ``/data/s1/1.jpg`` matches ``s1/1.jpg``, else
    ``1.jpg``, but never ``s2/1.jpg``. Separators may be those of Windows. A name that is not found
    is looked up without regard to case, unless two names differ in case only.

    Args:
        path: The file.
        correction: Correction from its boxes to landmark squares. Defaults to no correction.

    Raises:
        ValueError: If the file can't be read or a line is not valid; the message names the line.
    """

    needs_name = True

    def __init__(self, path: str | os.PathLike, *, correction: Correction | None = None):
        super().__init__(correction=correction)
        self.path = pathlib.Path(path)
        try:
            text = read_text(self.path)
        except OSError as error:
            raise ValueError(f"Cannot read box file {path}: {error.strerror}.") from None
        lines = _json_lines if text.lstrip().startswith("{") else _csv_lines
        boxes: dict[str, list] = {}
        for number, name, found in lines(self.path, text):
            known = boxes.setdefault(_normalized(name), [])
            new = [_box(f"{self.path}:{number}", values) for values in found]
            known.extend(box for box in new if box not in known)
        self._boxes = {name: np.array(rows).reshape(-1, 4) for name, rows in boxes.items()}
        self._indices = [_Index(fold, boxes, self.path.parent) for fold in (str, str.casefold)]

    @property
    def names(self) -> tuple[str, ...]:
        """The images in the file, with / as the separator."""
        return tuple(self._boxes)

    def find(self, name: str | os.PathLike) -> str | None:
        """Returns the name of an image in the file. None if the file does not contain it."""
        return next(filter(None, (index.find(_normalized(name)) for index in self._indices)), None)

    def raw_boxes(self, image: np.ndarray, name: str | os.PathLike | None = None) -> np.ndarray:
        """Returns the boxes [N, 4] of an image; N is 0 if the file does not contain it."""
        if name is None:
            raise ValueError("A box file needs the name of the image. Received: name=None.")
        found = self.find(name)
        return np.zeros((0, 4)) if found is None else self._boxes[found]

    def __call__(self, image: np.ndarray, name: str | os.PathLike | None = None) -> np.ndarray:
        """Returns the corrected boxes [N, 4] of an image, largest first; see `find`.

        Raises:
            ValueError: If no name is given.
        """
        return self.corrected(self.raw_boxes(image, name))


class _Index:
    """The names of a file as `fold` makes them; without those that it makes equal."""

    def __init__(self, fold: Callable[[str], str], names: Iterable[str], folder: pathlib.Path):
        self._fold = fold
        self._names: dict[str, str | None] = {}
        for name in names:
            self._names[fold(name)] = None if fold(name) in self._names else name
        known = [name for name in self._names.values() if name is not None]
        self._places = {fold(os.path.abspath(folder / name)): name for name in known}

    def find(self, name: str) -> str | None:
        given, place = self._fold(name), self._fold(os.path.abspath(name))
        parts = pathlib.PurePath(place).parts
        ends = (os.path.join(*parts[first:]) for first in range(len(parts)))
        found = (self._names.get(end) for end in ends)
        return self._names.get(given) or self._places.get(place) or next(filter(None, found), None)


def _normalized(name: str | os.PathLike) -> str:
    return os.path.normpath(os.fspath(name).replace("\\", "/"))


def _box(where: str, values: Any) -> list[float]:
    try:
        box = [float(value) for value in values] if isinstance(values, list) else []
    except (TypeError, ValueError, OverflowError):
        box = []
    if len(box) != 4 or not np.isfinite(box).all() or box[0] >= box[2] or box[1] >= box[3]:
        raise ValueError(
            f"{where}: a box must be four numbers with x0 < x1 and y0 < y1. Received: {values}."
        )
    return box


def _csv_lines(path: pathlib.Path, text: str) -> Iterator[tuple[int, str, list]]:
    """Yields the number, the image and the one box of each line."""
    rows = csv.DictReader(io.StringIO(text), strict=True, delimiter=csv_delimiter(text))
    start = 1
    try:
        columns = [column.strip().lower() for column in rows.fieldnames or ()]
        rows.fieldnames = columns
        named = [name for name in _NAMES if name in columns]
        corners = next((four for four in _COLUMNS if set(four) <= set(columns)), None)
        if not named or corners is None:
            raise ValueError(
                f"{path}:1: expected a CSV header path,x0,y0,x1,y1 or JSON lines. "
                f"Received: {text[:60].splitlines()[:1]}."
            )
        start = rows.line_num + 1
        for row in rows:
            where = f"{path}:{rows.line_num}"
            if None in row or None in row.values():  # too many or too few fields
                raise ValueError(f"{where}: expected {len(columns)} fields, as in the header.")
            _check_is_image(where, row)
            name, box = row[named[0]].strip(), [row[column] for column in corners]
            if not name:
                raise ValueError(f"{where}: the name of the image is empty.")
            yield rows.line_num, name, [box] if any(box) else []
            start = rows.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}:{start}: not valid CSV ({error}).") from None


def _json_lines(path: pathlib.Path, text: str) -> Iterator[tuple[int, str, list]]:
    """Yields the number, the image and the boxes of each line."""
    for number, content in _parsed(path, text):
        if not isinstance(content, dict):
            raise ValueError(f"{path}:{number}: expected {{...}}. Received: {content!r:.60}.")
        _check_is_image(f"{path}:{number}", content)
        name = next((content[name] for name in _NAMES if name in content), None)
        found = _boxes_of(content)
        if found is None:
            continue
        if not isinstance(name, str) or not name:
            raise ValueError(f'{path}:{number}: expected the name of the image as "path".')
        if not isinstance(found, list):
            raise ValueError(f"{path}:{number}: boxes must be a list. Received: {found}.")
        yield number, name, found


def _parsed(path: pathlib.Path, text: str) -> Iterator[tuple[int, Any]]:
    """Yields the number and the content of each line, or of the whole text if it is one object."""
    try:
        yield 1, parse_json(text)
        return
    except ValueError:
        pass
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            content = parse_json(line)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: not valid JSON ({error}).") from None
        yield number, content


def _check_is_image(where: str, row: dict) -> None:
    if row.get("frame") not in (None, ""):
        raise ValueError(f"{where}: this is a frame of a video. Boxes must belong to images.")


def _boxes_of(content: dict) -> Any:
    """Returns the unchecked boxes of a line. None if it has no key for boxes."""
    if "boxes_xyxy_px" in content:
        return content["boxes_xyxy_px"]
    if "box_xyxy_px" in content:
        return [content["box_xyxy_px"]]
    faces = content.get("faces")
    if not isinstance(faces, list):
        return faces
    return [face.get("box_xyxy_px") if isinstance(face, dict) else face for face in faces]
