"""The train step against PyTorch: forward, Wing loss, backward and SGD on an augmented batch.

The trainer's step (``LandmarkTrainer.learn``, executed as in a training on this machine) and the
same network with the same weights in PyTorch, channels_last with its fused SGD, on the same
threads, alternate in one process. In float32 a check shows first that both compute the same
landmarks, the same loss and, after two steps, the same weights.

    pip install -e '.[bench]'
    python benchmarks/train_step.py [--network=cnn6] [--input_size=64] [--batches=8,32,128]
        [--repeats=9] [--compile] [--precision=bfloat16]

``--compile`` uses ``torch.compile``. Prints medians (lowest to highest) in faces per second; the
ratio is the median over the turns. The last line, ``ratio:``, is float32 against float32 at batch
32. Where the trainer chooses bfloat16, ``ratio_bfloat16:`` compares both in bfloat16, and
``ratio_defaults:`` the defaults of both.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
import torch
from ready_step import MOMENTUM, RATE, ReadyStep, default_plan
from torch_twin import Twin
from turns import take_turns

from wing_tf.losses import WingLoss
from wing_tf.models import MODELS


def main():
    """Prints the table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--network", default="cnn6", choices=sorted(MODELS))
    parser.add_argument("--batches", default="8,32,128")
    parser.add_argument("--input_size", type=int)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--precision", help="Compare in this precision, too.")
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    chosen = default_plan()
    print(
        f"{args.network}, {cores} cores, TensorFlow {tf.__version__}, "
        f"PyTorch {torch.__version__}; the trainer chooses {chosen.precision} here"
    )
    precisions = dict.fromkeys(("float32", args.precision or chosen.precision))
    gflop = _gflop_per_face(
        ReadyStep(args.network, 1, default_plan("float32"), args.input_size).network
    )
    peak = _peak_gflops()
    print(f"{gflop:.3f} GFLOP per face and step; matrix product in float32: {peak:.0f} GFLOP/s\n")
    print(f"{'batch':>5}  {'precision':<9} {'wing_tf':>20} {'PyTorch':>20}  {'ratio':>5}  GFLOP/s")
    ratios = {}
    for batch_size in map(int, args.batches.split(",")):
        steps = {}
        for precision in precisions:
            ours = ReadyStep(args.network, batch_size, default_plan(precision), args.input_size)
            steps |= {
                ("wing_tf", precision): ours,
                ("PyTorch", precision): torch_step(ours, precision, compiled=args.compile),
            }
        rates = take_turns(steps, batch_size, args.repeats)
        for precision in precisions:
            ours, theirs = rates["wing_tf", precision], rates["PyTorch", precision]
            ratio = ratios[batch_size, precision] = float(np.median(ours / theirs))
            print(
                f"{batch_size:>5}  {precision:<9} {_spread(ours):>20} {_spread(theirs):>20}"
                f"  {ratio:5.2f}  {np.median(ours) * gflop:5.0f} ",
                flush=True,
            )
        if chosen.precision not in precisions:
            continue
        ratios[batch_size, "defaults"] = float(
            np.median(rates["wing_tf", chosen.precision] / rates["PyTorch", "float32"])
        )
    shown = 32 if (32, "float32") in ratios else batch_size
    print()
    if len(precisions) > 1 and chosen.precision in precisions:
        print(f"ratio_{chosen.precision}: {ratios[shown, chosen.precision]:.3f}")
        print(f"ratio_defaults: {ratios[shown, 'defaults']:.3f}")
    print(f"ratio: {ratios[shown, 'float32']:.3f}")


def torch_step(ours: ReadyStep, precision: str, *, compiled: bool):
    """Returns the same step in PyTorch, after checking that it is the same in float32."""
    twin = Twin(ours.network).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(twin.parameters(), RATE, momentum=MOMENTUM, fused=True)
    image = torch.from_numpy(ours.image).permute(0, 3, 1, 2)  # channels_last memory, no copy
    landmarks = torch.from_numpy(ours.landmarks)
    forward = torch.compile(twin) if compiled else twin

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            predicted = forward(image)
        loss = _torch_wing(predicted.float(), landmarks)
        loss.backward()
        optimizer.step()

    if precision == "float32":
        _check_same(ours, twin, image, landmarks, step)
    return step


def _torch_wing(predicted, landmarks, width: float = 10.0, curvature: float = 2.0):
    error = (predicted - landmarks).abs()
    constant = width - width * np.log1p(width / curvature)
    inner = width * torch.log1p(error / curvature)
    return torch.where(error < width, inner, error - constant).mean()


def _check_same(ours: ReadyStep, twin: Twin, image, landmarks, step) -> None:
    """Raises unless both compute the same landmarks and loss, and the same weights in two steps."""
    predicted = keras.ops.convert_to_numpy(ours.network(ours.image))
    with torch.no_grad():
        theirs = twin(image)
    np.testing.assert_allclose(theirs.numpy(), predicted, atol=1e-3 * np.abs(predicted).max())
    loss = float(WingLoss()(ours.landmarks, theirs.numpy()))
    np.testing.assert_allclose(float(_torch_wing(theirs, landmarks)), loss, rtol=1e-5)
    before = [w.copy() for w in ours.network.get_weights()]
    for take in (ours, step):
        for _ in range(2):
            take()
    reference = Twin(ours.network)  # our weights, in PyTorch's order
    start = iter(before)
    for mine, peer in zip(reference.parameters(), twin.parameters(), strict=True):
        moved = np.abs(mine.detach().numpy().ravel().sum() - next(start).sum())
        difference = float((mine - peer).abs().max())
        if difference > 1e-5 or not moved:
            raise AssertionError(f"After two steps the weights differ by {difference}.")


def _gflop_per_face(network: keras.Model) -> float:
    """Returns multiplications and additions of the matrix products, forward and backward.

    Each layer has the gradient of its kernel and, except for the first one, of its input.
    """
    total, passes = 0.0, 2
    for layer in network.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            positions = np.prod(layer.output.shape[1:-1])  # 1 for a dense layer
            total += passes * 2 * np.prod(layer.kernel.shape) * positions
            passes = 3
    return float(total) / 1e9


def _peak_gflops(size: int = 2048) -> float:
    """Returns the GFLOP/s of a large product of float32 matrices on these cores."""
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
