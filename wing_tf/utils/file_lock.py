"""Lock of a file between processes."""

import contextlib
import errno
import fcntl
import os
import pathlib
import time
from collections.abc import Iterator
from typing import IO

_POLL_SECONDS = 0.5


class LockedError(ValueError):
    """Another process holds a lock."""


@contextlib.contextmanager
def locked(path: pathlib.Path, *, wait: bool = False) -> Iterator[None]:
    """Holds a lock on a file in an output folder, or beside it, that ends with the process.

    The file is created, and removed at the end. File systems without locks are not locked.

    Args:
        path: The file. Its folder must exist.
        wait: Wait for the lock while another process holds it.

    Raises:
        LockedError: If another process holds the lock, without `wait`.
    """
    while (file := _open_locked(path)) is None:
        if not wait:
            raise LockedError(f"Another process is writing to this folder: it holds {path}.")
        time.sleep(_POLL_SECONDS)
    with file:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _open_locked(path: pathlib.Path) -> IO[str] | None:
    """Returns the open and locked file, or None if another process holds the lock."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lost = False
    except OSError as error:  # except for these two, a file system without locks
        lost = isinstance(error, BlockingIOError) or error.errno == errno.ESTALE
    try:
        # The holder may have removed the file after it was opened here; others lock a new file.
        lost = lost or not os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        lost = True
    if lost:
        file.close()
        return None
    return file
