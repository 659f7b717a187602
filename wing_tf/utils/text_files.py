"""Reading of text files in UTF-8 or with a byte order mark, and of JSON files."""

import codecs
import json
import os
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


def read_text(path: str | os.PathLike, *, errors: str = "strict") -> str:
    """Returns the content of a text file without its byte order mark.

    The encoding is UTF-8, with or without a mark, or UTF-16 or UTF-32 with one, as Windows writes
    "Unicode text".

    Args:
        path: The file.
        errors: How undecodable bytes are handled, as in `open`.

    Raises:
        ValueError: If the file has another encoding.
        OSError: If it can't be read.
    """
    return _decode_text(local_path(path).read_bytes(), path, errors=errors)


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


def read_json(path: str | os.PathLike) -> Any:
    """Returns the values of a JSON file.

    Raises:
        ValueError: If the file is not valid JSON; the message names the file and the line.
        OSError: If it can't be read.
    """
    return decode_json(local_path(path).read_bytes(), path)


def decode_json(data: bytes, path: str | os.PathLike) -> Any:
    """Returns the values of the content of a JSON file; see `read_json`.

    Raises:
        ValueError: If it is not valid JSON; the message names the file and the line.
    """
    text = _decode_text(data, path)
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}.") from None


def parse_json(text: str) -> Any:
    """Returns the values of a JSON text.

    Raises:
        ValueError: If it is not valid JSON, is nested too deeply, or holds an integer of more than
            300 digits.
    """
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"it holds an integer of {len(digits.lstrip('-'))} digits")
    return int(digits)


def encode_text(text: str) -> bytes:
    """Returns text as UTF-8 bytes; undecodable bytes of file names in it are kept as they are."""
    return text.encode(errors="surrogateescape")
