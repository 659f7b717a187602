import csv

import keras
import numpy as np
import pytest
from experiments import smoke_config, untrained_model

from wing_tf.data.records import open_records
from wing_tf.evaluation.evaluator import evaluate
from wing_tf.models import cnn6, cnn7
from wing_tf.models.saving import load_network, save_network
from wing_tf.training.accelerator import ExecutionPlan
from wing_tf.training.initialization import copy_layers
from wing_tf.training.resolve import complete_config
from wing_tf.training.run import train
from wing_tf.training.tasks import make_task

SECOND = {"two_stage.input_size": 96, "model.name": "cnn7", "model.input_size": 64,
          "model.width": 0.1, "two_stage.margin": 1.8}  # fmt: skip


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return str(untrained_model(tmp_path_factory.mktemp("first") / "first.keras", 32))


@pytest.mark.parametrize(
    ("correct", "simulated_error"),
    [(False, 0.0), pytest.param(True, 0.02, marks=pytest.mark.slow)],
)
def test_second_stage_trains_and_both_stages_are_saved(
    correct, simulated_error, first, synthetic_records, tmp_path
):
    changes = SECOND | {"two_stage.first": first, "two_stage.correct": correct}
    changes["two_stage.simulated_error"] = simulated_error
    run = train(smoke_config(synthetic_records, **changes), tmp_path / "run")
    network, spec = load_network(run)
    assert (spec.input_size, spec.margin) == (96, 1.8)
    assert network.name == "two_stage"
    # The first stage is in the file, as it was.
    for ours, theirs in zip(
        network.get_layer("cnn6").get_weights(), load_network(first)[0].get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    (tmp_path / "report").mkdir()
    report = evaluate(run, f"{synthetic_records}/validation-*", tmp_path / "report",
                      normalizer="box", rotation_deg=20, box_noise=0.02)  # fmt: skip
    with (run / "metrics.csv").open() as file:
        best = min(float(row["val_nme"]) for row in csv.DictReader(file))
    assert report["nme"] == pytest.approx(best, rel=1e-4)
    assert list(report["conditions"]) == [
        "box noise 0.02", "rotated by 20 deg", "rotated by 20 deg, box noise 0.02",
    ]  # fmt: skip


def test_copy_computes_in_another_precision(first):
    network, _ = load_network(first)
    copy = ExecutionPlan("bfloat16", compile_step=False, compile_parts=False).copy(network)
    assert copy.get_layer("conv1").compute_dtype == "bfloat16"
    for name in ("to_unit_range", "output", "landmarks"):
        assert copy.get_layer(name).compute_dtype == "float32"
    assert not copy.trainable_variables
    image = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(copy(image), network(image), atol=0.3)
    assert network.get_layer("conv1").compute_dtype == "float32"


def test_second_stage_is_initialized_from_a_two_stage_file(first, synthetic_records):
    records = open_records(str(synthetic_records), split="train")
    config = complete_config(
        {"two_stage": {"first": first, "input_size": 96, "margin": 1.8},
         "model": {"name": "cnn7", "input_size": 64, "width": 0.1}}
    )  # fmt: skip
    task = make_task(config, records)
    keras.utils.set_random_seed(0)
    trained, fresh = task.build_network(), task.build_network()
    copied, left = copy_layers(fresh, task.localizer(trained))
    assert "conv1" in copied
    assert not left
    np.testing.assert_array_equal(
        fresh.get_layer("conv6").get_weights()[0], trained.get_layer("conv6").get_weights()[0]
    )


def test_both_stages_may_be_the_same_kind_of_network(first, synthetic_records):
    records = open_records(str(synthetic_records), split="train")
    config = complete_config(
        {"two_stage": {"first": first, "input_size": 96, "margin": 1.8},
         "model": {"name": "cnn6", "input_size": 64, "width": 0.1}}
    )  # fmt: skip
    task = make_task(config, records)
    assert task.localizer(task.build_network()).output_shape == (None, 68, 2)


def test_first_stage_that_does_not_fit_is_refused(first, synthetic_records):
    records = open_records(str(synthetic_records), split="train")
    config = complete_config({"two_stage": {"first": first, "margin": 1.15}})
    with pytest.raises(ValueError, match="two_stage.margin=1.15 must be at least"):
        make_task(config, records)
    config = complete_config(
        {"two_stage": {"first": first, "input_size": 64}, "model": {"input_size": 128}}
    )
    with pytest.raises(ValueError, match="leaves 46 pixels"):
        make_task(config, records)


def test_two_stage_network_as_first_stage_is_refused(first, synthetic_records, tmp_path):
    records = open_records(str(synthetic_records), split="train")
    config = complete_config(
        {"two_stage": {"first": first, "input_size": 96, "margin": 1.8},
         "model": {"name": "cnn7", "input_size": 64, "width": 0.1}}
    )  # fmt: skip
    task = make_task(config, records)
    save_network(task.localizer(task.build_network()), tmp_path / "both.keras", task.spec)
    config.two_stage.first = str(tmp_path / "both.keras")
    with pytest.raises(ValueError, match="must be a single stage"):
        make_task(config, records)


def test_layers_behind_one_that_does_not_fit_are_not_copied():
    small, other = cnn6(68, width=0.1), cnn7(68, input_size=64, width=0.1)
    assert copy_layers(other, small)[0] == []  # the first convolutions differ
    wide = cnn7(68, width=0.5)
    copied, left = copy_layers(wide, cnn6(68, input_size=96))
    assert copied == ["conv1", "conv2", "conv3", "conv4"]
    assert left == ["conv5", "conv6", "features", "output"]
