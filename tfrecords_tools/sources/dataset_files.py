"""Finding and reading owners' files, with one clear line where they are not as expected."""

import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import h5py
import numpy as np
import scipy.io

from tfrecords_tools.sources.base import BadRecordError, require_path


def find_path(root: pathlib.Path, places: Sequence[str], layout: str) -> pathlib.Path:
    """Returns the first of several places below ``root`` that exists.

    Args:
        root: the data set's folder.
        places: paths relative to it; the official one first.
        layout: the official layout, for the message.

    Raises:
        ValueError: if none exists; the message names the official one and the layout.
    """
    found = (root / place for place in places if (root / place).exists())
    return require_path(next(found, root / places[0]), layout)


def read_mat(path: pathlib.Path, names: Sequence[str]) -> dict[str, Any]:
    """Reads variables of a MATLAB file of version 5 to 7.

    Args:
        path: the file.
        names: of the variables that must be there.

    Raises:
        ValueError: if the file can't be read or lacks one of them.
    """
    try:
        variables = scipy.io.loadmat(path, variable_names=list(names))
    except Exception as error:  # of many kinds: SciPy checks little before it unpacks
        raise ValueError(f"{path} is not a MATLAB file of version 5 to 7: {error}") from error
    _check_names(path, names, variables.keys())
    return variables


def open_mat73(path: pathlib.Path, names: Sequence[str]) -> h5py.File:
    """Opens a MATLAB file of version 7.3, which is HDF5; arrays in it appear transposed.

    Args:
        path: the file.
        names: of the variables that must be there.

    Returns:
        The open file, to be used in a ``with`` block.

    Raises:
        ValueError: if the file can't be read or lacks one of them.
    """
    try:
        file = h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path} is not a MATLAB file of version 7.3: {error}") from error
    try:
        _check_names(path, names, file.keys())
    except ValueError:
        file.close()
        raise
    return file


def _check_names(path: pathlib.Path, names: Sequence[str], found: Any) -> None:
    absent = [name for name in names if name not in found]
    if absent:
        shown = ", ".join(sorted(name for name in found if name[:1] not in "_#")) or "none of them"
        raise ValueError(
            f"{path} must hold the variables {', '.join(names)}. Missing: {', '.join(absent)}; "
            f"found: {shown}."
        )


def read_text(path: pathlib.Path) -> str:
    """Reads a text file. Raises `BadRecordError` if it can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadRecordError(f"cannot read {path}: {error.strerror}") from error


def parse_rows(path: pathlib.Path, lines: Iterable[str], num_landmarks: int) -> np.ndarray:
    """Returns the points [K, 2] of lines that hold "x y", one a landmark; empty lines are skipped.

    Raises:
        BadRecordError: if they hold another number of points, text or NaN; it names ``path``.
    """
    rows = [line.split() for line in lines if line.strip()]
    try:
        points = np.array([[float(value) for value in row] for row in rows], np.float64)
    except ValueError as error:
        raise BadRecordError(f"{path}: not rows of two numbers ({error})") from error
    if points.shape != (num_landmarks, 2):
        raise BadRecordError(
            f"{path}: expected {num_landmarks} rows of two numbers, found shape {points.shape}"
        )
    if not np.all(np.isfinite(points)):
        raise BadRecordError(f"{path}: holds NaN or infinity")
    return points
