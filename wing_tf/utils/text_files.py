"""Reading of text files in UTF-8 or with a byte order mark, and of JSON files within limits."""

import codecs
import collections
import csv
import io
import json
import math
import os
from collections.abc import Sequence
from typing import Any

from wing_tf.utils.local_path import local_path

# UTF-32 first: its little-endian mark starts with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_MAX_DIGITS = 300  # of an integer; more don't fit in a float
_MAX_DEPTH = 100
_TOO_DEEP = f"it is nested in more than {_MAX_DEPTH} levels"

MAX_JSON_BYTES = 1 << 28
"""Size of the largest JSON file that is read by default."""

MAX_ANNOTATION_BYTES = 1 << 32
"""Size of the largest file with the annotations of a whole data set, and of any text file."""


def read_text(path: str | os.PathLike, *, errors: str = "strict") -> str:
    """Returns the content of a text file without its byte order mark.

    The encoding is UTF-8, with or without a mark, or UTF-16 or UTF-32 with one, as Windows writes
    "Unicode text".

    Args:
        path: The file.
        errors: How undecodable bytes are handled, as in `open`.

    Raises:
        ValueError: If the file has another encoding, or more than `MAX_ANNOTATION_BYTES`.
        OSError: If it can't be read.
    """
    data = read_limited(path, MAX_ANNOTATION_BYTES)
    return _decode_text(data, path, errors=errors)


def read_limited(path: str | os.PathLike, max_bytes: int) -> bytes:
    """Returns the content of a file.

    Raises:
        ValueError: If it is larger than ``max_bytes``; the message names the file.
        OSError: If it can't be read.
    """
    file = local_path(path)
    _check_size(file.stat().st_size, path, max_bytes)
    return file.read_bytes()


def _decode_text(data: bytes, path: str | os.PathLike, *, errors: str = "strict") -> str:
    """Returns the text of the content of a file; see `read_text`.

    Raises:
        ValueError: If it has another encoding; the message names the file.
    """
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8-sig")
    try:
        text = data.decode(encoding, errors)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not a {encoding.removesuffix('-sig').upper()} text file ({error.reason})."
        ) from None
    if "\0" in text[:2]:  # every second byte of UTF-16
        raise ValueError(
            f"{path} is not a text file in UTF-8, or in UTF-16 with a byte order mark: it "
            "starts with a null character."
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def csv_delimiter(text: str) -> str:
    """Returns the comma, semicolon or tab that the first line of a CSV text has most of."""
    header = text.lstrip().partition("\n")[0]
    return max(",;\t", key=header.count)


def read_csv(path: str | os.PathLike, columns: Sequence[str]) -> list[dict[str, str]]:
    """Returns the rows of a CSV file that this package has written, by the names of its columns.

    Args:
        path: The file.
        columns: Names of columns that it must have.

    Raises:
        ValueError: If it is not such a file, or a row has not a field for each column; the message
            names the file and the line.
        OSError: If it can't be read.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, errors="surrogateescape")), strict=True)
    rows = []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise csv.Error(f"expected {len(reader.fieldnames or ())} fields")
            rows.append(row)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}.") from None
    if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
        raise ValueError(f"{path} must be a CSV file with the column {missing[0]}.")
    return rows


def read_json(
    path: str | os.PathLike, *, max_bytes: int = MAX_JSON_BYTES, finite: bool = True
) -> Any:
    """Returns the values of a JSON file.

    Args:
        path: The file.
        max_bytes: Size of the largest file that is read.
        finite: Whether numbers that are not finite are refused. Without it, the caller must check
            each: of a file of many faces, one bad number is no reason to refuse all.

    Raises:
        ValueError: If the file is larger, or is not valid JSON (see `parse_json`); the message
            names the file and the line.
        OSError: If it can't be read.
    """
    data = read_limited(path, max_bytes)
    return decode_json(data, path, max_bytes=max_bytes, finite=finite)


def decode_json(
    data: bytes, path: str | os.PathLike, *, max_bytes: int = MAX_JSON_BYTES, finite: bool = True
) -> Any:
    """Returns the values of the content of a JSON file; see `read_json`.

    Raises:
        ValueError: If it is too large or not valid JSON; the message names the file and the line.
    """
    _check_size(len(data), path, max_bytes)
    text = _decode_text(data, path)
    try:
        return parse_json(text, finite=finite)
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}.") from None


def parse_json(text: str, *, finite: bool = True) -> Any:
    """Returns the values of a JSON text.

    Args:
        text: The text.
        finite: See `read_json`.

    Raises:
        ValueError: If it is not valid JSON, is nested in more than 100 levels, has a key twice in
            an object, or holds an integer of more than 300 digits or, with ``finite``, a number
            that is not finite.
    """
    try:
        values = json.loads(
            text,
            parse_int=_integer,
            parse_float=_finite if finite else None,
            parse_constant=_finite if finite else None,
            object_pairs_hook=_without_copies,
        )
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    level = [values] if isinstance(values, dict | list) else []
    for _ in range(_MAX_DEPTH):
        level = [
            value
            for parent in level
            for value in (parent.values() if type(parent) is dict else parent)
            if type(value) is dict or type(value) is list
        ]
        if not level:
            return values
    raise ValueError(_TOO_DEEP)


def _check_size(size: int, path: str | os.PathLike, max_bytes: int) -> None:
    if size > max_bytes:
        raise ValueError(
            f"{path} is too large for its kind: {size} bytes. Expected at most {max_bytes}."
        )


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"it holds an integer of {len(digits.lstrip('-'))} digits")
    return int(digits)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"it holds the number {text:.40}, which is not finite")
    return number


def _without_copies(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = collections.Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"it holds the key {twice!r:.60} twice in one object")
    return values


def encode_text(text: str) -> bytes:
    """Returns text as UTF-8 bytes; undecodable bytes of file names in it are kept as they are."""
    return text.encode(errors="surrogateescape")
