import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import runs


def _run(name, folder, records, status=0):
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(pathlib.Path(__file__).with_name("runs.py")), name, folder, records],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(root)},
    )
    assert done.returncode == status, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["exact", "compiled"])
def test_killed_and_resumed_is_uninterrupted(mode, synthetic_records, tmp_path):
    _run(mode, tmp_path / "whole", synthetic_records)
    _run(f"{mode}-killed", tmp_path / "broken", synthetic_records, status=9)
    assert len(list((tmp_path / "broken" / "backup").glob("epoch-000001*"))) == 1
    _run(mode, tmp_path / "broken", synthetic_records)
    whole, whole_log = runs.final_weights(tmp_path / "whole")  # with EMA: the averaged weights
    broken, broken_log = runs.final_weights(tmp_path / "broken")
    assert whole_log[:, 0].tolist() == [0, 1, 2]
    for a, b in zip(whole, broken, strict=True):
        if mode == "exact":
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, atol=1e-6)
    np.testing.assert_allclose(broken_log, whole_log, rtol=0 if mode == "exact" else 1e-5)


@pytest.mark.slow
@pytest.mark.multi_device
def test_two_replicas_train_as_one(synthetic_records, tmp_path):
    for devices in (1, 2):
        _run(f"steps{devices}", tmp_path / str(devices), synthetic_records)
    one, one_log = runs.final_weights(tmp_path / "1")
    two, two_log = runs.final_weights(tmp_path / "2")
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(one_log, two_log, rtol=1e-4)
    assert np.abs(one[0]).max() > 0.01
