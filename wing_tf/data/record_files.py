"""Record files and the files beside them, on local and remote file systems.

All functions take the paths that `tf.io.gfile` takes: local ones, and those that begin with the
scheme of a file system, such as ``gs://bucket/records``.
"""

import contextlib
import glob
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from wing_tf.utils.local_path import is_remote
from wing_tf.utils.text_files import decode_json


def record_path(path: str | os.PathLike) -> str:
    """Returns a path as one string, whatever its spelling; ``~`` is the home folder."""
    text = os.fspath(path)
    if is_remote(text):
        return text.rstrip("/") if not text.endswith("://") else text
    return str(pathlib.Path(text).expanduser())


def is_file(path: str) -> bool:
    """Whether there is a file. Raises OSError if the file system can't be read."""
    found = _stat(path)
    return found is not None and not found.is_directory


def is_folder(path: str) -> bool:
    """Whether there is a folder. Raises OSError if the file system can't be read."""
    found = _stat(path)
    return found is not None and found.is_directory


def file_size(path: str) -> int:
    """Returns the number of bytes of a file. Raises OSError if there is none."""
    found = _stat(path)
    if found is None:
        raise OSError(f"There is no file {path}.")
    return found.length


def list_folder(path: str) -> list[str]:
    """Returns the names in a folder. Raises OSError if it can't be read."""
    with readable(path):
        return [name.rstrip("/") for name in tf.io.gfile.listdir(path)]


def matching_files(pattern: str) -> list[str]:
    """Returns the files that a glob matches, in an existing folder whatever its name."""
    folder, name = os.path.split(pattern)
    if is_folder(folder or os.curdir):
        pattern = os.path.join(glob.escape(folder), name)
    with readable(pattern):
        return [path for path in tf.io.gfile.glob(pattern) if is_file(path)]


def read_bytes(path: str | os.PathLike) -> bytes:
    """Returns the content of a file. Raises OSError if it can't be read."""
    path = os.fspath(path)
    with readable(path), tf.io.gfile.GFile(path, "rb") as file:
        return file.read()


def read_json(path: str) -> Any:
    """Returns the values of a JSON file; see `wing_tf.utils.text_files.read_json`."""
    return decode_json(read_bytes(path), path)


@contextlib.contextmanager
def readable(path: str) -> Iterator[None]:
    """Turns TensorFlow's errors about a file that can't be read into an OSError of one line."""
    try:
        yield
    except tf.errors.OpError as error:
        reason = " ".join(error.message.split()) or "there is no such file"
        if isinstance(error, tf.errors.UnimplementedError):
            schemes = sorted(filter(None, tf.io.gfile.get_registered_schemes()))
            names = ", ".join(f"{scheme}://" for scheme in schemes)
            reason = f"{reason.removesuffix('.')}. There are: {names}."
        raise OSError(f"{path} can't be read: {reason}") from None


def _stat(path: str):
    """Returns what is known of a file or a folder, None if there is none."""
    absent = [tf.errors.NotFoundError]
    if not is_remote(path):  # a file in place of a folder, and a name that is too long
        absent += [tf.errors.FailedPreconditionError, tf.errors.InvalidArgumentError]
    with readable(path):
        try:
            return tf.io.gfile.stat(path)
        except tuple(absent):
            return None
