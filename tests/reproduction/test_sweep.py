import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from wing_tf.reproduction.sweep import finish_cells
from wing_tf.reproduction.table import Cell
from wing_tf.utils.file_lock import LockedError, locked

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("holder", ["dies", "finishes"])
def test_second_stage_waits_for_the_first_stage_of_another_process(holder, tmp_path, capsys):
    first, second, other = Cell(name="a"), Cell(name="b", first_stage="a"), Cell(name="c")
    lock = contextlib.ExitStack()
    order = []

    def finish(cell, seed):
        order.append(cell.name)
        with pytest.raises(LockedError), locked(tmp_path / f"{cell.name}{seed}.lock"):
            pass
        if cell is other:  # meanwhile, in the other process
            if holder == "finishes":
                (tmp_path / "a0").touch()
            lock.close()
        (tmp_path / f"{cell.name}{seed}").touch()
        return False

    with lock:
        lock.enter_context(locked(tmp_path / "a0.lock"))
        finish_cells(
            [(first, 0), (second, 0), (other, 0)],
            path=lambda name, seed: tmp_path / f"{name}{seed}",
            finish=finish,
        )
    assert order == {"dies": ["c", "a", "b"], "finishes": ["c", "b"]}[holder]
    assert capsys.readouterr().out == "a, seed 0: another process trains it.\n"
    assert {path.name for path in tmp_path.iterdir()} == {"a0", "b0", "c0"}


def _read_until(process, pattern):
    """Returns the first match in the lines that a process prints, and all up to it."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if match := re.search(pattern, line):
            return match, "".join(lines)
    raise AssertionError("".join(lines))


@pytest.mark.slow
def test_three_processes_train_each_cell_once_when_one_is_killed(synthetic_records, tmp_path):
    """One is stopped in its first cell, and killed when both others have seen that it is taken.

    The others start after the stop: else they could finish all cells before the first one begins.
    """
    cells = ("cnn6 l2 pdb", "cnn6 wing pdb", "cnn6/7 wing pdb")
    command = [
        sys.executable, "-m", "wing_tf.cli.reproduce", "--table=wing_pdb", "--epochs=1",
        f"--data={synthetic_records}", f"--output={tmp_path}", f"--cells={','.join(cells)}",
        "--normalizer=box", "--second_stage_width=0.1", "--set=model.width=0.1",
        "--set=two_stage.margin=1.3", "--set=jit_compile=off", "--set=num_images=0",
        "--trainings_per_process=1",
    ]  # fmt: skip
    options = {"cwd": ROOT, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "text": True}
    with contextlib.ExitStack() as stack:

        def start_process():
            process = stack.enter_context(
                subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
                )
            )
            stack.callback(process.kill)
            return process

        killed = start_process()
        start, _ = _read_until(killed, r"^(.+), seed 0: 1 epochs")
        killed.send_signal(signal.SIGSTOP)
        others = [start_process() for _ in range(2)]
        taken = f"{re.escape(start[1])}, seed 0: another process trains it"
        output = [_read_until(process, taken)[1] for process in others]
        killed.kill()
        output += [process.communicate()[0] for process in others]
    assert [process.returncode for process in others] == [0, 0], output
    trained = re.findall(r"^(.+), seed 0: 1 epochs", "".join(output), re.MULTILINE)
    assert sorted(trained) == sorted(cells)
    files = {path.name for path in (tmp_path / "cells").iterdir()}
    assert files == {f"{cell.replace('/', '-').replace(' ', '_')}_seed0.json" for cell in cells}
    rows = json.loads((tmp_path / "table.json").read_text())["tests"]["test"]
    assert {row["cell"] for row in rows} == set(cells)
    assert not list(tmp_path.rglob("*.lock"))
