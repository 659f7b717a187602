"""Trainings that are resumed in another process."""

import numpy as np
import pytest
from training_runs import run_python, run_result, train_run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "devices"),
    [
        ("compiled", 1),
        ("default", 1),
        ("bfloat16", 1),
        ("refined", 1),
        ("hourglass", 1),
        ("visible", 1),
        ("decreasing", 1),
        ("limited_decreasing", 1),
        pytest.param("plain", 2, marks=pytest.mark.multi_device),
    ],
)
def test_resumed_training_equals_uninterrupted(mode, devices, synthetic_records, tmp_path):
    """AdamW, clipping, warm-up and EMA; the compared weights are the averaged ones.

    The resumed one continues the files that the other had written in its second epoch. That a
    training which is killed at any moment is resumed exactly is tested by tests/test_kills.py.
    """
    if devices == 1:
        train_run(mode, tmp_path, synthetic_records)
    else:
        run_python("training_runs.py", devices, tmp_path, synthetic_records, mode)
    killed = tmp_path / "killed"
    assert [path.name for path in (killed / mode / "backup").iterdir()] == [
        "epoch-000001.weights.h5"
    ]
    run_python("training_runs.py", devices, killed, synthetic_records, mode)
    (weights, log), (resumed, resumed_log) = run_result(tmp_path / mode), run_result(killed / mode)
    assert log["epoch"] == resumed_log["epoch"] == [0, 1, 2]
    for a, b in zip(weights, resumed, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    np.testing.assert_allclose(resumed_log["val_nme"], log["val_nme"], rtol=1e-5)
