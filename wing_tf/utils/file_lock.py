"""Lock of a file between processes."""

import contextlib
import errno
import fcntl
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import IO

_POLL_SECONDS = 0.5
_MAX_POLLS = 20


class LockedError(ValueError):
    """Another process holds a lock."""


@contextlib.contextmanager
def locked(path: pathlib.Path, *, wait: bool = False) -> Iterator[IO[str] | None]:
    """Holds a lock on a file in an output folder, or beside it, that ends with the process.

    The file is created, and removed at the end.

    Args:
        path: The file. Its folder must exist.
        wait: Wait for the lock while another process holds it.

    Yields:
        The open file, with what a killed process has written to it. None on a file system without
        locks, where nothing is locked.

    Raises:
        LockedError: If another process holds the lock, without `wait`.
    """
    while (file := _open_locked(path, fcntl.LOCK_EX)) is None:
        if not wait:
            raise _locked_error(path)
        time.sleep(_POLL_SECONDS)
    with file:
        try:
            yield file if _has_locks(file) else None
        finally:
            with contextlib.suppress(OSError):  # which would hide the error of the block
                path.unlink()


@contextlib.contextmanager
def shared(path: pathlib.Path, *, when_alone: Callable[[], None]) -> Iterator[None]:
    """Holds a lock on a file that any number of processes share, and that excludes `locked`.

    Args:
        path: The file. Its folder must exist.
        when_alone: Called if no other process holds the lock, before another one can take it.

    Raises:
        LockedError: If a process holds the lock for itself alone.
    """
    for _ in range(_MAX_POLLS):  # another process may be in its `when_alone`
        if (file := _open_locked(path, fcntl.LOCK_EX)) is not None:
            if _has_locks(file):
                when_alone()
                fcntl.flock(file, fcntl.LOCK_SH)
            break
        if (file := _open_locked(path, fcntl.LOCK_SH)) is not None:
            break
        time.sleep(_POLL_SECONDS)
    else:
        raise _locked_error(path)
    with file:
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # the last process removes it
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)


def _locked_error(path: pathlib.Path) -> LockedError:
    return LockedError(
        f"Another process is writing to this folder: it holds {path}. Wait until it ends, or name "
        "another folder."
    )


def _has_locks(file: IO[str]) -> bool:
    """Returns whether a locked file is on a file system with locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held already: nothing changes
    except OSError:
        return False
    return True


def _open_locked(path: pathlib.Path, kind: int) -> IO[str] | None:
    """Returns the open and locked file, or None if another process holds the lock."""
    # Network file systems lock only what can be read and written.
    file = open(path, "a+", opener=_open_no_link)
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
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


def _open_no_link(path: str, flags: int) -> int:
    # The file is emptied: a link could lead to any other one.
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)
