"""What each step after a heatmap training is worth: averaged weights, decoder, flip, second pass.

    python benchmarks/accuracy_steps.py RUN --data=RECORDS [--split=validation]

Every row is one way to use the same training, on the faces of the records, with their boxes:

* weights: those of the last backup ("last update"), and their moving averages;
* decoders of the heatmaps: the highest pixel, its quarter shift, soft-argmax and DARK;
* flip: averaged with the landmarks of the mirrored face;
* passes: the face is cropped again around the landmarks of the first pass.

The NME has a 95 % bootstrap interval over faces; differences are paired face by face, from the row
that is named.
"""

import argparse
import json
import pathlib

import numpy as np
import tensorflow as tf

from wing_tf.codecs import HeatmapCodec
from wing_tf.data import open_records, parse_face
from wing_tf.inference import Landmarker
from wing_tf.metrics import nme, normalizing_distance, paired_bootstrap, summarize_errors
from wing_tf.models import heatmap_localizer
from wing_tf.training.callbacks import Backup, averaged_weights
from wing_tf.training.resolve import complete_config, resolve_config
from wing_tf.training.tasks import HeatmapTask
from wing_tf.training.trainer import make_trainer

# Name, name of the row that it is compared with, averaged weights, decoder, flip, passes.
_STEPS = (
    ("last update, DARK", "", False, "dark", False, 1),
    ("averaged weights, DARK", "last update, DARK", True, "dark", False, 1),
    ("highest pixel", "averaged weights, DARK", True, "argmax", False, 1),
    ("quarter", "averaged weights, DARK", True, "quarter", False, 1),
    ("soft-argmax", "averaged weights, DARK", True, "soft_argmax", False, 1),
    ("flip", "averaged weights, DARK", True, "dark", True, 1),
    ("passes=2", "averaged weights, DARK", True, "dark", False, 2),
    ("flip, passes=2", "flip", True, "dark", True, 2),
)


def load_weights(run, data):
    """Returns the task of a run, and its networks with the last and with the averaged weights."""
    config = json.loads((run / "config.json").read_text())
    config["data"] = {**config["data"], "path": data}
    complete = complete_config(config)
    records = open_records(data, split=complete.data.train_split)
    config = resolve_config(complete, records)
    task = HeatmapTask(config, records)
    trainer = make_trainer(config, task, records.num_faces // config.batch_size)
    if not Backup.restore(trainer, run / "backup"):
        raise SystemExit(f"{run} holds no backup.")
    last, averaged = task.build_network(), task.build_network()
    last.set_weights(trainer.network.get_weights())
    with averaged_weights(trainer):
        averaged.set_weights(trainer.network.get_weights())
    return task, {False: last, True: averaged}


def read_squares(records):
    """Returns the stored squares of all faces, their boxes and their landmarks in square pixels."""
    dataset = tf.data.TFRecordDataset(records.files).map(lambda r: parse_face(r, records))
    faces = list(dataset.as_numpy_iterator())
    landmarks = np.stack([face["landmarks_square_px"] for face in faces]).astype(np.float64)
    landmarks[np.stack([face["visibility"] for face in faces]) == 0] = np.nan
    return [f["image"] for f in faces], np.stack([f["box_square_px"] for f in faces]), landmarks


def main():
    """Prints one row per step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="validation")
    options = parser.parse_args()

    task, networks = load_weights(options.run, options.data)
    records = open_records(options.data, split=options.split)
    squares, boxes, true = read_squares(records)
    scheme = records.scheme
    print(f"{options.run}: {records.num_faces} faces of {options.split}\n")
    print(f"| {'step':<24} | NME, %              | FR8, % | compared with, difference |")
    print("| --- | --- | --- | --- |")
    errors = {}
    for name, baseline, averaged, decoder, flip, passes in _STEPS:
        codec = HeatmapCodec(**(task.codec.get_config() | {"decoder": decoder}))
        localizer = heatmap_localizer(networks[averaged], scheme.num_landmarks, codec)
        landmarker = Landmarker(localizer, spec=task.spec, detector=None, passes=passes, flip=flip)
        found = landmarker(squares, [box[None] for box in boxes])
        predicted = np.stack([faces[0].landmarks_px for faces in found])
        errors[name] = nme(true, predicted, normalizing_distance(true, scheme))
        scores = summarize_errors(errors[name])
        low, high = (100 * bound for bound in scores["nme_interval"])
        row = f"| {name:<24} | {100 * scores['nme']:.3f} ({low:.2f} to {high:.2f}) "
        row += f"| {100 * scores['fr_08']:.1f} | "
        if baseline:
            change = [100 * x for x in paired_bootstrap(errors[name], errors[baseline])]
            row += f"{baseline}: {change[0]:+.3f} ({change[1]:+.3f} to {change[2]:+.3f}) "
        print(row + "|", flush=True)


if __name__ == "__main__":
    main()
