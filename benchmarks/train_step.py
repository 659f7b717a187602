"""The bare train step against PyTorch: forward, Wing loss, backward and SGD on a ready batch.

The trainer's own step (``LandmarkTrainer.learn``, run as it would be in a training on this machine)
and the same network with the same weights in PyTorch, channels_last, on the same threads, take
turns in one process. Both are first shown to compute the same landmarks and the same loss.

    pip install -e '.[bench]'
    python benchmarks/train_step.py [--network=cnn6] [--batches=8,32,128] [--repeats=9]

Prints medians (lowest to highest) in faces a second; the ratio is the median of the turns' ratios.
The last line, ``ratio:``, is float32 against float32 at batch 32. Where the trainer would choose
bfloat16 by itself, ``ratio_bfloat16:`` is both in bfloat16, and ``ratio_defaults:`` what either
does unasked.
"""

import argparse
import functools
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
import torch
from torch_twin import Twin

from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.landmarks import get_scheme
from wing_tf.losses import WingLoss
from wing_tf.models import MODELS
from wing_tf.training.build import compile_trainer
from wing_tf.training.config import complete_config
from wing_tf.training.device import Plan, plan

K = 68
"""Landmarks."""


def main():
    """Prints the table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--network", default="cnn6", choices=sorted(MODELS))
    parser.add_argument("--batches", default="8,32,128")
    parser.add_argument("--repeats", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    chosen = plan(complete_config({}))
    print(
        f"{args.network}, {os.cpu_count()} cores, TensorFlow {tf.__version__}, "
        f"PyTorch {torch.__version__}; the trainer chooses {chosen.precision} here"
    )
    precisions = dict.fromkeys(("float32", chosen.precision))
    gflop = _gflop_per_face(args.network)
    peak = _peak_gflops()
    print(f"{gflop:.3f} GFLOP a face and step; matrix product in float32: {peak:.0f} GFLOP/s\n")
    print(f"{'batch':>5}  {'precision':<9} {'wing_tf':>20} {'PyTorch':>20}  {'ratio':>5}  GFLOP/s")
    ratios = {}
    for batch_size in map(int, args.batches.split(",")):
        steps = {}
        for precision in precisions:
            steps |= make_steps(args.network, batch_size, chosen, precision)
        rates = take_turns(steps, batch_size, args.repeats)
        for precision in precisions:
            ours, theirs = rates["wing_tf", precision], rates["PyTorch", precision]
            ratio = ratios[batch_size, precision] = float(np.median(ours / theirs))
            print(
                f"{batch_size:>5}  {precision:<9} {_spread(ours):>20} {_spread(theirs):>20}"
                f"  {ratio:5.2f}  {np.median(ours) * gflop:5.0f} ",
                flush=True,
            )
        ratios[batch_size, "defaults"] = float(
            np.median(rates["wing_tf", chosen.precision] / rates["PyTorch", "float32"])
        )
    shown = 32 if (32, "float32") in ratios else batch_size
    print()
    if len(precisions) > 1:
        print(f"ratio_{chosen.precision}: {ratios[shown, chosen.precision]:.3f}")
        print(f"ratio_defaults: {ratios[shown, 'defaults']:.3f}")
    print(f"ratio: {ratios[shown, 'float32']:.3f}")


def make_steps(network_name: str, batch_size: int, chosen: Plan, precision: str) -> dict:
    """Returns both train steps, each a function that takes one step and returns the loss."""
    chosen = Plan(precision, chosen.compile_step, chosen.compile_parts)
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(chosen.policy)
    network = MODELS[network_name](K)
    keras.config.set_dtype_policy("float32")
    side = network.input_shape[1]
    augmenter = Augmenter(
        get_scheme("ibug_68"), input_size=side, margin=1.1, augmentation=Augmentation()
    )
    rate = 1e-3
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    trainer = compile_trainer(network, augmenter, optimizer, WingLoss(), chosen)
    random = np.random.default_rng(0)
    image = random.uniform(0, 255, (batch_size, side, side, 3)).astype(np.float32)
    landmarks = random.uniform(0, side, (batch_size, K, 2)).astype(np.float32)
    twin = Twin(network).to(memory_format=torch.channels_last)
    _check_same(network, twin, image, landmarks, exact=precision == "float32")

    batch = tuple(map(tf.constant, (image, landmarks, np.ones((batch_size, K), np.float32))))
    ours = tf.function(lambda: trainer.learn(batch), jit_compile=chosen.compile_step or None)
    theirs = functools.partial(
        _torch_step,
        twin,
        torch.optim.SGD(twin.parameters(), rate, momentum=0.9),
        _to_torch(image),
        torch.from_numpy(landmarks),
        bfloat16=precision == "bfloat16",
    )
    return {("wing_tf", precision): ours, ("PyTorch", precision): theirs}


def take_turns(steps: dict, batch_size: int, repeats: int, seconds: float = 1.5) -> dict:
    """Returns faces a second of each, by turns of about ``seconds``."""
    counts = {}
    for name, step in steps.items():
        for _ in range(5):
            step()
        started = time.perf_counter()
        for _ in range(3):
            step()
        counts[name] = max(3, round(seconds * 3 / (time.perf_counter() - started)))
    rates = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            time.sleep(0.2)  # the other's idle threads go to sleep
            step()
            started = time.perf_counter()
            for _ in range(counts[name]):
                step()
            rates[name].append(batch_size * counts[name] / (time.perf_counter() - started))
    return {name: np.array(values) for name, values in rates.items()}


def _torch_step(twin, optimizer, image, landmarks, *, bfloat16: bool):
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        predicted = twin(image)
    loss = _torch_wing(predicted.float(), landmarks)
    loss.backward()
    optimizer.step()
    return loss


def _torch_wing(predicted, landmarks, width: float = 10.0, curvature: float = 2.0):
    error = (predicted - landmarks).abs()
    constant = width - width * np.log1p(width / curvature)
    inner = width * torch.log1p(error / curvature)
    return torch.where(error < width, inner, error - constant).mean()


def _to_torch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(0, 3, 1, 2)  # channels_last memory, no copy


def _check_same(network, twin, image, landmarks, *, exact: bool) -> None:
    """Stops unless both compute the same landmarks, and the same loss from them."""
    ours = keras.ops.convert_to_numpy(network(image))
    with torch.no_grad():
        theirs = twin(_to_torch(image))
    difference = np.abs(ours - theirs.numpy()).max()
    if difference > (1e-3 if exact else 0.03) * np.abs(ours).max():
        raise AssertionError(f"The networks differ by {difference}.")
    loss = float(WingLoss()(landmarks, theirs.numpy()))
    if abs(loss / float(_torch_wing(theirs, torch.from_numpy(landmarks))) - 1) > 1e-5:
        raise AssertionError("The losses differ.")


def _gflop_per_face(network_name: str) -> float:
    """Returns forward and backward multiplications and additions: three times the forward ones."""
    network, total = MODELS[network_name](K), 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += 2 * np.prod(layer.kernel.shape) * np.prod(layer.output.shape[1:3])
        elif isinstance(layer, keras.layers.Dense):
            total += 2 * np.prod(layer.kernel.shape)
    return 3 * float(total) / 1e9


def _peak_gflops(size: int = 2048) -> float:
    """Returns what a large product of float32 matrices reaches on these cores."""
    a = tf.random.normal((size, size))
    best = np.inf
    for _ in range(10):
        started = time.perf_counter()
        tf.matmul(a, a).numpy()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best / 1e9


def _spread(rates: np.ndarray) -> str:
    return f"{np.median(rates):.0f} ({rates.min():.0f} to {rates.max():.0f})"


if __name__ == "__main__":
    main()
