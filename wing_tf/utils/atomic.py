"""Atomic file writes: a file gets its final name only when it is complete and on the disk."""

import contextlib
import errno
import json
import math
import os
import pathlib
import re
import shutil
import uuid
from collections.abc import Iterator
from typing import Any

from wing_tf.utils.local_path import local_path
from wing_tf.utils.text_files import encode_text

UNFINISHED = f".{'[0-9a-f]' * 12}.writing*"
"""Pattern of temporary names."""

# Errors of writes that name no file.
_DISK_ERRORS = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE,
)  # fmt: skip


def temporary_name(suffix: str = "") -> str:
    """Returns a new temporary name.

    It is short, because the longest file name that the system allows leaves no room for more.
    """
    return f".{uuid.uuid4().hex[:12]}.writing{suffix}"


class WriteError(OSError):
    """A file can't be written, such as on a full disk.

    Attributes:
        errno: Number of the error; None if it is not known.
        strerror: The reason.
        filename: The final path of the file.
    """

    def __str__(self) -> str:
        """Returns one line."""
        return f"{self.filename} can't be written: {self.strerror}."


@contextlib.contextmanager
def atomic_path(
    path: str | os.PathLike, *, suffix: str | None = None, durable: bool = True
) -> Iterator[pathlib.Path]:
    """Yields a temporary path that is renamed to `path` when the block ends without an error.

    After an error the temporary file is removed and the file at `path`, if there is one, is
    unchanged. An error of TensorFlow or of the operating system that concerns the temporary file is
    raised as `WriteError`.

    Args:
        path: The final path, which must be local. Its folder must exist.
        suffix: Suffix of the temporary name, for writers that require one (such as
            ``.keras``). Defaults to the suffix of `path`.
        durable: Whether the file is on the disk when the block has ended, so that it survives the
            end of the machine, not only of the process.

    Raises:
        WriteError: If the file can't be written.

    Examples:
        >>> with atomic_path("scores.json") as temporary:  # doctest: +SKIP
        ...     temporary.write_text("{}")
    """
    path = local_path(path)
    temporary = path.with_name(temporary_name(path.suffix if suffix is None else suffix))
    try:
        with final_names(temporary, path):
            yield temporary
            if durable:
                sync(temporary)
            os.replace(temporary, path)
            if durable:
                sync_names(path.parent)
    except BaseException:
        _remove(temporary)
        raise


@contextlib.contextmanager
def final_names(
    temporary: pathlib.Path, final: pathlib.Path, *, of_files: bool = False
) -> Iterator[None]:
    """Raises errors of writing a temporary file or folder as `WriteError` of the final one.

    Args:
        temporary: The temporary file, or the folder of temporary files.
        final: The final one.
        of_files: Whether the error names a file in the final folder, instead of the folder.

    Raises:
        WriteError: If a file could not be written. Other errors stay as they are.
    """
    try:
        yield
    except Exception as error:
        failure = _write_failure(error, str(temporary))
        if failure is None:
            raise
        code, reason, inner = failure
        if of_files and not inner.startswith(".") and not inner.endswith(".writing"):
            final = final / inner
        raise WriteError(code, reason, str(final)) from error


@contextlib.contextmanager
def temporary_folder(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a new folder for intermediate files, beside a file that is made of them.

    It is removed at the end. Errors of writing to it are raised as `WriteError` of the file.

    Args:
        path: Path of the file.
    """
    path = local_path(path)
    folder = path.with_name(temporary_name())
    try:
        with final_names(folder, path):
            folder.mkdir()
            yield folder
    finally:
        _remove(folder)


def remove_unfinished(folder: str | os.PathLike, *, subfolders: bool = False) -> None:
    """Removes the temporary files that killed processes left in a folder.

    No other process may be writing there meanwhile.

    Args:
        folder: The folder, which may be missing.
        subfolders: Whether to look in its subfolders, too.
    """
    folder = pathlib.Path(folder)
    for left in list((folder.rglob if subfolders else folder.glob)(UNFINISHED)):
        _remove(left)


def write_bytes(path: str | os.PathLike, content: bytes, *, durable: bool = True) -> None:
    """Writes a binary file atomically; see `atomic_path`.

    Raises:
        WriteError: If it can't be written.
    """
    with atomic_path(path, suffix="", durable=durable) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike, text: str, *, durable: bool = True) -> None:
    """Writes a UTF-8 text file atomically; undecodable bytes of file names are kept as they are.

    Raises:
        WriteError: If it can't be written.
    """
    write_bytes(path, encode_text(text), durable=durable)


def write_json(path: str | os.PathLike, values: Any, *, indent: int | None = 1) -> None:
    """Writes values as a JSON file atomically; NaN and infinity as null.

    Raises:
        WriteError: If it can't be written.
    """
    write_text(path, json.dumps(_finite(values), indent=indent, allow_nan=False) + "\n")


def _finite(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def sync(path: pathlib.Path) -> None:
    """Waits until a file or folder is on the disk, which may report that it is full only then."""
    if path.is_dir():
        for file in path.iterdir():
            sync(file)
        return
    with path.open("rb+") as opened:
        os.fsync(opened.fileno())


def sync_names(folder: pathlib.Path) -> None:
    """Waits until the names in a folder are on the disk, where the system offers it."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # some network file systems can't, and some folders are
        descriptor = os.open(folder, os.O_RDONLY)  # not readable
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink()


def _write_failure(error: Exception, temporary: str) -> tuple[int | None, str, str] | None:
    """Returns number, reason and file in `temporary` of a failed write; None of another error."""
    if isinstance(error, OSError):
        name = "" if error.filename is None else os.fsdecode(error.filename)
        if not name and error.errno in _DISK_ERRORS:
            return error.errno, error.strerror or "", ""
        code, reason = error.errno, error.strerror or ""
    elif type(error).__module__.startswith("tensorflow."):  # which is not imported here
        name = str(error)
        # "{{...}} FILE; REASON [Op:...]"
        reason = name.rpartition(temporary)[2].partition("; ")[2].partition(" [Op:")[0]
        code = next((n for n in errno.errorcode if os.strerror(n) == reason), None)
    else:
        return None
    found = re.search(rf"{re.escape(temporary)}(?:/+([^/;\s]*))?(?=[/;\s]|$)", name)
    return (code, reason, found[1] or "") if found and reason else None
