"""Faster execution trains like the plain one."""

import functools
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from experiments import smoke_config

from wing_tf.data.augment import Augmenter
from wing_tf.data.batches import training_batches
from wing_tf.data.records import open_records
from wing_tf.models import mobile_unet
from wing_tf.training.accelerator import ExecutionPlan
from wing_tf.training.depthwise import convolve_by_two, spread_strided_gradients
from wing_tf.training.initialization import initialize
from wing_tf.training.resolve import complete_config
from wing_tf.training.run import train
from wing_tf.training.tasks import make_task
from wing_tf.training.trainer import LandmarkTrainer, make_trainer


@pytest.fixture(scope="module")
def train_records(synthetic_records):
    return open_records(str(synthetic_records), split="train")


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", ["auto", "off"])
def test_step_is_traced_once(jit_compile, synthetic_records, tmp_path, monkeypatch):
    """Nor is any function converted by AutoGraph, which would take seconds at each start."""

    def converted():
        return {name for name in sys.modules if name.startswith("__autograph_generated")}

    traces, before = [], converted()
    learn = LandmarkTrainer.learn
    monkeypatch.setattr(
        LandmarkTrainer, "learn", lambda self, batch: traces.append(1) or learn(self, batch)
    )
    train(smoke_config(synthetic_records, jit_compile=jit_compile), tmp_path / "run")
    assert len(traces) == 1
    assert converted() == before


@pytest.mark.slow
def test_compiled_parts_train_as_plain_ones(train_records):
    """Some float32 steps from the same weights, at 64 px, where small maps are multiplied."""
    config = complete_config({"precision": "float32", "batch_size": 8})
    config.optimizer.update({"name": "sgd", "learning_rate": 1e-4})
    results = []
    for jit_compile in ("off", "auto"):
        config.jit_compile = jit_compile
        keras.utils.set_random_seed(0)
        trainer = make_trainer(config, make_task(config, train_records), 10)
        initialize(config, trainer, train_records)
        batches = training_batches(
            train_records, batch_size=8, num_draws=Augmenter.num_draws, seed=0
        )
        trainer.fit(batches, steps_per_epoch=4, verbose=0, shuffle=False)
        results.append(trainer.network.get_weights())
    for plain, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, plain, atol=1e-5)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [(8, 7), (7, 8), (9, 4)])
@pytest.mark.parametrize("kernel_size", [(3, 3), (2, 4), (5, 3)])
def test_spread_gradients_equal_those_of_strided_convolutions(padding, size, kernel_size):
    x = tf.random.stateless_normal((2, *size, 3), (1, 2))
    kernel = tf.random.stateless_normal((*kernel_size, 3, 2), (3, 4))
    found = []
    plain = functools.partial(tf.nn.depthwise_conv2d, strides=(1, 2, 2, 1), padding=padding.upper())
    spread = functools.partial(convolve_by_two, padding=padding.upper())
    for convolve in (plain, spread):
        with tf.GradientTape() as tape:
            tape.watch((x, kernel))
            out = convolve(x, kernel)
            score = tf.reduce_sum(out * tf.random.stateless_normal(out.shape, (5, 6)))
        found.append((out, *tape.gradient(score, (x, kernel))))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_strided_convolutions_in_bfloat16_are_changed():
    with ExecutionPlan("bfloat16", compile_step=False, compile_parts=True).dtype_policy():
        network = mobile_unet(5, input_size=32, width=0.125)
    names = [f"down{level}_depthwise" for level in range(4)]
    assert spread_strided_gradients(network) == names
    assert spread_strided_gradients(mobile_unet(5, input_size=32, width=0.125)) == []


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_network_computes_in_the_planned_precision(precision, train_records):
    config = complete_config({"precision": precision})
    network = make_trainer(config, make_task(config, train_records), 10).network
    assert network.get_layer("conv1").compute_dtype == precision
    assert network.get_layer("output").compute_dtype == "float32"
    assert {weight.dtype for weight in network.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
