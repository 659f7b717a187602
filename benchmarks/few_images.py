"""Accuracy after training on few images, from scratch and from a model of the zoo.

    wing-tfrecords write --source=ibug_300w --root=300W --output=RECORDS
    python benchmarks/few_images.py --data=RECORDS --output=STUDY [--only=face_12/25]

A cell is SCHEME/N/START/DRAW: N training faces drawn at random, of the 68 landmarks or of 12 of
them, as a scheme of one's own; the network of configs/finetune_cpu.py from new weights ("scratch"),
from face_68, or from face_68 with the output layer alone trained ("head"). All cells see the same
number of faces, and their last averaged weights are evaluated: no face is used to choose.

Cells are trained one after another in folders below ``--output``. The same command resumes: a
finished cell is kept, and several processes with other ``--only`` may share the folder. Then
``table.md`` and ``few_images.png`` are written from all finished cells: the mean NME over draws
with its 95 % bootstrap interval over faces, and the paired difference from scratch.
``results.json`` has each cell's errors by face; cells in it count as finished, and without
``--data`` the table and the plot are made from it. ``--quick`` trains one cell, for 50 faces seen.
"""

import argparse
import dataclasses
import itertools
import json
import pathlib

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from wing_tf.configs import finetune_cpu
from wing_tf.data import open_records
from wing_tf.data import record_schema as schema
from wing_tf.evaluation.predict import crop_batches, predict_batches
from wing_tf.evaluation.report import face_errors
from wing_tf.landmarks import custom_scheme_json, get_scheme, register_scheme, scheme_from_dict
from wing_tf.landmarks.shared_points import IBUG_68_POINTS
from wing_tf.metrics import bootstrap_interval, paired_bootstrap
from wing_tf.models.compiled import compile_localizer
from wing_tf.models.saving import load_network
from wing_tf.training.run import train
from wing_tf.utils.atomic import atomic_path, write_json, write_text
from wing_tf.visualization.plots import save_figure

_POINTS = (
    "left_eye_outer", "left_eye_inner", "right_eye_inner", "right_eye_outer", "nose_tip",
    "left_nostril", "right_nostril", "left_mouth_corner", "right_mouth_corner", "upper_lip",
    "lower_lip", "chin",
)  # fmt: skip
_FACE_12 = scheme_from_dict({
    "name": "face_12",
    "points": list(_POINTS),
    "pairs": [[p, p.replace("left", "right")] for p in _POINTS if p.startswith("left")],
    "normalizer": ["left_eye_outer", "right_eye_outer"],
})  # fmt: skip
_LANDMARKS = {"ibug_68": list(range(68)), "face_12": [IBUG_68_POINTS[point] for point in _POINTS]}
_NUM_FACES = (25, 50, 100, 200, 500)
_STARTS = {"scratch": "from scratch", "face_68": "from face_68", "head": "output layer alone"}
_DRAWS = (0, 1, 2)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training."""

    scheme: str
    num_faces: int
    start: str
    draw: int

    @property
    def name(self):
        """The cell's name and folder."""
        return f"{self.scheme}/{self.num_faces}/{self.start}/{self.draw}"


def read_records(data, split):
    """Returns the serialized records of a split."""
    files = open_records(data, split=split).files
    return list(tf.data.TFRecordDataset(files).as_numpy_iterator())


def select_landmarks(record, scheme):
    """Returns a serialized record of the 68 landmarks with those of a scheme."""
    example = tf.train.Example.FromString(record)
    feature, chosen = example.features.feature, _LANDMARKS[scheme.name]
    landmarks = np.reshape(feature[schema.LANDMARKS].float_list.value, (-1, 2))[chosen]
    visibility = np.array(feature[schema.VISIBILITY].int64_list.value)[chosen]
    feature[schema.LANDMARKS].float_list.value[:] = landmarks.ravel()
    feature[schema.VISIBILITY].int64_list.value[:] = visibility
    feature[schema.SCHEME].bytes_list.value[:] = [scheme.name.encode()]
    if (text := custom_scheme_json(scheme)) is not None:
        feature[schema.SCHEME_JSON].bytes_list.value[:] = [text.encode()]
    return example.SerializeToString()


def write_split(folder, split, records, scheme):
    """Writes one shard of a split, unless it exists."""
    path = folder / schema.shard_name(split, 0, 1)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
            for record in records:
                writer.write(select_landmarks(record, scheme))


