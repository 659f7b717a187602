"""Memory of the full hourglass, and whether it can overfit eight faces.

python benchmarks/hourglass_eight_faces.py --records=RECORDS --steps=3 [--recompute]
python benchmarks/hourglass_eight_faces.py --records=RECORDS --num_stacks=1 --features=128 \\
    --input_size=128 --sigma=1 --rate=2e-3 --steps=800

Trains on the first eight training faces without augmentation, with the train step of
configs/awing_4hg.py and Adam instead of RMSprop. Prints the loss, the inter-ocular NME of the
decoded landmarks of these faces, seconds per step, and the peak memory of the process.
"""

import argparse
import pathlib
import resource
import runpy
import time

import keras
import numpy as np

from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.batches import training_batches
from wing_tf.data.records import open_records
from wing_tf.metrics import nme, normalizing_distance
from wing_tf.models.compiled import compile_network
from wing_tf.training.resolve import complete_config
from wing_tf.training.tasks import make_task
from wing_tf.training.trainer import make_trainer

CONFIG = pathlib.Path(__file__).parents[1] / "configs" / "awing_4hg.py"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", required=True)
    parser.add_argument("--num_stacks", type=int, default=4)
    parser.add_argument("--input_size", type=int, default=256)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--sigma", type=float, default=1.75, help="in heatmap pixels")
    parser.add_argument("--recompute", action="store_true")
    options = parser.parse_args()
    config = runpy.run_path(str(CONFIG))["get_config"]()
    config.update_from_flattened_dict(
        {
            "data.path": options.records,
            "model.num_stacks": options.num_stacks,
            "model.input_size": options.input_size,
            "model.features": options.features,
            "heatmap.decoder": "dark",
            "heatmap.sigma": options.sigma,
            "precision": options.precision,
            "gradient_checkpointing": options.recompute,
            "optimizer.name": "adamw",
            "optimizer.momentum": 0.9,
            "optimizer.learning_rate": options.rate,
            "optimizer.weight_decay": 0.0,
            "schedule.name": "cosine",
            "schedule.boundaries": (),
            "epochs": options.steps,
        }
    )
    config.augment.update({key: 0.0 for key in config.augment})
    config.augment.update(occlusion_size=Augmentation.occlusion_size, blur_sigma_px=1.0)
    config = complete_config(config)
    keras.utils.set_random_seed(0)
    records = open_records(options.records, split="train")
    task = make_task(config, records)
    trainer = make_trainer(config, task, 1)
    batch = next(
        iter(
            training_batches(
                records, batch_size=8, num_draws=trainer.augmenter.num_draws, seed=0,
                ratio=task.decode_ratio, curves=task.boundary_curves,
            ).take(1)
        )
    )  # fmt: skip
    print(f"{trainer.network.count_params():,} parameters, {config.precision}")
    trainer.make_train_function()
    times = []
    for step in range(options.steps):
        started = time.monotonic()
        logs = trainer.train_function(iter([batch]))
        times.append(time.monotonic() - started)
        if step in (0, options.steps - 1) or step % 50 == 49:
            print(f"step {step + 1}: loss {float(logs['loss']):.4f}", flush=True)
        trainer.reset_metrics()
    # Read before predicting, which would add to it.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    image, landmarks = _ground_truth(task, batch)
    network = task.build_network()
    network.set_weights(trainer.network.get_weights())
    found = np.asarray(compile_network(task.localizer(network))(image))
    distance = normalizing_distance(landmarks, records.scheme)
    errors = nme(landmarks, found, distance)
    print(f"NME {100 * errors.mean():.2f} %, worst {100 * errors.max():.2f} %")
    print(f"{np.median(times):.2f} s per step, peak memory {peak:.2f} GiB")


def _ground_truth(task, batch):
    """Returns the crops and the landmarks [8, K, 2] in their pixels."""
    image, landmarks, weights = Augmenter(task.records.scheme, **task.crop_options)(batch)
    landmarks = np.where(np.asarray(weights)[..., None] > 0, np.asarray(landmarks), np.nan)
    return np.asarray(image), landmarks.astype(np.float64)


if __name__ == "__main__":
    main()
