"""Prints how far 20 steps on two replicas are from those on one: python replica_steps.py CASE ...

Also how far they are from those on two replicas that XLA compiled.

Logical devices are a property of a whole process.
"""

import contextlib
import json
import sys

import keras
import numpy as np
import tensorflow as tf
from training_runs import split_cpu

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


def fit(strategy, case, *, compile_step=False, augmenter=lambda batch: batch, **changes):
    """Returns the network's weights (their averages, if there are any), the optimizer, and the
    logged loss and metric.
    """
    settings = {"learning_rate": 1e-2, "clip_norm": 1.0, **CASES[case], **changes}
    config = complete_config({"optimizer": settings, "schedule": {"name": "constant"}})
    execution = ExecutionPlan(
        "float16" if case == "overflow" else "float32", compile_step, compile_parts=False
    )
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
        metrics = [keras.metrics.MeanAbsoluteError(name="error")]
        trainer = compile_trainer(network, augmenter, optimizer, loss, execution, metrics)
    logs = trainer.fit(_batches(case), verbose=0, shuffle=False).history
    weights = np.concatenate([weights.ravel() for weights in network.get_weights()])
    return weights, trainer.optimizer, np.array([logs["loss"], logs["error"]])


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


def _by_strings(batch):
    """An augmenter that XLA can't compile."""
    inputs, *others = batch
    return tf.strings.to_number(tf.strings.as_string(inputs)), *others


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
        compiled = fit(make_strategy(), case, compile_step=True)
        found[case] = {
            "compiled": [_distance(compiled[i], two[i]) for i in (0, 2)],
            "two_replicas": _distance(two[0], one[0]),
            "unclipped": _distance(fit(None, case, clip_norm=0.0)[0], one[0]),
            "loss_scales": [_loss_scale(run[1]) for run in (one, two, compiled)],
        }
    try:
        fit(make_strategy(), "sgd", compile_step=True, augmenter=_by_strings)
    except tf.errors.InvalidArgumentError as error:
        found["error_of_strings"] = str(error)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
