"""Time of heatmap targets and loss, as a fraction of the small recipe's train step.

python benchmarks/heatmap_step.py --records=RECORDS

Times the train step of configs/awing_small_300w_cpu.py as the trainer runs it; the augmenter with
and without heatmaps and boundary; Adaptive Wing loss with its weighted map and gradient; and the
encoder against a NumPy loop over landmarks. Medians in milliseconds per batch.
"""

import argparse
import pathlib
import runpy
import time

import numpy as np
import tensorflow as tf

from wing_tf.data.augment import Augmenter
from wing_tf.data.batches import training_batches
from wing_tf.data.records import open_records
from wing_tf.training.accelerator import plan_execution
from wing_tf.training.resolve import complete_config
from wing_tf.training.tasks import make_task
from wing_tf.training.trainer import make_loss, make_trainer

CONFIG = pathlib.Path(__file__).parents[1] / "configs" / "awing_small_300w_cpu.py"


def median_ms(function, repeats):
    """Returns the median time of calls, after two warm-up calls."""
    times = []
    for _ in range(repeats + 2):
        started = time.perf_counter()
        out = function()
        tf.nest.map_structure(np.asarray, out)
        times.append(1e3 * (time.perf_counter() - started))
    return float(np.median(times[2:]))


def encode_by_loop(landmarks_px, codec):
    """Draws the heatmaps of one face [K, 2], landmark by landmark."""
    side = codec.heatmap_size
    maps = np.zeros((side, side, len(landmarks_px)), np.float32)
    pixels = np.arange(side, dtype=np.float32)
    for k, (x, y) in enumerate(codec.to_heatmap(landmarks_px)):
        squared = (pixels[None] - x) ** 2 + (pixels[:, None] - y) ** 2
        maps[..., k] = np.exp(-0.5 * squared / codec.sigma**2)
    return maps


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", required=True)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    config = runpy.run_path(str(CONFIG))["get_config"]()
    config.data.path = options.records
    config = complete_config(config)
    records = open_records(options.records, split="train")
    task = make_task(config, records)
    device_plan = plan_execution(config)
    trainer = make_trainer(config, task, 100)
    batches = training_batches(
        records, batch_size=config.batch_size, num_draws=trainer.augmenter.num_draws, seed=0,
        ratio=task.decode_ratio, curves=task.boundary_curves,
    )  # fmt: skip
    batch = next(iter(batches))
    plain = Augmenter(records.scheme, jit_compile=device_plan.compile_parts, **task.crop_options)
    image, maps, weights = trainer.augmenter(batch)
    predicted = tf.constant(np.random.default_rng(0).uniform(0, 1, maps.shape), tf.float32)
    loss = make_loss(config)

    @tf.function
    def loss_and_gradient():
        with tf.GradientTape() as tape:
            tape.watch(predicted)
            value = loss(maps, predicted, sample_weight=weights)
        return tape.gradient(value, predicted)

    step = tf.function(lambda: trainer.train_step(batch))
    codec, landmarks = task.codec, plain(batch)[1]
    encode = tf.function(
        lambda: codec.encode(landmarks, weights[:, : landmarks.shape[1]])[0],
        jit_compile=device_plan.compile_parts,
    )
    host = np.asarray(landmarks)
    times = {
        "whole train step": median_ms(step, options.repeats),
        "augmenter with maps": median_ms(lambda: trainer.augmenter(batch), options.repeats),
        "augmenter without": median_ms(lambda: plain(batch), options.repeats),
        "loss and its gradient": median_ms(loss_and_gradient, options.repeats),
        "encoder alone": median_ms(encode, options.repeats),
        "encoder as a NumPy loop": median_ms(
            lambda: [encode_by_loop(face, codec) for face in host], options.repeats
        ),
    }
    print(f"batch {config.batch_size}, {device_plan.precision}, maps {tuple(maps.shape[1:])}")
    for name, value in times.items():
        print(f"{name:<26}{value:>9.2f} ms")
    drawing = times["augmenter with maps"] - times["augmenter without"]
    fraction = (drawing + times["loss and its gradient"]) / times["whole train step"]
    print(f"heatmaps, boundary and loss: fraction of the step: {fraction:.3f}")
    ratio = times["encoder as a NumPy loop"] / times["encoder alone"]
    print(f"encoder against the loop: {ratio:.1f} times")


if __name__ == "__main__":
    main()
