"""The gain of each of the trainer's choices for CPUs (`wing_tf.training.accelerator`).

    python benchmarks/cpu_choices.py

Prints medians over turns: CNN-6's step at batch 32 in TensorFlow's kernels, compiled as a whole by
XLA, and as the trainer executes it; the weight update alone; convolutions of small maps as
convolutions and as matrix products. The ratio is the speed of the trainer's step with AdamW and a
moving average over the plain one's, in the precision that the trainer chooses.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from ready_step import SCHEME, ReadyStep, default_plan
from turns import take_turns

from wing_tf.models import cnn6
from wing_tf.training.accelerator import ExecutionPlan, _convolve_by_matmul, fuse_update

BATCH = 32


def main():
    """Prints the tables."""
    optimizers = {"SGD": _sgd, "AdamW, average": _adamw}
    for precision in dict.fromkeys(("float32", default_plan().precision)):
        for name, make in optimizers.items():
            plans = {
                "plain": ExecutionPlan(precision, compile_step=False, compile_parts=False),
                "XLA": ExecutionPlan(precision, compile_step=True, compile_parts=False),
                "trainer": ExecutionPlan(precision, compile_step=False, compile_parts=True),
            }
            steps = {
                key: ReadyStep("cnn6", BATCH, chosen, optimizer=make())
                for key, chosen in plans.items()
            }
            rates = {k: np.median(v) for k, v in take_turns(steps, BATCH, 5).items()}
            shown = ", ".join(f"{key} {rate:.0f}" for key, rate in rates.items())
            print(f"step, {precision}, {name}, faces/s: {shown}", flush=True)
    for name, make in optimizers.items():
        steps = {key: _update(make(), key == "fused") for key in ("plain", "fused")}
        _print(f"update, {name}", steps)
    for side, channels, filters in ((4, 256, 512), (5, 256, 512), (6, 256, 512), (7, 256, 512),
                                    (8, 128, 256)):  # fmt: skip
        for dtype in ("float32", "bfloat16"):
            shape = (side, side, channels)
            _print(
                f"{side} x {side}, {channels} to {filters}, {dtype}",
                {
                    "convolution": _convolution(tf.nn.conv2d, shape, filters, dtype),
                    "product": _convolution(_as_product, shape, filters, dtype),
                },
            )
    print(f"ratio: {rates['trainer'] / rates['plain']:.3f}")


def _print(name: str, steps: dict) -> None:
    rates = take_turns(steps, 1, 7, seconds=0.5)
    shown = ", ".join(f"{key} {1000 / np.median(rate):.2f}" for key, rate in rates.items())
    print(f"{name}, ms: {shown}", flush=True)


def _sgd():
    return keras.optimizers.SGD(1e-3, momentum=0.9)


def _adamw():
    return keras.optimizers.AdamW(1e-3, weight_decay=0.01, use_ema=True, ema_momentum=0.999)


def _update(optimizer, fused: bool):
    variables = cnn6(SCHEME.num_landmarks).trainable_variables
    optimizer.build(variables)
    if fused:
        fuse_update(optimizer, variables)
    gradients = [tf.random.normal(v.shape) * 0.01 for v in variables]
    return tf.function(lambda: optimizer.apply(gradients, variables), autograph=False)


def _as_product(x, kernel, strides, padding):
    return _convolve_by_matmul(x, kernel)


def _convolution(convolve, shape, filters: int, dtype: str):
    x = tf.cast(tf.random.normal((BATCH, *shape)), dtype)
    kernel = tf.cast(tf.random.normal((3, 3, shape[-1], filters)) * 0.03, dtype)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = convolve(x, kernel, 1, "SAME")
            loss = tf.reduce_sum(y * y)
        return tape.gradient(loss, [x, kernel])

    return step


if __name__ == "__main__":
    main()
