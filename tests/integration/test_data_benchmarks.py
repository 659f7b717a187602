"""The benchmarks of the input pipeline and of training at scale, on a few rendered faces."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"


def _run(name, records):
    command = [sys.executable, str(BENCHMARKS / name), f"--records={records}", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cannot pin processes to cores")
@pytest.mark.skipif(os.cpu_count() < 2, reason="needs two cores")
def test_input_pipeline_benchmark_prints_all_ratios(synthetic_records):
    output = _run("input_pipeline.py", synthetic_records)
    for name in (
        "wing_tf from files",
        "wing_tf from memory",
        "CNN-6 float32 step",
        "... and parsed",
    ):
        assert name in output
    ratios = [line for line in output.splitlines() if line.startswith("ratio")]
    assert ratios[-1].startswith("ratio: ")
    assert all(float(line.split(": ")[1]) > 0 for line in ratios)


@pytest.mark.slow
def test_scale_benchmark_derives_what_hosts_need(synthetic_records):
    small, large = _run("scale.py", synthetic_records).split("\n\n")[1:3]
    # CNN-6: .481 GFLOP per face, so that 8 GPUs at 30 % of 312 TFLOP/s take 1.56 million faces/s.
    assert "0.481 GFLOP per face and train step" in small
    (one, eight) = re.findall(r"wanted: (\d+) faces/s per host", small)
    assert one == eight
    assert int(one) == pytest.approx(8 * 0.3 * 312e3 / 0.481, rel=2e-3)
    # 24.1 million parameters of 4 bytes; 14 eighths of them for 8 GPUs or hosts.
    assert "gradients 96.4 MB" in large
    assert large.count("added up: 168.7 MB per ") == 2
    assert "of it in Python" in large
    assert "of it in Python" not in small
