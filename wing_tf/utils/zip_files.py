"""Reading of zip archives from outside, within limits of size."""

import contextlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator

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
