"""Commands that are killed and started again give what an uninterrupted run gives."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import killed
import pytest


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks beside TensorFlow")
@pytest.mark.parametrize("kind", killed.COMMANDS)
def test_killed_run_is_repeated_or_resumed(kind, tmp_path):
    tests = pathlib.Path(killed.__file__).parent
    (tmp_path / "tmp").mkdir()  # what killed converters leave there
    done = subprocess.run(
        [sys.executable, killed.__file__, kind, tmp_path, "0"],
        capture_output=True,
        text=True,
        env={
            **os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1",
            "TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}",
            # No thread may run before the forks.
            "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
        },
    )  # fmt: skip
    assert not done.returncode, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    signals = [number for number, _ in report["killed"]]
    assert signals.count(signal.SIGKILL) == killed.NUM_KILLS
    assert signals.count(signal.SIGXFSZ) == killed.NUM_CUTS
    # They span the run.
    places = [seen / report["events"] for _, seen in report["killed"]]
    assert len(set(places)) > killed.NUM_KILLS / 2
