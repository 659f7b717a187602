import inspect
import math

import keras
import ml_collections
import numpy as np
import pytest
import tensorflow as tf
from experiments import CONFIGS, load_config, untrained_model

from wing_tf.data.read import training_batches
from wing_tf.data.records import find_shards, open_records
from wing_tf.models import HEATMAP_MODELS, MODELS
from wing_tf.training.config import (
    HEATMAP_KEYS,
    LANDMARK_KEYS,
    complete_config,
    default_config,
    emits_residuals,
)
from wing_tf.training.initialization import initialize
from wing_tf.training.optimizer import (
    WarmUp,
    add_weight_decay,
    make_optimizer,
    make_schedule,
    scale_backbone_rate,
)
from wing_tf.training.tasks import make_task
from wing_tf.training.trainer import make_trainer


@pytest.fixture(scope="module")
def train_records(synthetic_records):
    return open_records(find_shards(str(synthetic_records), "train"))


def _keys(config, prefix=""):
    return {
        prefix + key
        for key, value in config.items()
        if not isinstance(value, ml_collections.ConfigDict)
    }.union(
        *(
            _keys(value, f"{prefix}{key}.")
            for key, value in config.items()
            if isinstance(value, ml_collections.ConfigDict)
        )
    )


def _useful_keys(config):
    """All keys but those that have no effect on the config's kind of network.

    What `two_stage.augment` leaves out is 0, as it is for most networks.
    """
    heatmaps = config.model.name in HEATMAP_MODELS
    useless = (*(LANDMARK_KEYS if heatmaps else HEATMAP_KEYS), "two_stage.augment")
    if not emits_residuals(config):
        useless = (*useless, "residual")
    model = inspect.signature((MODELS | HEATMAP_MODELS)[config.model.name]).parameters
    return {
        key
        for key in _keys(default_config())
        if not any(key == other or key.startswith(f"{other}.") for other in useless)
        and (key.partition(".")[0] != "model" or key in ("model.name", "model.input_size")
             or key.partition(".")[2] in model)
    }  # fmt: skip


# These take half a minute each: bodies of hundreds of layers.
_DEEP = ("awing_4hg", "awing_1hg", "wing_resnet50", "wing_mobilenet")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.slow] if path.stem.startswith(_DEEP) else [])
        for path in CONFIGS
    ],
    ids=lambda path: path.stem,
)
def test_every_config_is_whole_and_takes_a_step(path, train_records, tmp_path):
    config = load_config(path)
    assert _useful_keys(config) <= _keys(config)  # so that each can be set on the command line
    config = complete_config(config)
    config.batch_size = 8
    config.model.weights = ""  # nothing is downloaded here
    if "two_stage" in path.stem:
        config.two_stage.first = str(untrained_model(tmp_path / "first.keras"))
    if config.model.name in HEATMAP_MODELS:  # the full ones take minutes here
        small = {"input_size": 64, "depth": 2, "features": 8, "inner_features": 16}
        config.model.update(small | {"num_stacks": min(2, config.model.num_stacks)})
    task = make_task(config, train_records)
    trainer = make_trainer(config, task, 10)
    initialize(config, trainer, train_records)
    batches = training_batches(
        train_records,
        batch_size=config.batch_size,
        num_draws=trainer.augmenter.num_draws,
        seed=0,
        curves=task.boundary_curves,
    )
    output = trainer.network.layers[-1]  # the body may rest at first
    while not output.weights:
        output = output.input._keras_history.operation
    before = output.get_weights()
    history = trainer.fit(batches, steps_per_epoch=1, verbose=0, shuffle=False)
    assert math.isfinite(history.history["loss"][0])
    assert not np.array_equal(before[0], output.get_weights()[0])


