"""Zip archives: reading those from outside, within limits of size, and adding members."""

import contextlib
import io
import os
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping

from wing_tf.utils.atomic import atomic_path
from wing_tf.utils.local_path import local_path

# What `zipfile` raises for damaged archives, beside its own kind.
_ERRORS = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, IndexError, KeyError, OSError,
    OverflowError, RuntimeError, ValueError,
)  # fmt: skip
# LZMA and bzip2, which no model file has, unpack to far more.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ALWAYS_ALLOWED, _MAX_RATIO = 1 << 26, 20

MAX_UNPACKED_BYTES = 1 << 34
"""Size of the largest member that any reader takes."""


class NotAnArchiveError(ValueError):
    """A file has no zip archive at its end."""


@contextlib.contextmanager
def open_archive(
    path: str | os.PathLike, content: bytes | None = None
) -> Iterator[zipfile.ZipFile]:
    """Opens a zip archive for a block that only reads its members.

    Args:
        path: The file.
        content: Its content where it has been read already.

    Raises:
        NotAnArchiveError: If it is not an archive.
        ValueError: If it is damaged, or if its members unpack to more than 64 MiB and to more than
            20 times its size. All messages name the file.
        OSError: If it can't be opened.
    """
    with local_path(path).open("rb") if content is None else io.BytesIO(content) as file:
        if not zipfile.is_zipfile(file):
            raise NotAnArchiveError(f"{path} is not a zip archive, or its end is missing.")
        try:
            with zipfile.ZipFile(file) as archive:
                _check(archive, file.seek(0, io.SEEK_END))
                yield archive
        except _ERRORS as error:
            raise ValueError(f"{path} is a damaged zip archive: {error}.") from None


def read_member(
    path: str | os.PathLike, name: str, content: bytes | None = None, *, max_bytes: int
) -> bytes | None:
    """Returns one member of a zip archive, None if it has no such member; see `open_archive`.

    Raises:
        NotAnArchiveError: If the file is not an archive.
        ValueError: If it is damaged, or if the member is larger than ``max_bytes``.
        OSError: If it can't be opened.
    """
    with open_archive(path, content) as archive:
        if name not in archive.NameToInfo:
            return None
        size = archive.getinfo(name).file_size
        if size > max_bytes:
            raise ValueError(f"{name} in it has {size} bytes, at most {max_bytes} were expected")
        return archive.read(name)


def attach_files(path: str | os.PathLike, files: Mapping[str, str]) -> None:
    """Adds texts by name to a file's zip archive, or appends one to a file without.

    ``unzip -l model.tflite`` lists them.
    """
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


def replace_member(path: str | os.PathLike, name: str, text: str) -> None:
    """Replaces one member of a file's zip archive atomically; all else stays the same."""
    with open_archive(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    start = min(info.header_offset for info, _ in members)
    with atomic_path(path) as temporary:
        temporary.write_bytes(pathlib.Path(path).read_bytes()[:start])
        with zipfile.ZipFile(temporary, "a") as archive:
            for info, content in members:
                archive.writestr(info, text if info.filename == name else content)


def max_unpacked_bytes(num_bytes: int) -> int:
    """Returns how many bytes a file of a size may unpack to: 64 MiB, or 20 times its own."""
    return max(_ALWAYS_ALLOWED, _MAX_RATIO * num_bytes)


def _check(archive: zipfile.ZipFile, num_bytes: int) -> None:
    members = archive.infolist()
    for member in members:
        if member.compress_type not in _METHODS:
            raise ValueError(f"{member.filename!r:.60} is compressed by an unknown method")
    total = sum(member.file_size for member in members)
    if total > max_unpacked_bytes(num_bytes):
        raise ValueError(f"its {num_bytes} bytes unpack to {total}")
