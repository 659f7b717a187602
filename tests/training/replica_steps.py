"""Prints how far 20 steps on two replicas are from those on one: python replica_steps.py CASE ...

Logical devices are a property of a whole process.
"""

import contextlib
import json
import sys

import keras
import numpy as np
import tensorflow as tf
from runs import split_cpu

from wing_tf.training.accelerator import ExecutionPlan, make_strategy
from wing_tf.training.optimizer import add_weight_decay, make_optimizer, scale_backbone_rate
from wing_tf.training.resolve import complete_config
from wing_tf.training.trainer import compile_trainer

STEPS, BATCH_SIZE = 20, 8
CASES = {
    "sgd": {"name": "sgd", "weight_decay": 0.1},
    "adamw": {"name": "adamw", "weight_decay": 0.1, "ema": 0.9},
    "groups": {"name": "rmsprop", "frozen_epochs": 1.0, "backbone_rate": 0.3},
    "overflow": {"name": "sgd", "clip_norm": 0.02},
}


def fit(strategy, case, **changes):
    """Returns the network's weights (their averages, if there are any) and the optimizer."""
    settings = {"learning_rate": 1e-2, "clip_norm": 1.0, **CASES[case], **changes}
    config = complete_config({"optimizer": settings, "schedule": {"name": "constant"}})
    execution = ExecutionPlan("float16" if case == "overflow" else "float32", False, False)
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        with execution.dtype_policy():
            network = keras.Sequential(
                [
                    keras.Input((4,)),
                    keras.layers.Dense(8, "relu"),
                    keras.layers.Dense(2, name="output", dtype="float32"),
                ]
            )
        add_weight_decay(config, network)
        optimizer = make_optimizer(config, STEPS)
        scale_backbone_rate(optimizer, network, config, STEPS // 4)
        loss = keras.losses.MeanSquaredError()
        trainer = compile_trainer(network, lambda batch: batch, optimizer, loss, execution)
    trainer.fit(_batches(case), verbose=0, shuffle=False)
    weights = np.concatenate([weights.ravel() for weights in network.get_weights()])
    return weights, trainer.optimizer


def _batches(case):
    random = np.random.default_rng(0)
    count = STEPS * BATCH_SIZE
    inputs = random.normal(size=(count, 4)).astype(np.float32)
    targets = random.normal(size=(count, 2), scale=10).astype(np.float32)
    if case == "overflow":  # in the first step, of the second replica: it has the batch's end
        targets /= 100
        inputs[BATCH_SIZE - 1] *= 1000
    weights = random.uniform(size=count).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices((inputs, targets, weights)).batch(BATCH_SIZE)


def _distance(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def _loss_scale(optimizer):
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return float(optimizer.dynamic_scale.numpy()) if scaled else 1.0


def main():
    split_cpu(2)
    found = {}
    for case in sys.argv[1:]:
        one, two = fit(None, case), fit(make_strategy(), case)
        found[case] = {
            "two_replicas": _distance(two[0], one[0]),
            "unclipped": _distance(fit(None, case, clip_norm=0.0)[0], one[0]),
            "loss_scales": [_loss_scale(one[1]), _loss_scale(two[1])],
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
