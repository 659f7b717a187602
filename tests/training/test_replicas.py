"""Trainings on two devices: two parts of the CPU, in processes of their own."""

import json

import numpy as np
import pytest
from training_runs import run_python, run_result, train_run


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
    output = run_python("training/replica_steps.py", *names)
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
def test_two_replicas_share_batch_statistics(synthetic_records, tmp_path):
    """Of hourglasses; the augmentation of the replicas is compiled."""
    train_run("stacked", tmp_path, synthetic_records)
    run_python("training_runs.py", 2, tmp_path, synthetic_records, "default_stacked")
    one, two = (run_result(tmp_path / name)[0] for name in ("stacked", "default_stacked"))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-3)  # 7e-3 with statistics of their own


@pytest.mark.slow
@pytest.mark.multi_device
def test_two_replicas_train_as_one(synthetic_records, tmp_path):
    """Twenty SGD steps with augmentation and clipping, at a rate where rounding does not grow."""
    for run in ("steps", "unclipped"):
        train_run(run, tmp_path, synthetic_records)
    replicas = tmp_path / "replicas"
    run_python("training_runs.py", 2, replicas, synthetic_records, "steps", "compiled_steps")
    one, one_log = run_result(tmp_path / "steps")
    for run in ("steps", "compiled_steps"):
        two, two_log = run_result(replicas / run)
        for a, b in zip(one, two, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
        np.testing.assert_allclose(two_log["val_nme"], one_log["val_nme"], rtol=1e-5)
    unclipped, _ = run_result(tmp_path / "unclipped")
    moved = [np.abs(bias).max() for bias in one[1:12:2]]  # biases start at 0
    assert max(moved) > 2e-4
    apart = [np.abs(a - b).max() for a, b in zip(one, unclipped, strict=True)]
    assert max(apart) > 1e-3
