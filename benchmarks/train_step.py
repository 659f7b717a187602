"""The train step against PyTorch: forward, loss, backward and SGD on an augmented batch.

The trainer's step (``LandmarkTrainer.learn``, executed as in a training on this machine) and the
same network with the same weights in PyTorch, channels_last with its fused SGD, on the same
threads, alternate in one process. In float32 a check shows first that both compute the same
output, the same loss and, after two steps, the same weights. The loss is Wing loss; that of
``--network=hourglass``, the one of configs/awing_300w_cpu.py at 128 px, is Adaptive Wing loss with
its weighted map.

    pip install -e '.[bench]'
    python benchmarks/train_step.py [--network=cnn6] [--input_size=64] [--batches=8,32,128]
        [--repeats=9] [--compile] [--precision=bfloat16] [--processor_time]
    python benchmarks/train_step.py --network=hourglass --quick

``--compile`` uses ``torch.compile``. Prints medians (lowest to highest) in faces per second; the
ratio is the median over the turns. The last line, ``ratio:``, is float32 against float32 at batch
32. Where the trainer chooses bfloat16, ``ratio_bfloat16:`` compares both in bfloat16, and
``ratio_defaults:`` the defaults of both. ``--processor_time`` measures faces per second of
processor time of one thread, for machines that other processes use, too. ``--quick`` runs all of it
in seconds, on a tiny batch; its figures mean nothing. Without PyTorch there are no ratios.
"""

import argparse
import functools
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from ready_step import MOMENTUM, RATE, ReadyStep, default_plan, gflop_per_face
from turns import take_turns

from wing_tf.models import MODELS

# PyTorch's builds for GPUs load triton, whose LLVM crashes beside TensorFlow's.
sys.modules["triton"] = None
try:
    import torch
    from torch_twin import Twin
except ModuleNotFoundError:
    torch = None


def main():
    """Prints the table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--network", default="cnn6", choices=sorted([*MODELS, "hourglass"]))
    parser.add_argument("--batches", default="8,32,128")
    parser.add_argument("--input_size", type=int)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--precision", help="Compare in this precision, too.")
    parser.add_argument("--processor_time", action="store_true")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    cores = 1 if args.processor_time else len(os.sched_getaffinity(0))
    measure = {"repeats": args.repeats}
    if args.processor_time:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        measure["clock"] = time.process_time
    if args.quick:
        args.batches, args.input_size = "8", args.input_size or 64
        measure |= {"repeats": 1, "seconds": 0.01}
    chosen = default_plan()
    print(
        f"{args.network}, {cores} cores, TensorFlow {tf.__version__}, PyTorch "
        f"{torch.__version__ if torch else 'not installed'}; "
        f"the trainer chooses {chosen.precision} here"
    )
    precisions = dict.fromkeys(("float32", args.precision or chosen.precision))
    make = functools.partial(ReadyStep, args.network, input_size=args.input_size)
    gflop = gflop_per_face(make(1, default_plan("float32")).network)
    peak = _peak_gflops()
    print(f"{gflop:.3f} GFLOP per face and step; matrix product in float32: {peak:.0f} GFLOP/s\n")
    print(f"{'batch':>5}  {'precision':<9} {'wing_tf':>20} {'PyTorch':>20}  {'ratio':>5}  GFLOP/s")
    if torch:
        torch.set_num_threads(cores)
    ratios = {}
    for batch_size in map(int, args.batches.split(",")):
        steps = {}
        for precision in precisions:
            print(f"{batch_size:>5}  {precision:<9} is compiled ...", end="\r", flush=True)
            ours = make(batch_size, default_plan(precision))
            steps["wing_tf", precision] = ours
            if torch:
                theirs = torch_step(ours, precision, compiled=args.compile)
                steps["PyTorch", precision] = theirs
        rates = take_turns(steps, batch_size, **measure)
        for precision in precisions:
            ours = rates["wing_tf", precision]
            theirs = rates.get(("PyTorch", precision), np.array([np.nan]))
            ratio = ratios[batch_size, precision] = float(np.median(ours / theirs))
            print(
                f"{batch_size:>5}  {precision:<9} {_spread(ours):>20} {_spread(theirs):>20}"
                f"  {ratio:5.2f}  {np.median(ours) * gflop:5.0f} ",
                flush=True,
            )
        if chosen.precision in precisions and torch:
            ratios[batch_size, "defaults"] = float(
                np.median(rates["wing_tf", chosen.precision] / rates["PyTorch", "float32"])
            )
    if not torch:
        return
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
    targets, loss_of = torch.from_numpy(ours.targets), _torch_wing
    if targets.ndim == 4:
        targets, loss_of = targets.permute(0, 3, 1, 2), _torch_weighted_adaptive_wing
    forward = torch.compile(twin) if compiled else twin

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            predicted = forward(image)
        loss = loss_of(predicted.float(), targets)
        loss.backward()
        optimizer.step()

    if precision == "float32":
        _check_same(ours, twin, image, functools.partial(loss_of, targets=targets), step)
    return step


def _torch_wing(predicted, targets, width: float = 10.0, curvature: float = 2.0):
    error = (predicted - targets).abs()
    constant = width - width * np.log1p(width / curvature)
    inner = width * torch.log1p(error / curvature)
    return torch.where(error < width, inner, error - constant).mean()


def _torch_weighted_adaptive_wing(predicted, targets):
    """Adaptive Wing loss with its default parameters, of which epsilon is 1."""
    exponent, error, theta = 2.1 - targets, (predicted - targets).abs(), 0.5
    near = 14 * torch.log1p(error.clamp(1e-30, theta) ** exponent)
    knee = theta**exponent
    slope = 14 * exponent * knee / theta / (1 + knee)
    values = torch.where(error < theta, near, slope * (error - theta) + 14 * torch.log1p(knee))
    dilated = torch.nn.functional.max_pool2d(targets, 3, 1, 1)
    return (values * torch.where(dilated >= 0.2, 11.0, 1.0)).mean()


def _check_same(ours: ReadyStep, twin: "Twin", image, loss_of, step) -> None:
    """Raises unless both compute the same output and loss, and the same weights in two steps."""
    predicted = keras.ops.convert_to_numpy(ours.network(ours.image))
    with torch.no_grad():
        theirs = twin.eval()(image)
    twin.train()
    keras_order = theirs.permute(0, 2, 3, 1) if theirs.ndim == 4 else theirs
    np.testing.assert_allclose(keras_order, predicted, atol=1e-3 * np.abs(predicted).max())
    loss = float(ours.loss(ours.targets, keras_order.numpy()))
    np.testing.assert_allclose(float(loss_of(theirs)), loss, rtol=1e-4)
    start = Twin(ours.network)
    for take in (ours, step):
        for _ in range(2):
            take()
    reference = Twin(ours.network)  # our weights, in PyTorch's order
    moves = []
    with torch.no_grad():
        for (name, mine), peer, first in zip(
            reference.named_parameters(), twin.parameters(), start.parameters(), strict=True
        ):
            moves.append(float((mine - first).abs().max()))
            difference = float((mine - peer).abs().max())
            if difference > 1e-5 + 0.02 * moves[-1]:
                raise AssertionError(
                    f"After two steps {name} differs by {difference} and has moved by {moves[-1]}."
                )
    if not max(moves) > 2e-5:
        raise AssertionError(f"In two steps the weights have moved by {max(moves)} only.")


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
