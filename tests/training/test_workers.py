"""Two workers on one machine, each in a process of its own."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from training_runs import run_result
from waiting import LIMIT_S, wait_until
from worker_runs import make_config

from wing_tf.training import watchdog
from wing_tf.training.config import default_config
from wing_tf.training.run import train
from wing_tf.training.run_folder import RunFolder

TESTS = pathlib.Path(__file__).parents[1]
SCRIPT = TESTS / "worker_runs.py"
NAMES = ("cached", "files", "adamw", "sigma", "second")


def _environment(**variables):
    return {
        **os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}",
        **variables,
    }  # fmt: skip


@contextlib.contextmanager
def _launched(command, folder, *, workers=(0, 1), lose=None):
    """Starts workers of a cluster of two; yields their processes, and kills what is left.

    `lose` has the moments at which workers are lost, by their index; see worker_runs.py.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        cluster = {"worker": ["{}:{}".format(*one.getsockname()) for one in sockets]}
    folder.mkdir(exist_ok=True)
    processes = []
    for index in workers:
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        with (folder / f"worker{index}.txt").open("w") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, *map(str, command)], stdout=log, stderr=subprocess.STDOUT,
                    env=_environment(TF_CONFIG=json.dumps(task), LOSE=(lose or {}).get(index, "")),
                )
            )  # fmt: skip
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _lines(folder, index):
    return (folder / f"worker{index}.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def runs(synthetic_records, tmp_path_factory):
    """The folders of the trainings by this process, and of those by two workers."""
    folder = tmp_path_factory.mktemp("workers")
    one, two = folder / "one", folder / "two"
    for name in NAMES:
        train(make_config(name, synthetic_records), one / name)
    command = [SCRIPT, two, synthetic_records, *NAMES]
    with _launched(command, folder / "logs") as processes:
        for process, index in zip(processes, (0, 1), strict=True):
            assert process.wait(LIMIT_S) == 0, _lines(folder / "logs", index)[-5:]
    # Only the first worker prints; TensorFlow may, that compiling is slow on a loaded machine.
    assert not [line for line in _lines(folder / "logs", 1) if re.search("epoch|Trained", line)]
    return one, two


@pytest.mark.slow
@pytest.mark.multi_device
@pytest.mark.parametrize("name", ["cached", "files"])
def test_two_workers_train_as_one_process(name, runs):
    """Twenty steps of SGD with clipping, augmentation, and pose balance by both uses."""
    (one, one_log), (two, two_log) = (run_result(folder / name) for folder in runs)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    for column in one_log:
        np.testing.assert_allclose(one_log[column], two_log[column], rtol=1e-5)
    moved = [np.abs(bias).max() for bias in one[1:12:2]]  # biases start at 0
    assert max(moved) > 2e-4


@pytest.mark.slow
@pytest.mark.multi_device
@pytest.mark.parametrize("name", ["adamw", "sigma", "second"])
def test_two_workers_score_as_one_process(name, runs):
    """AdamW and moving averages; sigmas under a limit of time, with batch norm; a second stage.

    Both draw maps of the same sigma: a cross entropy is in proportion to what is drawn.
    """
    (_, one), (_, two) = (run_result(folder / name) for folder in runs)
    assert one["epoch"] == two["epoch"] == list(range(1 if name == "second" else 3))
    # The maxima of untrained heatmaps jump where rounding differs, but their loss does not.
    column = "loss" if name == "sigma" else "val_nme"
    np.testing.assert_allclose(two[column], one[column], rtol=1e-3)
    if name == "sigma":
        assert one["sigma"] == two["sigma"] == [1.0, 1.0, 0.5]


@pytest.mark.slow
@pytest.mark.multi_device
def test_all_workers_say_what_differs(runs):
    _, two = runs
    message = "All workers must have the same {}. 1 of 2 differ from the first worker."
    assert {path.name: path.read_text() for path in two.glob("differing*.txt")} == {
        "differing0.txt": message.format("index"),
        "differing1.txt": message.format("index"),
        "differing_records0.txt": message.format("records"),
        "differing_records1.txt": message.format("records"),
    }


@pytest.mark.slow
@pytest.mark.multi_device
def test_training_resumes_after_any_worker_was_lost(runs, synthetic_records, tmp_path):
    """Killed twice and stopped once: the other worker ends with one line."""
    command, logs = [SCRIPT, tmp_path / "run", synthetic_records, "adamw"], tmp_path / "logs"
    losses = [(1, signal.SIGKILL, 0, 2), (0, signal.SIGSTOP, 1, 5), (0, signal.SIGKILL, 1, 0)]
    for lost, signal_number, epoch, step in losses:
        moment = f"{signal_number:d} {epoch} {step}"
        with _launched(command, logs, lose={lost: moment}) as processes:
            assert processes[1 - lost].wait(LIMIT_S), "The worker was not lost."
        assert "has lost another one" in _lines(logs, 1 - lost)[-1]
    with _launched(command, tmp_path / "logs") as processes:
        for process, index in zip(processes, (0, 1), strict=True):
            assert process.wait(LIMIT_S) == 0, _lines(tmp_path / "logs", index)[-5:]
    (whole, log), (resumed, resumed_log) = (
        run_result(folder / "adamw") for folder in (runs[1], tmp_path / "run")
    )
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    for column in log:
        np.testing.assert_allclose(resumed_log[column], log[column], rtol=1e-6)


def _train_command(records, folder, *flags):
    return [
        "-m", "wing_tf.cli.train", f"--config={TESTS.parent / 'configs' / 'smoke.py'}",
        f"--workdir={folder}", f"--config.data.path={records}", "--config.jit_compile=off", *flags,
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.multi_device
def test_worker_ends_if_another_is_not_started(synthetic_records, tmp_path):
    command = _train_command(synthetic_records, tmp_path / "run", "--worker_timeout=2")
    with _launched(command, tmp_path, workers=[1]) as (process,):
        assert process.wait(LIMIT_S) == -signal.SIGKILL
    # A process that outlives the worker copies its standard error.
    wait_until(lambda: _lines(tmp_path, 1))
    assert _lines(tmp_path, 1) == [
        "error: Worker 1 of 2 has made no progress for 2 seconds: a worker hangs, or does not run. "
        "Start all workers again to resume; --worker_timeout sets the seconds."
    ]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.multi_device
def test_second_launch_into_a_run_folder_is_refused(synthetic_records, tmp_path):
    run = tmp_path / "run"
    with contextlib.closing(RunFolder(run)) as first:
        first.open(default_config())
        with _launched(_train_command(synthetic_records, run), tmp_path) as processes:
            assert [process.wait(LIMIT_S) for process in processes] == [1, 1]
    holds = f"error: Another process is writing to this folder: it holds {run / '.lock'}. "
    holds += "Wait until it ends, or name another folder."
    assert _lines(tmp_path, 0) == [holds]
    assert _lines(tmp_path, 1) == [
        "error: The first worker has ended with an error, which its output has."
    ]


_SILENT = """
import sys, time
sys.path.insert(0, sys.argv[1])
import watchdog
dog = watchdog.Watchdog({"hangs": 1.0, "ends": 600.0}[sys.argv[3]], "error: no progress")
for _ in range(int(sys.argv[2])):
    time.sleep(0.01)
    dog.report_progress()
if sys.argv[3] == "ends":
    dog.close()
else:
    time.sleep(60)
"""


@pytest.mark.parametrize("last", ["hangs", "ends"])
def test_watchdog_ends_a_process_that_hangs(last):
    done = subprocess.run(
        [sys.executable, "-c", _SILENT, pathlib.Path(watchdog.__file__).parent, "5", last],
        capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    hung = last == "hangs"
    assert done.returncode == (-signal.SIGKILL if hung else 0)
    assert done.stderr == ("error: no progress\n" if hung else "")