def train_cell(cell, options):
    """Trains a cell, and writes its errors on the test faces."""
    scheme, folder = get_scheme(cell.scheme), options.output / cell.name
    common = options.output / cell.scheme / "test"
    data = options.output / cell.scheme / str(cell.num_faces) / f"draw_{cell.draw}"
    faces = read_records(options.data, "train")
    drawn = np.random.default_rng(cell.draw).permutation(len(faces))[: cell.num_faces]
    write_split(data, "train", [faces[i] for i in drawn], scheme)
    write_split(data, "validation", read_records(options.data, "validation")[:32], scheme)
    write_split(common, options.test, read_records(options.data, options.test), scheme)

    config = finetune_cpu.get_config()
    config.data.path, config.seed = str(data), cell.draw
    config.epochs = max(1, round(options.faces_seen / cell.num_faces))
    config.schedule.warmup_epochs = config.epochs / 24
    config.validation_epochs = config.checkpoint_epochs = config.epochs
    config.num_images = 0
    if cell.start != "scratch":
        config.init_from = options.model
    if cell.start == "head":
        config.optimizer.backbone_rate = 0.0
    train(config, folder)

    errors = last_errors(folder, open_records(str(common)))
    write_json(folder / "errors.json", [round(float(error), 5) for error in errors])


def last_errors(run, records):
    """Returns the errors of a run's last weights on the faces of records, by ground truth boxes."""
    network, spec = load_network(run / "checkpoints" / "last.keras")
    predictions = predict_batches(compile_localizer(network), crop_batches(records, spec))
    return face_errors(predictions, records.scheme)[0]


def read_errors(output, cells):
    """Returns the errors on the test faces of all finished cells by their names."""
    stored = output / "results.json"
    found = json.loads(stored.read_text()) if stored.exists() else {}
    for cell in cells:
        path = output / cell.name / "errors.json"
        if path.exists():
            found[cell.name] = json.loads(path.read_text())
    return {cell.name: found[cell.name] for cell in cells if cell.name in found}


def mean_over_draws(errors, cells):
    """Returns mean errors over draws, and the number of draws, by (scheme, faces, start)."""
    found = {}
    for cell in cells:
        if cell.name in errors:
            key = cell.scheme, cell.num_faces, cell.start
            found.setdefault(key, []).append(errors[cell.name])
    return {key: (np.mean(draws, axis=0), len(draws)) for key, draws in found.items()}


def write_table(path, results):
    """Writes NME and differences from scratch."""
    lines = ["| scheme | faces | start | draws | NME, % | difference from scratch |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for (scheme, count, start), (errors, draws) in results.items():
        low, high = (100 * bound for bound in bootstrap_interval(errors))
        nme, difference = f"{100 * errors.mean():.2f} ({low:.2f} to {high:.2f})", ""
        scratch = results.get((scheme, count, "scratch"))
        if start != "scratch" and scratch is not None:
            mean, low, high = (100 * x for x in paired_bootstrap(errors, scratch[0]))
            difference = f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"
        lines.append(f"| {scheme} | {count} | {start} | {draws} | {nme} | {difference} |")
    write_text(path, "\n".join(lines) + "\n")


def plot(path, results):
    """Writes the NME over the number of faces, one panel for each scheme."""
    schemes = list(dict.fromkeys(key[0] for key in results))
    figure = Figure(figsize=(5 * len(schemes), 4), layout="constrained")
    panels = figure.subplots(1, len(schemes), squeeze=False)[0]
    for axes, scheme in zip(panels, schemes, strict=True):
        for start in _STARTS:
            points = {k[1]: e for k, (e, _) in results.items() if (k[0], k[2]) == (scheme, start)}
            if points:
                means = [100 * errors.mean() for errors in points.values()]
                bounds = [np.multiply(100, bootstrap_interval(e)) for e in points.values()]
                lengths = np.abs(np.transpose(bounds) - means)
                axes.errorbar(
                    list(points), means, lengths, label=_STARTS[start], capsize=3, marker="o"
                )
        axes.set(xscale="log", xlabel="training faces", ylabel="NME, %", title=scheme)
        axes.set_xticks(_NUM_FACES, [str(count) for count in _NUM_FACES])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
    save_figure(figure, path, dpi=100)


def main():
    """Trains the cells that are not finished, and writes table and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="records of 300-W")
    parser.add_argument("--output", required=True, type=pathlib.Path)
    parser.add_argument("--only", default="", help="how the names of the cells begin")
    parser.add_argument("--model", default="face_68")
    parser.add_argument("--faces_seen", type=int, default=24_000)
    parser.add_argument("--test", default="test_helen", help="split of the test faces")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.only, options.faces_seen = "face_12/25/scratch/0", 50
    register_scheme(_FACE_12)
    cells = [Cell(*part) for part in itertools.product(_LANDMARKS, _NUM_FACES, _STARTS, _DRAWS)]
    for cell in cells if options.data else ():
        if cell.name.startswith(options.only) and not read_errors(options.output, [cell]):
            print(cell.name, flush=True)
            train_cell(cell, options)
    errors = read_errors(options.output, cells)
    write_json(options.output / "results.json", errors, indent=None)
    results = mean_over_draws(errors, cells)
    write_table(options.output / "table.md", results)
    plot(options.output / "few_images.png", results)
    print((options.output / "table.md").read_text())


if __name__ == "__main__":
    main()
