"""Lock of a file between processes."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def locked(path: pathlib.Path) -> Iterator[None]:
    """Holds a lock on a file in an output folder, or beside it, that ends with the process.

    The file is created, and removed at the end. File systems without locks are not locked.

    Args:
        path: The file. Its folder must exist.

    Raises:
        ValueError: If another process holds the lock.
    """
    with path.open("w") as file:
        message = f"Another process is writing to this folder: it holds {path}."
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(message) from None
        except OSError:  # a file system without locks
            pass
        # The holder may have removed the file after it was opened here; others lock a new file.
        if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            raise ValueError(message)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
