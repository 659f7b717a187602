"""The benchmark of the train step, run to its end; without PyTorch it has no ratios."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "benchmarks" / "train_step.py"


@pytest.mark.slow
@pytest.mark.parametrize("network", ["cnn6", "hourglass"])
def test_train_step_benchmark_runs_to_its_end(network):
    command = [sys.executable, str(SCRIPT), f"--network={network}", "--quick", "--processor_time"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.replace("\r", "\n").splitlines()]
    rates = [float(line[2]) for line in lines if line[:1] == ["8"] and "compiled" not in line]
    assert rates
    assert min(rates) > 0
    if importlib.util.find_spec("torch"):
        assert lines[-1][0] == "ratio:"
        assert float(lines[-1][1]) > 0