_SMT = {"model": {"name": "smt_net"}, "loss": {"name": "bice"}, "heatmap": {"decoder": "argmax"}}
_SHRINKING = {**_SMT, "sigma_schedule": {"temporal_step": 0.5, "final_sigma": 0.5}}
_HOURGLASS = {"model": {"name": "hourglass"}, "loss": {"name": "adaptive_wing"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batchsize": 3}, r"Unknown config key config.batchsize. Did you mean config.batch_size"),
        ({"loss": {"widht": 3.0}}, "Unknown config key config.loss.widht"),
        ({"loss": {"name": "wings"}}, "Did you mean 'wing'"),
        ({"loss": 3}, "config.loss must hold keys"),
        ({"batch_size": "many"}, "config.batch_size must be of type int"),
        ({"batch_size": 0}, "config.batch_size must be at least 1"),
        ({"crop_margin": 0.5}, "config.crop_margin must be in"),
        ({"optimizer": {"learning_rate": 0.0}}, "must be positive"),
        ({"optimizer": {"ema": 1.0}}, "config.optimizer.ema"),
        ({"augment": {"flip": 2.0}}, "`flip` must be in"),
        ({"schedule": {"name": "exponential"}}, "final_ratio must be positive"),
        ({"schedule": {"boundaries": (8, 4)}}, "boundaries must rise"),
        ({"optimizer": {"momentum": 2.0}}, "momentum must be below 1"),
        ({"optimizer": {"weight_decay": -1.0}}, "weight_decay can't be negative"),
        ({"seed": -1}, "config.seed can't be negative"),
        ({"model": {"weights": "imagenet"}}, "config.model.weights is not for cnn6"),
        ({"model": {"name": "resnet50", "width": 0.5}}, "config.model.width is not for resnet50"),
        ({"two_stage": {"correct": True}}, "two_stage.correct needs config.two_stage.first"),
        ({"two_stage": {"margin": -1.0}}, "two_stage.margin must be in"),
        ({"two_stage": {"input_size": 0}}, "two_stage.input_size must be at least 16"),
        ({"balance": {"use": "weight"}}, "needs config.balance.path"),
        ({"model": {"name": "hourglass"}}, "'wing' is not for hourglass, which emits heatmaps"),
        ({"loss": {"name": "adaptive_wing"}}, "'adaptive_wing' is not for cnn6"),
        ({"loss": {"theta": 0.4}}, "config.loss.theta is not for cnn6"),
        ({"heatmap": {"sigma": 2.0}}, "config.heatmap is not for cnn6"),
        ({**_HOURGLASS, "output_init": 0.1}, "config.output_init is not for hourglass"),
        ({**_HOURGLASS, "two_stage": {"first": "x"}}, "config.two_stage is not for hourglass"),
        ({**_HOURGLASS, "heatmap": {"decoder": "drk"}}, "Did you mean 'dark'"),
        ({**_HOURGLASS, "heatmap": {"boundary_sigma": 0.0}}, "boundary_sigma must be positive"),
        ({**_HOURGLASS, "heatmap": {"legacy": True, "sigma": 1.0}}, "heatmap.sigma has no effect"),
        ({**_HOURGLASS, "loss": {"name": "heatmap_mse", "theta": 0.4}}, "loss.theta has no effect"),
        ({**_HOURGLASS, "residual": {"theta": 1.0}}, "residual.theta has no effect"),
        (
            {**_HOURGLASS, "loss": {"name": "adaptive_wing", "activation": "sigmoid"}},
            "loss.activation has no effect",
        ),
        (
            {**_HOURGLASS, "sigma_schedule": {"patience": 3}},
            "sigma_schedule.patience has no effect",
        ),
        ({"sigma_schedule": {"patience": 3}}, "config.sigma_schedule is not for cnn6"),
        ({**_SMT, "gradient_checkpointing": True}, "gradient_checkpointing has no effect"),
        (
            {**_SMT, "sigma_schedule": {"spatial_step": 1.5}},
            "the last hourglass a sigma of -3",
        ),
        ({**_SHRINKING, "sigma_schedule": {"temporal_step": 0.5, "spatial_step": 0.2}}, "both"),
        (
            {**_SHRINKING, "sigma_schedule": {"temporal_step": 0.5, "final_sigma": 2.0}},
            r"in \(0, 1.5\]",
        ),
        (
            {**_SHRINKING, "sigma_schedule": {"temporal_step": 0.5, "patience": 0}},
            "patience must be",
        ),
        ({**_SHRINKING, "validation_epochs": 2}, "needs validation_epochs"),
        ({**_SHRINKING, "sigma_schedule": {"temporal_step": 0.8}}, "nothing would shrink"),
        ({**_SHRINKING, "heatmap": {"decoder": "soft_argmax"}}, "has a window of one radius"),
        ({**_SMT, "loss": {"name": "uce", "activation": "sigmoid"}}, "without a minimum"),
    ],
)
def test_config_faults_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        complete_config(ml_collections.ConfigDict(changes))


def _rates(config, steps, per_epoch=10):
    schedule = make_schedule(complete_config(config), per_epoch)
    return [float(schedule(step)) for step in steps]


def test_schedules():
    def config(**schedule):
        return ml_collections.ConfigDict({"epochs": 10, "schedule": schedule})

    np.testing.assert_allclose(
        _rates(config(name="cosine", final_ratio=0.1), [0, 50, 100]), [1e-3, 5.5e-4, 1e-4]
    )
    np.testing.assert_allclose(
        _rates(config(name="exponential", final_ratio=0.01), [0, 50, 100]), [1e-3, 1e-4, 1e-5],
        rtol=1e-5,
    )  # fmt: skip
    np.testing.assert_allclose(
        _rates(config(name="piecewise", boundaries=(4, 8)), [39, 40, 80]), [1e-3, 1e-4, 1e-5],
        rtol=1e-5,
    )  # fmt: skip
    np.testing.assert_allclose(_rates(config(name="constant"), [0, 99]), [1e-3, 1e-3])
    warm = _rates(config(name="cosine", warmup_epochs=1.0), [0, 4, 9, 55, 100])
    np.testing.assert_allclose(warm, [1e-4, 5e-4, 1e-3, 5e-4, 0], atol=1e-9, rtol=1e-4)


