import csv

import numpy as np
import pytest
from experiments import smoke_smt

from wing_tf.codecs import HeatmapCodec
from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.batches import training_batches
from wing_tf.data.heatmap_targets import HeatmapAugmenter
from wing_tf.data.records import open_records
from wing_tf.losses import BilateralInhibitionCrossEntropy, SubpixelResidualLoss
from wing_tf.models import heatmap_network
from wing_tf.models.saving import load_network, save_network
from wing_tf.training.initialization import initialize
from wing_tf.training.resolve import complete_config
from wing_tf.training.run import train
from wing_tf.training.sigma_schedule import SigmaSchedule, sigma_state, sigma_values
from wing_tf.training.tasks import make_task
from wing_tf.training.trainer import make_trainer


@pytest.fixture(scope="module")
def records(synthetic_records):
    return open_records(str(synthetic_records), split="train")


def _faces(records, augmenter, curves=()):
    batches = training_batches(
        records, batch_size=4, num_draws=augmenter.num_draws, seed=0, curves=curves
    )
    return next(iter(batches))


def _sigmas(run):
    with (run / "metrics.csv").open() as file:
        return [float(row["sigma"]) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_sigma_decreases_in_steps(synthetic_records, tmp_path):
    run = train(smoke_smt(synthetic_records), tmp_path / "run")
    sigmas = _sigmas(run)
    assert sigmas == [1.5, 1.0, 0.5]  # one epoch each
    with (run / "metrics.csv").open() as file:
        scores = [float(row["val_nme"]) for row in csv.DictReader(file)]
    network, _ = load_network(run / "checkpoints" / "best.keras")
    assert heatmap_network(network)[1].sigma == sigmas[int(np.argmin(scores))]
    network, _ = load_network(run / "checkpoints" / "last.keras")
    assert heatmap_network(network)[1].sigma == 0.5
    assert network.output["landmarks"].shape == (None, 68, 2)


def test_loss_is_in_units_of_the_first_sigma(synthetic_records, records):
    config = complete_config(smoke_smt(synthetic_records))
    config.precision, config.jit_compile = "float32", "off"
    trainer = make_trainer(config, make_task(config, records), 10)
    image, targets, weights = trainer.augmenter(_faces(records, trainer.augmenter))
    stacks = trainer(image, training=False)
    first = float(trainer.compute_loss(image, targets, stacks, weights))
    trainer.sigma_state.assign([config.heatmap.sigma / 3, *sigma_state(trainer)[1:]])
    later = float(trainer.compute_loss(image, targets, stacks, weights))
    assert later == pytest.approx(3 * first, rel=1e-5)


@pytest.mark.slow
def test_ended_sigma_schedule_is_not_resumed(synthetic_records, tmp_path, capsys):
    config = smoke_smt(synthetic_records)
    config.update_from_flattened_dict(
        {"epochs": 12, "sigma_schedule.patience": 1, "sigma_schedule.max_epochs_per_sigma": 0,
         "sigma_schedule.final_sigma": 1.0,
         "optimizer.learning_rate": 1e-12}
    )  # fmt: skip
    run = train(config, tmp_path / "run")
    length = len(_sigmas(run))
    assert length < 12  # nothing is learned: scores vary with the batch statistics
    train(config, tmp_path / "run")
    assert "holds a finished training" in capsys.readouterr().out
    assert len(_sigmas(run)) == length


def test_maps_with_a_sigmoid_start_at_the_mean_of_their_targets(synthetic_records, records):
    changes = {"loss.activation": "sigmoid", "output_init": 0.0}
    config = complete_config(smoke_smt(synthetic_records, **changes))
    config.precision, config.jit_compile = "float32", "off"
    trainer = make_trainer(config, make_task(config, records), 10)
    initialize(config, trainer, records)
    faces = _faces(records, trainer.augmenter) | {"sigma": config.heatmap.sigma}
    _, targets, _ = trainer.augmenter(faces)
    for layer in trainer.network.layers:
        if layer.name.endswith("_maps"):
            start = 1 / (1 + np.exp(-layer.bias.numpy()))
            assert start == pytest.approx(np.mean(targets["maps"]), rel=0.1)
            # Keras' own kernel: uniform up to sqrt(6 / (inputs + outputs)).
            limit = np.sqrt(6 / sum(layer.kernel.shape[-2:]))
            assert np.abs(layer.kernel.numpy()).max() == pytest.approx(limit, rel=0.05)


def test_loss_sums_maps_and_residuals_of_all_stacks(synthetic_records, records):
    """Against the parts, put together by hand; the residuals' targets by NumPy's arg max."""
    changes = {"residual.weight": 0.5, "heatmap.decoder": "argmax", "model.num_stacks": 2}
    config = complete_config(smoke_smt(synthetic_records, **changes))
    config.precision, config.jit_compile = "float32", "off"
    trainer = make_trainer(config, make_task(config, records), 10)
    faces = _faces(records, trainer.augmenter)
    image, targets, weights = trainer.augmenter(faces)
    stacks = trainer(image, training=False)
    total = float(trainer.compute_loss(image, targets, stacks, weights))
    total -= float(sum(trainer.losses)) if trainer.losses else 0.0
    expected = 0.0
    for stack in stacks:
        expected += float(
            BilateralInhibitionCrossEntropy()(targets["maps"], stack["maps"], sample_weight=weights)
        )
        maps = np.asarray(stack["maps"])
        rows, columns = np.divmod(maps.reshape(4, 256, 68).argmax(axis=1), 16)
        left = np.asarray(targets["positions"]) - np.stack([columns, rows], axis=-1)
        loss = SubpixelResidualLoss(theta=0.5)
        expected += 0.5 * float(loss(left, stack["residuals"], sample_weight=weights))
    assert total == pytest.approx(expected, rel=1e-4)


def test_each_stack_has_maps_of_its_own_sigma(records):
    codec = HeatmapCodec(input_size=64, heatmap_size=16, sigma=2.0)
    crops = {"input_size": 64, "margin": 1.2, "augmentation": Augmentation()}
    augmenter = HeatmapAugmenter(
        records.scheme, codec=codec, sigma_steps=(0.0, -1.0), with_positions=True, **crops
    )
    faces = _faces(records, augmenter)
    landmarks, weights = Augmenter(records.scheme, **crops)(faces)[1:]
    for given, first in ((None, 2.0), (1.5, 1.5)):
        batch = faces if given is None else {**faces, "sigma": given}
        _, targets, _ = augmenter(batch)
        for maps, sigma in zip(targets["maps"], (first, first - 1), strict=True):
            expected, _ = codec.encode(landmarks, weights, sigma)
            np.testing.assert_allclose(maps, expected, atol=1e-5)
        present = np.asarray(weights) > 0
        np.testing.assert_allclose(
            np.asarray(targets["positions"])[present],
            codec.to_heatmap(np.asarray(landmarks))[present], rtol=1e-5,
        )  # fmt: skip


@pytest.mark.slow
def test_next_sigma_starts_from_the_best_weights(synthetic_records, records, tmp_path):
    """Scripted scores: patience ends the first sigma, length the second, no gain the training."""
    config = complete_config(smoke_smt(synthetic_records, **{"model.num_stacks": 2}))
    config.precision, config.jit_compile = "float32", "off"
    trainer = make_trainer(config, make_task(config, records), 10)
    trainer.optimizer.iterations.assign(1)  # or the averages would not count
    head = trainer.network.get_layer("stack2_maps").bias
    (average,) = (
        a for a, v in zip(trainer.optimizer._model_variables_moving_average,
                          trainer.trainable_variables, strict=True) if v is head
    )  # fmt: skip
    callback = SigmaSchedule(
        tmp_path, step=0.5, final_sigma=0.1, patience=2, max_epochs_per_sigma=4
    )
    callback.set_model(trainer)
    trainer.stop_training = False

    def epoch(number, score):
        head.assign(np.full(68, 100.0 + number))
        average.assign(np.full(68, float(number)))
        logs = {"val_nme": score}
        callback.on_epoch_end(number, logs)
        return logs["sigma"], float(np.asarray(head)[0]), float(np.asarray(average)[0])

    scores = [0.5, 0.3, 0.4, 0.35, 0.9, 0.8, 0.7, 0.6, 0.5, 0.55, 0.52]
    seen = [epoch(number, score) for number, score in enumerate(scores)]
    assert [sigma for sigma, _, _ in seen] == [1.5] * 4 + [1.0] * 4 + [0.5] * 3
    assert seen[2] == (1.5, 102.0, 2.0)
    # Epoch 3 ends the first sigma: the averages of epoch 1, its best, become the weights.
    assert seen[3] == (1.5, 1.0, 1.0)
    # Epoch 7 was the best of the second sigma when its length ended it.
    assert seen[7] == (1.0, 7.0, 7.0)
    assert trainer.stop_training
    state = sigma_state(trainer)
    assert (state.sigma, state.done) == (0.5, 1.0)
    assert state.former == pytest.approx(0.3)


@pytest.mark.slow
def test_saved_network_initializes_all_but_earlier_residuals(
    synthetic_records, records, tmp_path, capsys
):
    config = complete_config(smoke_smt(synthetic_records, **{"model.num_stacks": 2}))
    config.precision, config.jit_compile = "float32", "off"
    task = make_task(config, records)
    first, second = task.build_network(), make_trainer(config, task, 10)
    save_network(task.localizer(first), tmp_path / "first.keras", task.spec)
    config.init_from = str(tmp_path / "first.keras")
    initialize(config, second, records)
    message = capsys.readouterr().out
    # Not the names of all 109 layers in one line.
    assert "first.keras: 109 layers: stem_conv, stem_norm, ..., stack2_maps. New: 0" in message
    theirs = {weight.path: np.asarray(weight) for weight in first.weights}
    new = {
        weight.path for weight in second.network.weights
        if np.ptp(weight) > 0 and not np.array_equal(weight, theirs[weight.path])
    }  # fmt: skip
    assert {path.rpartition("/")[0] for path in new} == {
        "stack1_residual_fc1", "stack1_residual_fc2"
    }  # fmt: skip


def test_sigma_values_end_at_the_final_sigma_or_above():
    assert sigma_values(4.0, 1.0, 1.0) == [4.0, 3.0, 2.0, 1.0]
    assert sigma_values(2.0, 0.3, 0.5) == pytest.approx([2.0, 1.7, 1.4, 1.1, 0.8, 0.5])
    assert sigma_values(2.0, 1.0, 0.5) == [2.0, 1.0]
    assert sigma_values(2.0, 0.0, 1.0) == [2.0]


@pytest.mark.parametrize(
    ("kernel", "drawn", "read"),
    [
        ({}, [1.5], 1.5),
        ({"temporal_step": 0.5, "final_sigma": 0.5}, [1.5], 0.5),
        ({"spatial_step": 0.5}, [1.5, 1.0], 1.0),
    ],
)
def test_maps_are_decoded_with_their_final_sigma(synthetic_records, records, kernel, drawn, read):
    still = {"temporal_step": 0.0, "final_sigma": 1.0, "max_epochs_per_sigma": 0}
    config = smoke_smt(synthetic_records, **{"model.num_stacks": 2})
    config.update_from_flattened_dict(
        {f"sigma_schedule.{k}": v for k, v in (still | kernel).items()}
    )
    config = complete_config(config)
    config.precision, config.jit_compile = "float32", "off"
    task = make_task(config, records)
    trainer = make_trainer(config, task, 10)
    whole = task.localizer(trainer.network)
    assert whole.get_layer("decode").codec.sigma == pytest.approx(read)
    faces = _faces(records, trainer.augmenter)
    if trainer.sigma_state is not None:
        faces = faces | {"sigma": np.asarray(trainer.sigma_state)[0]}
    _, targets, weights = trainer.augmenter(faces)
    maps = targets["maps"] if isinstance(targets["maps"], list) else [targets["maps"]]
    for sigma, values in zip(drawn, maps, strict=True):
        codec = HeatmapCodec(input_size=64, heatmap_size=16)
        expected, _ = codec.encode(codec.to_input(targets["positions"]), weights, sigma)
        np.testing.assert_allclose(values, expected, atol=1e-4)


@pytest.mark.slow
def test_spatial_schedule_trains(synthetic_records, tmp_path):
    changes = {"sigma_schedule.temporal_step": 0.0, "sigma_schedule.final_sigma": 1.0,
               "sigma_schedule.max_epochs_per_sigma": 0,
               "sigma_schedule.spatial_step": 0.5, "model.num_stacks": 2, "epochs": 1}  # fmt: skip
    run = train(smoke_smt(synthetic_records, **changes), tmp_path / "run")
    assert load_network(run)[0].output["scores"].shape == (None, 68)
