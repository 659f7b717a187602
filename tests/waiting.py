"""Waiting for other threads and processes."""

import pathlib
import time

LIMIT_S = 3600  # of what hangs; on a loaded machine, processes may take minutes to start


def wait_until(condition):
    """Waits until a function returns true, however long that takes on a loaded machine."""
    limit = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < limit, "it hangs"
        time.sleep(0.01)


def is_running(pid):
    """Returns whether there is a process that has not ended, as Linux shows it."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] != "Z"
