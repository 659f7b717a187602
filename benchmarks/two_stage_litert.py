"""Speed of a two-stage network in one LiteRT file against that of its two networks in sequence.

    pip install -e '.[bench]'
    python benchmarks/two_stage_litert.py [--threads=2] [--second_width=1.0] [--correct]

The one file also crops both inputs from the context image, aligns, and maps the landmarks back.
Random weights, one face at a time, float32, built-in operations only. `ratio:` is the speed of the
one file over that of the two networks (target .85).
"""

import argparse
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from turns import take_turns

from wing_tf.models import cnn6, cnn7, correction, two_stage
from wing_tf.models.two_stage import reference_in_crop


def main():
    """Prints the speeds and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--second_width", type=float, default=1.0)
    parser.add_argument("--first_size", type=int, default=64)
    parser.add_argument("--correct", action="store_true")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()

    keras.utils.set_random_seed(0)
    spread = np.random.default_rng(0).uniform(0, 1, (68, 2))
    reference = reference_in_crop(spread, 128, 1.1)
    first = cnn6(68, input_size=options.first_size)
    first.get_layer("output").bias.assign((reference * options.first_size / 128).ravel())
    second = cnn7(68, width=options.second_width)
    used = correction(second, reference) if options.correct else second
    whole = two_stage(first, used, reference, first_margin=1.1, second_margin=1.1)

    run_first, run_second, run_whole = (
        _interpreter(network, options.threads) for network in (first, second, whole)
    )

    def both():
        run_first()
        run_second()

    rates = take_turns({"one file": run_whole, "two networks": both}, 1,
                       options.repeats)  # fmt: skip
    medians = {name: float(np.median(values)) for name, values in rates.items()}
    for name, rate in medians.items():
        print(f"{name}: {rate:.1f} faces/s, {1000 / rate:.2f} ms")
    print(f"ratio: {medians['one file'] / medians['two networks']:.3f}")


def _interpreter(network: keras.Model, threads: int):
    """Returns a function that runs the network's LiteRT file."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "network.tflite"
        network.export(
            path,
            format="litert",
            verbose=False,
            input_signature=[
                keras.InputSpec(shape=(1, *tensor.shape[1:]), dtype="float32")
                for tensor in network.inputs
            ],
            target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
        )
        content = path.read_bytes()
    interpreter = Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    detail = interpreter.get_input_details()[0]
    image = np.random.default_rng(0).uniform(0, 255, detail["shape"]).astype(np.float32)
    interpreter.set_tensor(detail["index"], image)
    return interpreter.invoke


if __name__ == "__main__":
    main()
