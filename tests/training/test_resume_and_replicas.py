import csv
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import wing_tf.layers  # noqa: F401  (two-stage files hold its layers)

RUNS = pathlib.Path(__file__).with_name("runs.py")


def _run(*arguments, script=RUNS, status=0):
    tests = RUNS.parents[1]
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}",
        },
    )
    assert done.returncode == status, done.stderr[-3000:]
    return done.stdout


def _result(folder):
    """The weights of the last network, and the logged epochs and validation scores."""
    network = keras.saving.load_model(folder / "checkpoints" / "last.keras")
    with (folder / "metrics.csv").open() as file:
        rows = [(float(row["epoch"]), float(row["val_nme"])) for row in csv.DictReader(file)]
    return network.get_weights(), np.array(rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode",
    [
        "compiled",
        "default",
        "bfloat16",
        "refined",
        "stacks",
        "visible",
        "decreasing",
        "limited_decreasing",
        pytest.param("mirrored", marks=pytest.mark.multi_device),
    ],
)
def test_resumed_training_equals_uninterrupted(mode, synthetic_records, tmp_path):
    """AdamW, clipping, warm-up and EMA; the compared weights are the averaged ones.

    That a deterministic training is resumed exactly is tested by tests/test_kills.py.
    """
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
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    np.testing.assert_allclose(resumed_log, log, rtol=1e-5)


@pytest.mark.multi_device
@pytest.mark.parametrize(
    "names",
    [("sgd", "overflow"), pytest.param(("adamw", "groups"), marks=pytest.mark.slow)],
    ids="-".join,
)
def test_replicas_clip_and_check_the_sum_of_their_gradients(names):
    """Distances of the weights after 20 steps, over their norm.

    Where each replica clips its part they are 4e-2 to 3e-1, and NaN with float16. Compiled
    replicas are compared with uncompiled ones, weights and logs.
    """
    output = _run(*names, script=RUNS.with_name("replica_steps.py"))
    cases = json.loads(output.splitlines()[-1])
    assert "unsupported operations when trying to compile" in cases.pop("error_of_strings")
    assert set(cases) == set(names)
    for case, distances in cases.items():
        assert distances["unclipped"] > 0.01, case  # the clipping changes the training
        assert distances["two_replicas"] < 1e-5, case
        assert max(distances["compiled"]) < 1e-5, case
    # Only the first step overflows, on one replica of two: all skip it and halve 2^15.
    if "overflow" in names:
        assert cases["overflow"]["loss_scales"] == [16384.0] * 3


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
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-3)  # 7e-3 with statistics of their own


@pytest.mark.slow
@pytest.mark.multi_device
def test_two_replicas_train_as_one(synthetic_records, tmp_path):
    """Twenty SGD steps with augmentation and clipping, at a rate where rounding does not grow."""
    for run in ("steps1", "steps2", "compiled_steps2", "unclipped1"):
        _run(run, tmp_path / run, synthetic_records)
    one, one_log = _result(tmp_path / "steps1")
    for run in ("steps2", "compiled_steps2"):
        two, two_log = _result(tmp_path / run)
        for a, b in zip(one, two, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
        np.testing.assert_allclose(one_log, two_log, rtol=1e-5)
    unclipped, _ = _result(tmp_path / "unclipped1")
    moved = [np.abs(bias).max() for bias in one[1:12:2]]  # biases start at 0
    assert max(moved) > 2e-4
    apart = [np.abs(a - b).max() for a, b in zip(one, unclipped, strict=True)]
    assert max(apart) > 1e-3
