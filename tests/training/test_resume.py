"""Trainings that are resumed in another process."""

import numpy as np
import pytest
from training_runs import run_python, run_result, train_run

MODES = ("default", "bfloat16", "refined", "hourglass", "decreasing", "limited_decreasing")


@pytest.fixture(scope="module")
def folder(synthetic_records, tmp_path_factory):
    """The folder of the trainings, and of those that one other process has resumed."""
    folder = tmp_path_factory.mktemp("resumed")
    for mode in MODES:
        train_run(mode, folder, synthetic_records)
        assert _backups(folder / "killed" / mode) == ["epoch-000001.weights.h5"]
    run_python("training_runs.py", 1, folder / "killed", synthetic_records, *MODES)
    return folder


def _backups(run):
    return [path.name for path in (run / "backup").iterdir()]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_resumed_training_equals_uninterrupted(mode, folder):
    """AdamW, clipping, warm-up and EMA; the compared weights are the averaged ones.

    The resumed one continues the files that the other had written in its second epoch. That a
    training which is killed at any moment is resumed exactly is tested by tests/test_kills.py.
    """
    _assert_equal(folder / mode, folder / "killed" / mode)


@pytest.mark.slow
@pytest.mark.multi_device
def test_resumed_training_of_two_devices_equals_uninterrupted(synthetic_records, tmp_path):
    killed = tmp_path / "killed"
    run_python("training_runs.py", 2, tmp_path, synthetic_records, "plain")
    assert _backups(killed / "plain") == ["epoch-000001.weights.h5"]
    run_python("training_runs.py", 2, killed, synthetic_records, "plain")
    _assert_equal(tmp_path / "plain", killed / "plain")


def _assert_equal(run, resumed_run):
    (weights, log), (resumed, resumed_log) = run_result(run), run_result(resumed_run)
    assert log["epoch"] == resumed_log["epoch"] == [0, 1, 2]
    for a, b in zip(weights, resumed, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    np.testing.assert_allclose(resumed_log["val_nme"], log["val_nme"], rtol=1e-5)
