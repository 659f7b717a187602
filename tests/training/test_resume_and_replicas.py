import csv
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import wing_tf.layers  # noqa: F401  (two-stage files hold its layers)

RUNS = pathlib.Path(__file__).with_name("runs.py")


def _run(name, folder, records, status=0):
    tests = RUNS.parents[1]
    done = subprocess.run(
        [sys.executable, str(RUNS), name, folder, records],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}",
        },
    )
    assert done.returncode == status, done.stderr[-3000:]


def _result(folder):
    """The weights of the last network, and the logged epochs and validation scores."""
    network = keras.saving.load_model(folder / "checkpoints" / "last.keras")
    with (folder / "metrics.csv").open() as file:
        rows = [(float(row["epoch"]), float(row["val_nme"])) for row in csv.DictReader(file)]
    return network.get_weights(), np.array(rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "tolerance"),
    [
        ("exact", 0.0),
        ("compiled", 1e-6),
        ("default", 1e-6),
        ("bfloat16", 1e-6),
        ("refined", 1e-6),
        ("stacks", 1e-6),
        ("decreasing", 1e-6),
        pytest.param("mirrored", 1e-6, marks=pytest.mark.multi_device),
    ],
)
def test_resumed_training_equals_uninterrupted(mode, tolerance, synthetic_records, tmp_path):
    """AdamW, clipping, warm-up and EMA; the compared weights are the averaged ones."""
    _run(mode, tmp_path / "whole", synthetic_records)
    broken = tmp_path / "broken"
    _run(f"{mode}-0", broken, synthetic_records, status=9)  # in its first epoch
    assert list((broken / "backup").iterdir()) == []
    _run(f"{mode}-1", broken, synthetic_records, status=9)  # in its second epoch
    assert [path.name for path in (broken / "backup").iterdir()] == ["epoch-000001.weights.h5"]
    _run(mode, broken, synthetic_records)
    (weights, log), (resumed, resumed_log) = _result(tmp_path / "whole"), _result(broken)
    assert log[:, 0].tolist() == [0, 1, 2]
    for a, b in zip(weights, resumed, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)
    np.testing.assert_allclose(resumed_log, log, rtol=10 * tolerance)


@pytest.mark.slow
@pytest.mark.multi_device
def test_sigma_decreases_on_two_replicas(synthetic_records, tmp_path):
    _run("mirrored_decreasing", tmp_path, synthetic_records)
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["sigma"]) for row in rows] == [1.5, 1.0, 0.5]
    # Both draw the smaller maps: a cross entropy is in proportion to what is drawn.
    assert float(rows[0]["loss"]) > 2 * float(rows[2]["loss"])


@pytest.mark.slow
@pytest.mark.multi_device
@pytest.mark.parametrize("kind", ["normed", "stacked"])
def test_two_replicas_share_batch_statistics(kind, synthetic_records, tmp_path):
    for devices in (1, 2):
        _run(f"{kind}{devices}", tmp_path / str(devices), synthetic_records)
    (one, _), (two, _) = _result(tmp_path / "1"), _result(tmp_path / "2")
    for a, b in zip(one, two, strict=True):
        # Each with its own statistics they are 7e-3 apart, with shared ones 3e-4 to 1.1e-3: the
        # rounding of other processors' kernels.
        np.testing.assert_allclose(a, b, rtol=0, atol=2.5e-3)


@pytest.mark.slow
@pytest.mark.multi_device
def test_two_replicas_train_as_one(synthetic_records, tmp_path):
    """Twenty SGD steps with augmentation on, at a rate at which rounding does not grow.

    At 30 times the rate the training is unstable and any two float32 computations part.
    """
    for devices in (1, 2):
        _run(f"steps{devices}", tmp_path / str(devices), synthetic_records)
    (one, one_log), (two, two_log) = _result(tmp_path / "1"), _result(tmp_path / "2")
    for a, b in zip(one, two, strict=True):
        # 1.6e-5 where rounding moved one maximum to another pixel.
        np.testing.assert_allclose(a, b, atol=5e-5)
    np.testing.assert_allclose(one_log, two_log, rtol=1e-4)
    moved = [np.abs(bias).max() for bias in one[1:12:2]]  # biases start at 0
    assert max(moved) > 1e-3
