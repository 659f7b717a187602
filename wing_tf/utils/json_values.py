"""Checks of values that were read from JSON and CSV files."""

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from wing_tf.utils.text_files import read_json

Types = Mapping[str, type | tuple[type, ...]]
"""The type, or types, of the value of each key; `bool` is not an `int`, but an `int` a `float`."""

_TYPE_NAMES = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
_MAX_VALUE = 1e6  # far more than any coordinate, weight or count of bins


def read_json_object(path: str | os.PathLike, types: Types) -> dict[str, Any]:
    """Returns the object of a JSON file.

    Args:
        path: The file.
        types: The required keys and the types of their values.

    Raises:
        ValueError: If the file is not valid JSON (see `read_json`), is not an object, or a key is
            absent or not of its type; the message names the file and the key.
        OSError: If it can't be read.
    """
    return check_object(read_json(path), path, types)


def check_object(values: Any, path: str | os.PathLike, types: Types) -> dict[str, Any]:
    """Returns the values of a JSON file that must be an object; see `read_json_object`."""
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a JSON object. Received: {values!r:.60}.")
    for key, kinds in types.items():
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        accepted = {*kinds, int} if float in kinds else {*kinds}
        if key not in values or type(values[key]) not in accepted:
            expected = " or ".join(_TYPE_NAMES[kind] for kind in kinds)
            found = f"{values[key]!r:.60}" if key in values else "no such key"
            raise ValueError(f"{path}: `{key}` must be {expected}. Received: {found}.")
    return values


def finite_array(
    name: str, values: Any, shape: tuple[int | None, ...], *, max_value: float = _MAX_VALUE
) -> np.ndarray:
    """Returns nested lists of numbers as a float64 array.

    Args:
        name: Name of the value, for the message.
        values: The lists, or an array.
        shape: The shape; None for any number.
        max_value: Largest absolute value.

    Raises:
        ValueError: If they are not numbers of that shape, or one is not finite or is larger.
    """
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):
        array = np.asarray(None)  # lists of different lengths
    if array.shape == (0,) and 0 in shape:  # of [0, N], too
        array = array.reshape([n or 0 for n in shape])
    sizes = zip(array.shape, shape, strict=False)
    fits = array.ndim == len(shape) and all(n in (found, None) for found, n in sizes)
    # NaN fails the comparison, too.
    if array.dtype.kind not in "iuf" or not fits or not np.all(np.abs(array) <= max_value):
        expected = ", ".join("N" if n is None else str(n) for n in shape)
        raise ValueError(
            f"`{name}` must be numbers [{expected}] of at most {max_value:g}. "
            f"Received: {values!r:.60}"
        )
    return array.astype(np.float64)


def parse_number(text: str, name: str) -> float:
    """Returns the number of a CSV field, which may be "nan" but not negative or infinite.

    Raises:
        ValueError: If it is not one; the message begins with ``name``.
    """
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if number < 0 or math.isinf(number):
        raise ValueError(f"{name} must be a number of at least 0. Received: {text!r:.60}.")
    return number


def check_names(key: str, names: Any) -> None:
    """Raises ValueError if a value is not a list of texts."""
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"`{key}` must be a list of names. Received: {names!r:.60}")


def check_counts(key: str, counts: Any) -> None:
    """Raises ValueError if a value is not an object of whole numbers from 0 on."""
    if not isinstance(counts, Mapping) or not all(
        type(count) is int and count >= 0 for count in counts.values()
    ):
        raise ValueError(f"`{key}` must be whole numbers by name. Received: {counts!r:.60}")


def is_positive(value: Any) -> bool:
    """Whether a value is a finite number above 0; JSON's true is not a number."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0


def is_count(value: Any) -> bool:
    """Whether a value is a whole number above 0."""
    return is_positive(value) and value == int(value)
