"""The full hourglass on eight faces: its memory, and whether it can learn them by heart.

python benchmarks/hourglass_eight_faces.py --records=RECORDS --steps=3 [--recompute]
python benchmarks/hourglass_eight_faces.py --records=RECORDS --num_stacks=1 --features=128 \\
    --input_size=128 --sigma=1 --rate=2e-3 --steps=800

Trains on the first eight training faces, without augmentation, by the train step of
configs/awing_4hg_300w.py with Adam in RMSprop's place. Prints the loss as it falls, the
inter-ocular NME of the faces' decoded landmarks, seconds a step, and the process's peak memory.
"""

import argparse
import pathlib
import resource
import runpy
import time

import keras
import numpy as np

from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.read import training_batches
from wing_tf.data.records import find_shards, open_records
from wing_tf.metrics import nme, normalizing_distance
from wing_tf.models.compiled import compile_network
from wing_tf.training.config import complete_config
from wing_tf.training.tasks import make_task
from wing_tf.training.trainer import make_trainer

CONFIG = pathlib.Path(__file__).parents[1] / "configs" / "awing_4hg_300w.py"


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
    records = open_records(find_shards(options.records, "train"))
    stage = make_task(config, records)
    trainer = make_trainer(config, stage, 1)
    batch = next(
        iter(
            training_batches(
                records, batch_size=8, num_draws=trainer.augmenter.num_draws, seed=0,
                ratio=stage.decode_ratio, curves=stage.curves,
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
    # Now: a prediction that is not compiled keeps every layer's output.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    image, landmarks = _truth(stage, batch)
    network = stage.network()
    network.set_weights(trainer.network.get_weights())
    found = np.asarray(compile_network(stage.whole(network))(image))
    distance = normalizing_distance(landmarks, records.scheme)
    errors = nme(landmarks, found, distance)
    print(f"NME {100 * errors.mean():.2f} %, worst {100 * errors.max():.2f} %")
    print(f"{np.median(times):.2f} s a step, peak memory {peak:.2f} GiB")


def _truth(stage, batch):
    """Returns the crops and the landmarks [8, K, 2] in their pixels."""
    image, landmarks, weights = Augmenter(stage.records.scheme, **stage._crops)(batch)
    landmarks = np.where(np.asarray(weights)[..., None] > 0, np.asarray(landmarks), np.nan)
    return np.asarray(image), landmarks.astype(np.float64)


if __name__ == "__main__":
    main()
