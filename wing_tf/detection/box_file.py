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
from wing_tf.utils.local_path import local_path
from wing_tf.utils.printable import path_of_cell
from wing_tf.utils.text_files import csv_delimiter, parse_json, read_text

_COLUMNS = (("x0", "y0", "x1", "y1"), ("box_x0_px", "box_y0_px", "box_x1_px", "box_y1_px"))
_NAMES = ("path", "image")
_MAX_COORDINATE = 1e6  # in pixels; no image is as large
_SCORES = ("detection_score", "score")  # wing-predict writes both, and the second is another score


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

    Detection scores in 0..1 are optional: a CSV column, or a JSON key beside ``box_xyxy_px``, that
    is called ``detection_score`` or else ``score``, and a fifth number in ``boxes_xyxy_px``. Empty
    fields and null are unknown scores.

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

    needs_name = is_given = True

    def __init__(self, path: str | os.PathLike, *, correction: Correction | None = None):
        super().__init__(correction=correction)
        self.path = local_path(path)
        try:
            text = read_text(self.path)
        except OSError as error:
            raise ValueError(f"Cannot read box file {path}: {error.strerror}.") from None
        lines = _json_lines if text.lstrip().startswith("{") else _csv_lines
        boxes: dict[str, list] = {}
        for number, name, found in lines(self.path, text):
            known = boxes.setdefault(_normalized(name), [])
            new = [_box(f"{self.path}:{number}", values) for values in found]
            known.extend(box for box in new if box[:4] not in [other[:4] for other in known])
        scored = any(not np.isnan(row[4]) for rows in boxes.values() for row in rows)
        self._num_columns = 5 if scored else 4
        self._boxes = {
            name: np.array(rows).reshape(-1, 5)[:, : self._num_columns]
            for name, rows in boxes.items()
        }
        self._indices = [_Index(fold, boxes, self.path.parent) for fold in (str, str.casefold)]

    @property
    def names(self) -> tuple[str, ...]:
        """The images in the file, with / as the separator."""
        return tuple(self._boxes)

    def find(self, name: str | os.PathLike) -> str | None:
        """Returns the name of an image in the file. None if the file does not contain it."""
        return next(filter(None, (index.find(_normalized(name)) for index in self._indices)), None)

    def raw_boxes(self, image: np.ndarray, name: str | os.PathLike | None = None) -> np.ndarray:
        """Returns the boxes of an image; none if the file does not contain it.

        They are [N, 4], or [N, 5] if the file has scores, NaN where one is unknown.
        """
        if name is None:
            raise ValueError("A box file needs the name of the image. Received: name=None.")
        found = self.find(name)
        return np.zeros((0, self._num_columns)) if found is None else self._boxes[found]

    def __call__(self, image: np.ndarray, name: str | os.PathLike | None = None) -> np.ndarray:
        """Returns the corrected boxes of an image, largest first; see `find` and `raw_boxes`.

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
    """Returns four coordinates and a score, NaN if it is unknown."""
    corners, scores = (values[:4], values[4:]) if isinstance(values, list) else ([], [])
    try:
        if any(isinstance(value, bool) for value in values):
            raise TypeError
        box = [float(value) for value in corners]
        score = [float("nan") if value in (None, "") else float(value) for value in scores]
    except (TypeError, ValueError, OverflowError):
        box, score = [], []
    is_known = len(box) == 4 and np.all(np.abs(box) <= _MAX_COORDINATE)  # and not NaN
    if not is_known or box[0] >= box[2] or box[1] >= box[3]:
        raise ValueError(
            f"{where}: a box must be four numbers, in pixels, with x0 < x1 and y0 < y1. "
            f"Received: {values!r:.200}."
        )
    if len(score) > 1 or any(value < 0 or value > 1 for value in score):
        raise ValueError(f"{where}: a detection score must be 0 to 1. Received: {scores}.")
    return [*box, *(score or [float("nan")])]


def _csv_lines(path: pathlib.Path, text: str) -> Iterator[tuple[int, str, list]]:
    """Yields the number, the image and the one box of each line."""
    rows = csv.DictReader(io.StringIO(text), strict=True, delimiter=csv_delimiter(text))
    start = 1
    try:
        columns = [column.strip().lower() for column in rows.fieldnames or ()]
        rows.fieldnames = columns
        named = [name for name in _NAMES if name in columns]
        corners = next((four for four in _COLUMNS if set(four) <= set(columns)), None)
        scores = [column for column in _SCORES if column in columns][:1]
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
            name = path_of_cell(row[named[0]].strip(), path.parent, "")
            box = [row[column] for column in corners]
            if not name:
                raise ValueError(f"{where}: the name of the image is empty.")
            yield rows.line_num, name, [box + [row[s] for s in scores]] if any(box) else []
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
            raise ValueError(f"{path}:{number}: boxes must be a list. Received: {found!r:.200}.")
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
        return [_with_score(content)]
    faces = content.get("faces")
    if not isinstance(faces, list):
        return faces
    return [_with_score(face) if isinstance(face, dict) else face for face in faces]


def _with_score(face: dict) -> Any:
    """Returns the unchecked box of a face, with its score if it has one."""
    box, scores = face.get("box_xyxy_px"), [face[key] for key in _SCORES if key in face]
    return box + scores[:1] if isinstance(box, list) and len(box) == 4 else box
