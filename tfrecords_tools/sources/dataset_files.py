"""Reading of data set files, with errors that name the file and the expected content."""

import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tfrecords_tools.matlab_files import load_cell, load_mat, load_mat73
from tfrecords_tools.sources.base import BadRecordError
from wing_tf.utils.child_process import call_in_child
from wing_tf.utils.text_files import read_text


def read_mat(path: pathlib.Path, names: Sequence[str]) -> dict[str, Any]:
    """Reads variables of a MATLAB file of version 5 to 7 by name.

    A damaged file can crash SciPy's reader, so the file is read in another process.

    Raises:
        ValueError: If the file can't be read or lacks one of the variables.
    """
    return _in_child(load_mat, path, tuple(names), reader="SciPy")


def read_mat73(path: pathlib.Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Reads variables of a MATLAB file of version 7.3, which is HDF5, by name.

    Arrays appear transposed, and a cell array as the numbers of its cells. Links to other files are
    refused. The file is read in another process, as by `read_mat`.

    Raises:
        ValueError: If the file can't be read or lacks one of the variables.
    """
    return _in_child(load_mat73, path, tuple(names), reader="HDF5")


def read_mat73_cell(path: pathlib.Path, name: str, index: int, *, max_size: int) -> np.ndarray:
    """Reads one cell of a cell array of a MATLAB file of version 7.3; see `read_mat73`.

    Args:
        path: The file.
        name: Name of the variable.
        index: Number of the cell, from 0.
        max_size: Maximum number of elements of the cell.

    Raises:
        ValueError: If the cell can't be read.
    """
    return _in_child(load_cell, path, name, index, max_size, reader="HDF5")


def _in_child(
    function: Callable[..., Any], path: pathlib.Path, *arguments: Any, reader: str
) -> Any:
    return call_in_child(function, path.absolute(), *arguments, path=path, reader=reader)


def as_numbers(path: pathlib.Path, name: str, values: Any) -> np.ndarray:
    """Returns a variable as float64. Raises ValueError if it holds something other than numbers."""
    try:
        if np.iscomplexobj(values):
            raise TypeError("complex numbers")
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {name} must be numbers. Found: {error}.") from None


def shape_text(shape: Iterable[int]) -> str:
    """Returns a shape as text, such as ``3 x 14 x 2000``."""
    return " x ".join(map(str, shape))


def check_rows(
    path: pathlib.Path, name: str, shape: tuple[int, ...], expected: tuple[int, int], row: str
) -> None:
    """Checks the shape of a variable that has one row per face. Raises ValueError."""
    if shape != expected:
        raise ValueError(
            f"{path}: {name} must be {shape_text(expected)}, a row for each {row}. "
            f"Found: {shape_text(shape)}."
        )


def read_lines(path: pathlib.Path) -> list[str]:
    """Reads the lines of one face's text file. Raises `BadRecordError` if it can't be read."""
    try:
        return read_text(path, errors="replace").splitlines()
    except OSError as error:
        raise BadRecordError(f"cannot read {path}: {error.strerror}") from error


def parse_points(path: pathlib.Path, lines: Iterable[str], num_landmarks: int | None) -> np.ndarray:
    """Returns the points [K, 2] of lines "x y", one per landmark; `num_landmarks` None is any K.

    Empty lines are ignored, and so is a first line with one word, the number of points in LaPa.

    Raises:
        BadRecordError: If the number of points is wrong, or a line holds text or NaN; the message
            names `path`.
    """
    rows = [line.split() for line in lines if line.strip()]
    if rows and len(rows[0]) == 1:
        rows = rows[1:]
    try:
        points = np.array([[float(value) for value in row] for row in rows], np.float64)
    except ValueError as error:
        wrong = next((" ".join(row)[:40] for row in rows if len(row) != 2), None)
        reason = error if wrong is None else f"found {wrong!r}"
        raise BadRecordError(f"{path}: not rows of two numbers ({reason})") from error
    count = max(len(points), 1) if num_landmarks is None else num_landmarks
    if points.shape != (count, 2):
        raise BadRecordError(
            f"{path}: expected {count} rows of two numbers, found shape {points.shape}"
        )
    if not np.all(np.isfinite(points)):
        raise BadRecordError(f"{path}: holds NaN or infinity")
    return points
