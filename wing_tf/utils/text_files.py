"""Reading of UTF-8 text files, with or without a byte order mark, and of JSON files."""

import json
import os
import pathlib
from typing import Any


def read_text(path: str | os.PathLike, *, errors: str = "strict") -> str:
    """Returns the content of a UTF-8 text file without its byte order mark.

    Args:
        path: The file.
        errors: How undecodable bytes are handled, as in `open`.

    Raises:
        ValueError: If the file is not UTF-8.
        OSError: If it can't be read.
    """
    try:
        return pathlib.Path(path).read_text(encoding="utf-8-sig", errors=errors)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a UTF-8 text file ({error.reason}).") from None


def read_json(path: str | os.PathLike) -> Any:
    """Returns the values of a JSON file.

    Raises:
        ValueError: If the file is not valid JSON; the message names the file and the line.
        OSError: If it can't be read.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}.") from None
    except RecursionError:
        raise ValueError(f"{path} is not valid JSON: it is nested too deeply.") from None


def encode_text(text: str) -> bytes:
    """Returns text as UTF-8 bytes; undecodable bytes of file names in it are kept as they are."""
    return text.encode(errors="surrogateescape")
