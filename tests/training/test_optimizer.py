import math

import keras
import ml_collections
import numpy as np
import pytest
import tensorflow as tf

from wing_tf.model_spec import ModelSpec
from wing_tf.models import cnn6, stacked_hourglass
from wing_tf.models.saving import load_network, save_network
from wing_tf.training.optimizer import (
    add_weight_decay,
    configure_layers,
    make_optimizer,
    make_schedule,
    scale_backbone_rate,
)
from wing_tf.training.resolve import complete_config
from wing_tf.training.warm_up import WarmUp


def _rates(config, steps, per_epoch=10):
    schedule = make_schedule(complete_config(config), per_epoch)
    return [float(schedule(step)) for step in steps]


def test_schedules_reach_their_rates():
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


def test_sgd_weight_decay_passes_through_momentum():
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


@pytest.mark.parametrize("name", ["adamw", "adam"])
def test_steps_with_a_small_epsilon_do_not_depend_on_the_scale_of_the_loss(name):
    """A gradient of 1e-8 is that of most kernels under the squared error of heatmaps."""

    def step(gradient, epsilon):
        config = complete_config(
            {"optimizer": {"name": name, "epsilon": epsilon}, "schedule": {"name": "constant"}}
        )
        variable = keras.Variable([2.0])
        optimizer = make_optimizer(config, 10)
        optimizer.apply([tf.constant([gradient])], [variable])
        return float(variable.numpy()[0]) - 2

    # sqrt(v) of the first step is sqrt(1 - beta_2) * 1e-8 = 3.2e-10.
    assert step(1e-8, 1e-12) == pytest.approx(step(1e-3, 1e-12), rel=5e-3)
    assert step(1e-8, 1e-12) == pytest.approx(-1e-3, rel=5e-3)
    assert step(1e-8, 0.0) > 0.6 * step(1e-3, 0.0)  # the optimizer's own: a smaller step


def test_rmsprop_equals_pytorchs():
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


def test_moving_average_forgets_the_first_weights():
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
        ratio = 0.0 if t == 0 else min(decay, (1 + t) / (10 + t))
        expected = ratio * expected + (1 - ratio) * float(variable[0])
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


@pytest.mark.parametrize("output", ["output", "stack1_maps"])
@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_backbone_is_frozen_and_then_learns_slowly(name, output):
    settings = {"name": name, "learning_rate": 0.1, "weight_decay": 0.01}
    settings |= {"backbone_rate": 0.1, "frozen_epochs": 2.0}
    if name == "sgd":
        settings["momentum"] = 0.0
    config = complete_config({"optimizer": settings, "schedule": {"name": "constant"}})
    backbone, head = keras.layers.Dense(1, name="features"), keras.layers.Dense(1, name=output)
    network = keras.Sequential([keras.Input((1,)), backbone, head])
    backbone.set_weights([np.ones((1, 1)), np.ones(1)])
    optimizer = make_optimizer(config, 3)
    scale_backbone_rate(optimizer, network, config, 3)
    ones = [tf.ones_like(v) for v in network.trainable_variables]
    for _ in range(6):
        before = head.get_weights()[0]
        optimizer.apply(ones, network.trainable_variables)
        assert backbone.get_weights()[0] == 1  # also no decay
        assert head.get_weights()[0] < before
    optimizer.apply(ones, network.trainable_variables)
    step = 1 - backbone.get_weights()[0][0, 0]
    np.testing.assert_allclose(step, 0.01, rtol=1e-3)  # both optimizers move by the rate here


@pytest.mark.parametrize(("build", "head"), [(cnn6, "output"), (stacked_hourglass, "stack1_maps")])
def test_backbone_of_rate_0_is_not_trained(build, head):
    options = {"num_stacks": 1, "features": 16} if build is stacked_hourglass else {}
    network = build(68, input_size=64, **options)
    count = len(network.trainable_variables)
    configure_layers(complete_config({"optimizer": {"backbone_rate": 0.0}}), network)
    trained = {variable.path.split("/")[0] for variable in network.trainable_variables}
    assert trained == {head}
    assert count > 2


def test_a_loaded_network_can_be_trained_as_a_whole(tmp_path):
    network = cnn6(68, input_size=32)
    count = len(network.trainable_variables)
    configure_layers(complete_config({"optimizer": {"backbone_rate": 0.0}}), network)
    spec = ModelSpec(scheme="ibug_68", input_size=32, margin=1.2)
    save_network(network, tmp_path / "a.keras", spec)
    assert len(load_network(tmp_path / "a.keras")[0].trainable_variables) == count
    assert len(network.trainable_variables) == 2
