"""Child processes whose parent is killed."""

import os
import signal
import subprocess
import sys

import pytest
from waiting import is_running, wait_until

_SCRIPT = """
import concurrent.futures, ctypes, multiprocessing, os, pathlib, signal, sys
from wing_tf.utils.parent_watch import end_with_parent
def work(kind, path):
    pathlib.Path(path).write_text(str(os.getpid()))
    # PyDLL keeps Python's lock, as native code does that never returns.
    (ctypes.PyDLL if kind == "native" else ctypes.CDLL)(None).sleep(600)
if __name__ == "__main__":
    pool = concurrent.futures.ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), initializer=end_with_parent
    )
    pool.submit(work, *sys.argv[1:])
    path = pathlib.Path(sys.argv[2])
    while not (path.exists() and path.read_text()):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["python", "native"])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks up processes in /proc")
def test_worker_ends_when_its_parent_is_killed(kind, tmp_path):
    script, file = tmp_path / "script.py", tmp_path / "pid"
    script.write_text(_SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, script, kind, file], env=environment)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: not is_running(file.read_text()))
