"""Reading of data set files, with errors that name the file and the expected content."""

import contextlib
import functools
import multiprocessing
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

import numpy as np

from tfrecords_tools.sources.base import BadRecordError
from wing_tf.utils.parent_watch import end_with_parent
from wing_tf.utils.text_files import read_text

if TYPE_CHECKING:
    import h5py

# What h5py raises for damaged files, besides ValueError.
_HDF5_ERRORS = (OSError, KeyError, RuntimeError, TypeError, AttributeError, MemoryError)


def read_mat(path: pathlib.Path, names: Sequence[str]) -> dict[str, Any]:
    """Reads variables of a MATLAB file of version 5 to 7 by name.

    A damaged file can crash SciPy's reader, so the file is read in another process.

    Raises:
        ValueError: If the file can't be read or lacks one of the variables.
    """
    try:
        variables = _mat_reader().submit(_load_mat, path, list(names)).result()
    except BrokenProcessPool:
        _mat_reader.cache_clear()
        variables = "it crashes SciPy's reader"
    if isinstance(variables, str):
        raise ValueError(f"{path} is not a MATLAB file of version 5 to 7: {variables}")
    _check_names(path, names, variables.keys())
    return variables


@functools.cache
def _mat_reader() -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=end_with_parent)


def _load_mat(path: pathlib.Path, names: list[str]) -> dict[str, Any] | str:
    """Returns the variables, or why they can't be read."""
    import scipy.io  # here: --help needs neither SciPy nor h5py

    try:
        return scipy.io.loadmat(path, variable_names=names)
    except Exception as error:  # SciPy raises errors of many types for damaged files
        return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def open_mat73(path: pathlib.Path, names: Sequence[str]) -> Iterator["h5py.File"]:
    """Opens a MATLAB file of version 7.3, which is HDF5.

    Its arrays appear transposed. Links to other files are not followed.

    Raises:
        ValueError: If the file can't be read, lacks one of the variables `names`, or if reading it
            fails inside the block.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            _check_names(path, names, file.keys())
            for name in names:
                if isinstance(file.get(name, getlink=True), h5py.ExternalLink):
                    raise OSError(f"{name} is a link to another file")
            yield file
    except _HDF5_ERRORS as error:
        text = " ".join(str(error).strip("'").split())
        raise ValueError(f"{path} is not a MATLAB file of version 7.3: {text}") from error


def _check_names(path: pathlib.Path, names: Sequence[str], found: Any) -> None:
    missing = [name for name in names if name not in found]
    if missing:
        shown = ", ".join(sorted(name for name in found if name[:1] not in "_#")) or "no variable"
        raise ValueError(
            f"{path} must hold the variables {', '.join(names)}. Missing: {', '.join(missing)}; "
            f"found: {shown}."
        )


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
