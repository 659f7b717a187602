"""Atomic file writes: a file gets its final name only when it is complete."""

import contextlib
import json
import math
import os
import pathlib
import uuid
from collections.abc import Iterator
from typing import Any

from wing_tf.utils.local_path import local_path
from wing_tf.utils.text_files import encode_text


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike, *, suffix: str | None = None) -> Iterator[pathlib.Path]:
    """Yields a temporary path that is renamed to `path` when the block ends without an error.

    After an error the temporary file is removed and the file at `path`, if there is one, is
    unchanged.

    Args:
        path: The final path, which must be local. Its folder must exist.
        suffix: Suffix of the temporary name, for writers that require one (such as
            ``.weights.h5``). Defaults to the suffix of `path`.

    Example:
        >>> with atomic_path("scores.json") as temporary:  # doctest: +SKIP
        ...     temporary.write_text("{}")
    """
    path = local_path(path)
    # Short, because the longest file name that the system allows leaves no room for more.
    name = f".{uuid.uuid4().hex[:12]}.writing{path.suffix if suffix is None else suffix}"
    temporary = path.with_name(name)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_unfinished(path: str | os.PathLike) -> None:
    """Removes what killed processes left in the folder of a file, of its kind.

    No other process may be writing such files there meanwhile.

    Args:
        path: Path of a file that is written atomically, with its suffix.
    """
    path = pathlib.Path(path)
    for left in path.parent.glob(f".{'[0-9a-f]' * 12}.writing{path.suffix}"):
        left.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Writes a binary file atomically.

    Raises:
        OSError: If it can't be written.
    """
    with atomic_path(path, suffix="") as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a UTF-8 text file atomically; undecodable bytes of file names are kept as they are.

    Raises:
        OSError: If it can't be written.
    """
    write_bytes(path, encode_text(text))


def write_json(path: str | os.PathLike, values: Any) -> None:
    """Writes values as an indented JSON file atomically; NaN and infinity as null.

    Raises:
        OSError: If it can't be written.
    """
    write_text(path, json.dumps(_finite(values), indent=1, allow_nan=False) + "\n")


def _finite(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
