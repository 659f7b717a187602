"""Child processes that end with the process that started them."""

import contextlib
import fcntl
import multiprocessing
import multiprocessing.connection
import os
import threading


def end_with_parent() -> None:
    """Lets this process end when the process that started it ends, even if that is killed.

    For processes that `multiprocessing` starts by "spawn". Call it first, such as in the
    initializer of a pool.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = int(parent.sentinel)  # a pipe that ends with the parent
    threading.Thread(target=_wait_for_end, args=(sentinel,), daemon=True).start()
    # The thread can't run while native code holds Python's lock. On Linux the kernel reports the
    # end of the pipe by SIGIO, whose default action ends the process; where pipes have no signals,
    # the thread alone ends it.
    if hasattr(os, "O_ASYNC"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(sentinel, fcntl.F_SETOWN, os.getpid())
            flags = fcntl.fcntl(sentinel, fcntl.F_GETFL)
            fcntl.fcntl(sentinel, fcntl.F_SETFL, flags | os.O_ASYNC)


def _wait_for_end(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
