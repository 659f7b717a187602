"""Boxes that are known already."""

import csv
import io
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from wing_tf.detection.correction import Correction
from wing_tf.detection.detector import Detector

_COLUMNS = (("x0", "y0", "x1", "y1"), ("box_x0_px", "box_y0_px", "box_x1_px", "box_y1_px"))
_NAMES = ("path", "image")


class BoxFile(Detector):
    """A file's boxes, by the images' names.

    Two kinds, told apart by their first letter; several lines may be of one image, and what
    wing-predict writes of images is read as well:

    * CSV with a header ``path,x0,y0,x1,y1`` (or ``box_x0_px``, ...), in any order, other columns
      ignored; four empty fields are no box.
    * JSON lines, or one JSON object: ``{"path": ..., "boxes_xyxy_px": [[x0, y0, x1, y1], ...]}``,
      or ``"box_xyxy_px": [...]`` of one face, or ``"faces": [{"box_xyxy_px": [...]}, ...]``; a line
      without any of them is passed over.

    ``image`` and ``image`` are taken for ``path``. A name is looked up as it is given, then
    relative to the file's folder, then without its first folders: ``/pics/s1/1.jpg`` is
    ``s1/1.jpg`` of the file, or else ``1.jpg``, but never ``s2/1.jpg``.

    Args:
        path: the file.
        correction: from its boxes to landmark squares; none if None.

    Raises:
        ValueError: if the file can't be read, or a line is none of the above; it says which.
    """

    needs_name = True

    def __init__(self, path: str | os.PathLike, *, correction: Correction | None = None):
        super().__init__(correction=correction)
        self.path = pathlib.Path(path)
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise ValueError(f"Cannot read box file {path}: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise ValueError(f"Cannot read box file {path}: not a UTF-8 text.") from None
        lines = _json_lines if text.lstrip().startswith("{") else _csv_lines
        boxes: dict[str, list] = {}
        for number, name, found in lines(self.path, text):
            known = boxes.setdefault(os.path.normpath(name), [])
            known.extend(_box(f"{self.path}:{number}", values) for values in found)
        self._boxes = {name: np.array(rows).reshape(-1, 4) for name, rows in boxes.items()}
        self._places = {os.path.abspath(self.path.parent / name): name for name in boxes}

    def find(self, name: str | os.PathLike) -> str | None:
        """Returns what the file calls an image; None if it does not say anything of it."""
        given = os.path.normpath(name)
        if given in self._boxes:
            return given
        place = os.path.abspath(given)
        if place in self._places:
            return self._places[place]
        parts = pathlib.PurePath(place).parts
        ends = (os.path.join(*parts[first:]) for first in range(len(parts)))
        return next((end for end in ends if end in self._boxes), None)

    def raw_boxes(self, image: np.ndarray, name: str | os.PathLike | None = None) -> np.ndarray:
        """Returns the file's boxes [N, 4]; none where it does not name the image."""
        if name is None:
            raise ValueError("Boxes of a file are found by the image's name, which is not known.")
        found = self.find(name)
        return np.zeros((0, 4)) if found is None else self._boxes[found]

    def __call__(self, image: np.ndarray, name: str | os.PathLike | None = None) -> np.ndarray:
        """Returns an image's boxes [N, 4], largest first; see `find`.

        Raises:
            ValueError: if no name is given.
        """
        return self.corrected(self.raw_boxes(image, name))


def _box(where: str, values: Any) -> list[float]:
    try:
        box = [float(value) for value in values] if isinstance(values, list) else []
    except (TypeError, ValueError):
        box = []
    if len(box) != 4 or not np.isfinite(box).all() or box[0] >= box[2] or box[1] >= box[3]:
        raise ValueError(
            f"{where}: a box must be four numbers with x0 < x1 and y0 < y1. Received: {values}."
        )
    return box


def _csv_lines(path: pathlib.Path, text: str) -> Iterator[tuple[int, str, list]]:
    """Yields the number of each line, its image and its one box."""
    rows = csv.DictReader(io.StringIO(text), strict=True)
    start = 1
    try:
        columns = [column.strip() for column in rows.fieldnames or ()]
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
            if None in row or None in row.values():  # how `csv` tells of too many and too few
                raise ValueError(f"{where}: expected {len(columns)} fields, as in the first line.")
            _check_still(where, row)
            name, box = row[named[0]], [row[column] for column in corners]
            if not name:
                raise ValueError(f"{where}: no image is named.")
            yield rows.line_num, name, [box] if any(box) else []
            start = rows.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}:{start}: not a line of CSV ({error}).") from None


def _json_lines(path: pathlib.Path, text: str) -> Iterator[tuple[int, str, list]]:
    """Yields the number of each line, its image and its boxes."""
    for number, content in _parsed(path, text):
        if not isinstance(content, dict):
            raise ValueError(f"{path}:{number}: expected {{...}}. Received: {content!r:.60}.")
        _check_still(f"{path}:{number}", content)
        name = next((content[name] for name in _NAMES if name in content), None)
        found = _boxes_of(content)
        if found is None:
            continue
        if not isinstance(name, str) or not name:
            raise ValueError(f'{path}:{number}: no image is named; expected "path".')
        if not isinstance(found, list):
            raise ValueError(f"{path}:{number}: boxes must be a list. Received: {found}.")
        yield number, name, found


def _parsed(path: pathlib.Path, text: str) -> Iterator[tuple[int, Any]]:
    """Yields each line's number and content, or those of the whole text if it is one object."""
    try:
        yield 1, json.loads(text)
        return
    except ValueError:
        pass
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: not a line of JSON ({error}).") from None
        yield number, content


def _check_still(where: str, row: dict) -> None:
    if row.get("frame") not in (None, ""):
        raise ValueError(f"{where}: a video's frame; boxes must be of images.")


def _boxes_of(content: dict) -> Any:
    """Returns the boxes of a line, unchecked; None if it has none."""
    if "boxes_xyxy_px" in content:
        return content["boxes_xyxy_px"]
    if "box_xyxy_px" in content:
        return [content["box_xyxy_px"]]
    faces = content.get("faces")
    if not isinstance(faces, list):
        return faces
    return [face.get("box_xyxy_px") if isinstance(face, dict) else face for face in faces]
