"""Calls in a child process: crashes, errors, idle children, forks and the end of the parent."""

import builtins
import hashlib
import io
import operator
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from waiting import is_running, wait_until

from wing_tf.utils import child_process
from wing_tf.utils.child_process import call_in_child, trust, try_in_child
from wing_tf.utils.hdf5_files import check_weights


def _call(function, *arguments):
    return call_in_child(function, *arguments, path="a.bin", reader="its library")


def test_child_serves_calls_until_one_crashes_it():
    first = _call(os.getpid)
    assert first not in (os.getpid(), None)
    assert _call(os.getpid) == first
    for signal_number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL):
        with pytest.raises(ValueError, match=r"^a\.bin is damaged: it crashes its library, or"):
            _call(signal.raise_signal, signal_number)
    assert _call(os.getpid) not in (os.getpid(), first)


def test_child_that_runs_for_too_long_is_ended(monkeypatch):
    first = _call(os.getpid)
    monkeypatch.setattr(child_process, "_LIMIT_S", 0.2)
    with pytest.raises(ValueError, match=r"^a\.bin is damaged: .* or more than 0\.2 seconds\."):
        _call(time.sleep, 600)
    monkeypatch.undo()
    assert _call(os.getpid) != first


def test_child_that_ended_while_it_was_idle_is_replaced():
    first = _call(os.getpid)
    child_process._child.process.kill()
    child_process._child.process.wait()
    assert _call(os.getpid) != first


def test_errors_keep_their_kind_and_have_one_line():
    with pytest.raises(ValueError, match="invalid literal"):
        _call(int, "x\ny")
    with pytest.raises(OSError, match="No such file"):
        _call(os.stat, "/absent")
    with pytest.raises(ImportError, match="No module named 'absent'"):
        _call(__import__, "absent")
    with pytest.raises(ValueError, match="modulo by zero"):
        _call(divmod, 1, 0)
    with pytest.raises(ValueError, match="can't pickle|cannot pickle"):
        _call(builtins.open, os.devnull)


def test_what_a_library_prints_is_no_answer():
    assert _call(os.write, 1, b"noise") == 5
    assert _call(len, [1, 2]) == 2


def test_arrays_are_returned():
    values = np.arange(3_000_000, dtype=np.float64)
    np.testing.assert_array_equal(_call(np.flip, values), values[::-1])


def test_trusted_contents_are_not_tried():
    content = os.urandom(9)
    refuse = operator.concat  # of bytes and the path, which is not possible
    with pytest.raises(ValueError, match="can't concat str to bytes"):
        try_in_child(refuse, content, "a.bin", reader="its library")
    trust(hashlib.sha256(content).hexdigest())
    try_in_child(refuse, content, "a.bin", reader="its library")


def test_forked_process_has_a_child_of_its_own():
    own = _call(os.getpid)
    pid = os.fork()
    if not pid:
        os._exit(_call(os.getppid) != os.getpid())
    assert os.waitpid(pid, 0)[1] == 0
    assert _call(os.getpid) == own


_SCRIPT = """
import os, sys
from wing_tf.utils.child_process import call_in_child
print(call_in_child(os.getpid, path="a.bin", reader="its library"), flush=True)
if sys.argv[1:]:
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("arguments", [[], ["killed"]])
def test_child_of_a_script_without_a_main_guard_ends_with_it(tmp_path, arguments):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    command = [sys.executable, "-W", "error", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == (-signal.SIGKILL if arguments else 0)
    assert done.stderr == ""
    wait_until(lambda: not is_running(int(done.stdout)))


@pytest.mark.parametrize("module", ["pickle", "struct", "queue"])
def test_modules_in_the_current_folder_are_not_run(tmp_path, module):
    (tmp_path / "script.py").write_text(_SCRIPT)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{module}.py").write_text("open('was_run', 'w')")
    subprocess.run([sys.executable, tmp_path / "script.py"], cwd=elsewhere, check=True)
    assert not (elsewhere / "was_run").exists()


def test_program_that_is_not_python_is_not_started(monkeypatch):
    monkeypatch.setattr(child_process, "_child", None)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(OSError, match=r"can't run Python code.*set_executable\.$"):
        _call(os.getpid)


def _weights(add):
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened["layers/vars/0"] = np.ones((3, 4), np.float32)
        add(opened)
    return file.getvalue()


def _external(opened):
    opened.create_dataset("layers/vars/1", (3,), "f4", external=[("/etc/passwd", 0, 12)])


def _link(link):
    def add(opened):
        opened["layers/vars/1"] = link

    return add


def _cycle(opened):
    opened["layers/vars/again"] = opened["layers"]


WEIGHTS = {
    "link": (_link(h5py.ExternalLink("/etc/passwd", "x")), "1 in /layers/vars is a link"),
    "soft link": (_link(h5py.SoftLink("/layers/vars/0")), "1 in /layers/vars is a link"),
    "storage": (_external, "/layers/vars/1 has its values in another file"),
    "huge": (lambda f: f.create_dataset("x", (2**40,), "f4"), "bytes unpack to 4398046511"),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_outside_of_their_file_are_refused(tmp_path, kind):
    path = tmp_path / "a.weights.h5"
    path.write_bytes(_weights(_cycle))
    check_weights(path)
    add, message = WEIGHTS[kind]
    path.write_bytes(_weights(add))
    with pytest.raises(ValueError, match=rf"a\.weights\.h5 has damaged weights: .*{message}"):
        check_weights(path)