def test_warm_up_survives_serialization():
    schedule = WarmUp(keras.optimizers.schedules.CosineDecay(1e-2, 50), 5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert float(again(20)) == float(schedule(20))


def test_sgd_decay_is_coupled_and_gives_the_papers_update():
    config = complete_config(
        ml_collections.ConfigDict(
            {
                "optimizer": {"name": "sgd", "weight_decay": 0.1, "learning_rate": 0.5},
                "schedule": {"name": "constant"},
            }
        )
    )
    layer = keras.layers.Dense(1, use_bias=False)
    network = keras.Sequential([keras.Input((1,)), layer])
    add_weight_decay(config, network)
    layer.kernel.assign([[2.0]])
    optimizer = make_optimizer(config, 10)
    expected, velocity = 2.0, 0.0
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(tf.ones((1, 1)))) + sum(network.losses)
        optimizer.apply(tape.gradient(loss, [layer.kernel.value]), [layer.kernel])
        velocity = 0.9 * velocity - 0.5 * (1 + 0.1 * expected)  # the decay goes through momentum
        expected += velocity
    np.testing.assert_allclose(float(layer.kernel.numpy()[0, 0]), expected, rtol=1e-6)


def test_rmsprop_is_pytorchs():
    """A constant gradient of 4e-5: epsilon inside of the root would make the step smaller."""
    config = complete_config(
        {"optimizer": {"name": "rmsprop", "learning_rate": 1e-4, "momentum": 0.0},
         "schedule": {"name": "constant"}}
    )  # fmt: skip
    optimizer = make_optimizer(config, 10)
    variable, gradient, average, expected = keras.Variable([1.0]), 4e-5, 0.0, 1.0
    for _ in range(50):
        optimizer.apply([np.array([gradient], np.float32)], [variable])
        average = 0.99 * average + 0.01 * gradient**2
        expected -= 1e-4 * gradient / (math.sqrt(average) + 1e-8)
    moved = 1.0 - float(variable.numpy()[0])
    assert moved == pytest.approx(1.0 - expected, rel=0.01)


def test_averages_begin_quickly():
    """Against the recursion in NumPy; the weights of the first update are soon forgotten."""
    decay = 0.9
    config = complete_config({"optimizer": {"ema": decay, "learning_rate": 1e-9}})
    optimizer = make_optimizer(config, 10)
    variable = keras.Variable([100.0])
    optimizer.build([variable])
    expected = 0.0
    for t in range(120):
        variable.assign([100.0 if t == 0 else 1.0])
        optimizer.apply([keras.ops.ones((1,))], [variable])
        share = 0.0 if t == 0 else min(decay, (1 + t) / (10 + t))
        expected = share * expected + (1 - share) * float(variable[0])
        average = float(np.asarray(optimizer._model_variables_moving_average[0])[0])
        assert average == pytest.approx(expected, rel=1e-5)
        if t == 20:  # Keras' own: 1 + 99 * .9^20 = 13
            assert average == pytest.approx(1.0, abs=0.01)
    assert optimizer.ema_momentum == decay


def test_biases_do_not_decay():
    config = complete_config(
        ml_collections.ConfigDict({"optimizer": {"weight_decay": 0.5, "learning_rate": 0.1}})
    )
    layer = keras.layers.Dense(2, kernel_initializer="ones", bias_initializer="ones")
    layer.build((None, 3))
    make_optimizer(config, 10).apply([tf.zeros((3, 2)), tf.zeros(2)], [layer.kernel, layer.bias])
    np.testing.assert_array_equal(layer.bias, [1, 1])
    assert np.all(np.asarray(layer.kernel) < 1)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_body_rests_and_then_learns_slowly(name):
    settings = {"name": name, "learning_rate": 0.1, "weight_decay": 0.01, "momentum": 0.0}
    settings |= {"backbone_rate": 0.1, "frozen_epochs": 2.0}
    config = complete_config({"optimizer": settings, "schedule": {"name": "constant"}})
    body, head = keras.layers.Dense(1, name="features"), keras.layers.Dense(1, name="output")
    network = keras.Sequential([keras.Input((1,)), body, head])
    body.set_weights([np.ones((1, 1)), np.ones(1)])
    optimizer = make_optimizer(config, 3)
    scale_backbone_rate(optimizer, network, config, 3)
    ones = [tf.ones_like(v) for v in network.trainable_variables]
    for _ in range(6):
        before = head.get_weights()[0]
        optimizer.apply(ones, network.trainable_variables)
        assert body.get_weights()[0] == 1  # also no decay
        assert head.get_weights()[0] < before
    optimizer.apply(ones, network.trainable_variables)
    step = 1 - body.get_weights()[0][0, 0]
    np.testing.assert_allclose(step, 0.01, rtol=1e-3)  # both optimizers move by the rate here
