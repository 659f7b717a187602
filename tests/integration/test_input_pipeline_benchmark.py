"""The input pipeline benchmark on a few rendered faces."""

import os
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "benchmarks" / "input_pipeline.py"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cannot pin processes to cores")
@pytest.mark.skipif(os.cpu_count() < 2, reason="needs two cores")
def test_input_pipeline_benchmark_prints_all_ratios(synthetic_records):
    command = [
        sys.executable, str(SCRIPT), f"--records={synthetic_records}", "--repeats=1",
        "--seconds=0.05",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("wing_tf from files", "wing_tf from memory", "CNN-6 float32 step"):
        assert name in done.stdout
    ratios = [line for line in done.stdout.splitlines() if line.startswith("ratio")]
    assert ratios[-1].startswith("ratio: ")
    assert all(float(line.split(": ")[1]) > 0 for line in ratios)
