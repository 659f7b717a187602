"""Watchdog: a process that ends another one which makes no progress.

It is a process of its own because a thread can't run while TensorFlow waits for other workers in
native code, which holds Python's lock. `Watchdog` runs this file as its script.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys


class Watchdog:
    """Kills this process, after one line on standard error, when it makes no progress.

    Args:
        timeout_seconds: Maximum number of seconds between two calls of `report_progress`, and
            between the first one and the construction.
        message: The line.
    """

    def __init__(self, timeout_seconds: float, message: str):
        command = [sys.executable, "-I", __file__, str(os.getpid()), str(timeout_seconds), message]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0)

    def report_progress(self) -> None:
        """Starts the timeout again."""
        stdin = self._process.stdin
        if stdin is not None and not stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                stdin.write(b".")

    def close(self) -> None:
        """Ends the watchdog."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def _watch(process: int, timeout_seconds: float, message: str) -> None:
    """Waits for the end of standard input, which ends with the process that writes to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while select.select([0], [], [], timeout_seconds)[0]:
        if not os.read(0, 4096):
            return
    os.write(2, f"{message}\n".encode())
    os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    _watch(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
