"""Processor time of whole trainings against the NME that they reach, by recipe.

    wing-tfrecords write --source=ibug_300w --root=300W --output=RECORDS
    python benchmarks/time_to_accuracy.py --data=RECORDS --output=STUDY [--only=hourglass/face_68]

A cell is RECIPE/START/FACES_SEEN: a training of that many faces, epochs times faces, with its whole
learning-rate schedule, from new weights ("scratch") or from a model of the zoo. Its last averaged
weights are evaluated on the test faces: no face is used to choose. Minutes are processor time
of all threads, halved: what two otherwise idle cores would take. Times of several processors are
not comparable; each cell says its own.

Cells are trained one after another in folders below ``--output``. The same command resumes: a
finished cell is kept, and the time of an interrupted one is that of its last start, extrapolated to
all epochs. Then ``table.md`` is written from all finished cells: the NME with its 95 % bootstrap
interval over faces, and the minutes of the fastest cell that reaches each target. ``--quick`` runs
two cells of one epoch; its figures mean nothing.
"""

import argparse
import dataclasses
import json
import pathlib
import platform
import time

from few_images import last_errors

from wing_tf.configs import awing_300w_cpu, mobile_unet_300w_cpu, wing_cnn6_300w_cpu
from wing_tf.data import open_records
from wing_tf.metrics import bootstrap_interval
from wing_tf.training.run import train
from wing_tf.utils.atomic import write_json, write_text

_TARGETS = (4.0, 3.5, 3.0)  # NME, %


def _mobile_unet():
    config = mobile_unet_300w_cpu.get_config()
    config.teacher.model = ""  # its own training on these faces takes longer than all of this
    return config


# Config, starts and faces seen of each recipe.
_RECIPES = {
    "cnn6": (wing_cnn6_300w_cpu.get_config, ("scratch",), (100_000, 200_000, 400_000, 800_000)),
    "hourglass": (
        lambda: awing_300w_cpu.get_config("first"),
        ("scratch", "face_68"),
        (7_000, 14_000, 28_000, 56_000, 112_000),
    ),
    "mobile_unet": (_mobile_unet, ("scratch",), (50_000, 100_000, 200_000, 400_000)),
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training."""

    recipe: str
    start: str
    faces_seen: int

    @property
    def name(self):
        """The cell's name and folder."""
        return f"{self.recipe}/{self.start}/{self.faces_seen}"


def cells_of(quick):
    """Returns all cells, or two of one epoch."""
    if quick:
        return [Cell("cnn6", "scratch", 1), Cell("hourglass", "face_68", 1)]
    return [
        Cell(recipe, start, faces)
        for recipe, (_, starts, lengths) in _RECIPES.items()
        for start in starts
        for faces in lengths
    ]


def train_cell(cell, options):
    """Trains a cell, and writes its errors on the test faces and its processor time."""
    folder = options.output / cell.name
    config = _RECIPES[cell.recipe][0]()
    config.data.path, config.num_images = options.data, 0
    num_faces = open_records(options.data, split=config.data.train_split).num_faces
    config.epochs = max(1, round(cell.faces_seen / num_faces))
    config.schedule.warmup_epochs = min(config.schedule.warmup_epochs, config.epochs / 8)
    config.validation_epochs = config.checkpoint_epochs = max(1, config.epochs // 4)
    if options.quick:
        config.batch_size, config.jit_compile = 8, "off"
    if cell.start != "scratch":
        config.init_from = cell.start
    log = folder / "metrics.csv"
    former = len(log.read_text("utf-8").splitlines()[1:]) if log.exists() else 0
    if former >= config.epochs:
        raise SystemExit(f"{folder} was trained, but its time is not known. Remove the folder.")
    resumed_at = former // config.checkpoint_epochs * config.checkpoint_epochs
    started = time.process_time()
    train(config, folder)
    seconds = time.process_time() - started
    errors = last_errors(folder, open_records(options.data, split=options.test))
    result = {
        "minutes": seconds * config.epochs / (config.epochs - resumed_at) / 60 / 2,
        "errors": [round(float(error), 6) for error in errors],
        "processor": _processor(),
    }
    write_json(folder / "result.json", result)


def _processor():
    """Returns the name of the processor."""
    path = pathlib.Path("/proc/cpuinfo")
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def write_table(path, cells, output):
    """Writes NME and minutes of the finished cells, and the minutes to each target."""
    lines = ["| recipe | start | faces seen | minutes of two cores | NME, % | processor |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    reached = {}
    for cell in cells:
        file = output / cell.name / "result.json"
        if not file.exists():
            continue
        result = json.loads(file.read_text("utf-8"))
        errors, minutes = result["errors"], result["minutes"]
        nme = 100 * sum(errors) / len(errors)
        low, high = (100 * bound for bound in bootstrap_interval(errors))
        lines.append(
            f"| {cell.recipe} | {cell.start} | {cell.faces_seen:,} | {minutes:.2f} | "
            f"{nme:.2f} ({low:.2f} to {high:.2f}) | {result['processor']} |"
        )
        key = cell.recipe, cell.start
        times = reached.setdefault(key, {target: [] for target in _TARGETS})
        for target in _TARGETS:
            if nme <= target:
                times[target].append(minutes)
    lines += ["", "Minutes of two cores until the NME is reached:", ""]
    lines += ["| recipe | start | " + " | ".join(f"{target:.1f} %" for target in _TARGETS) + " |"]
    lines += ["| --- " * (2 + len(_TARGETS)) + "|"]
    for key, times in reached.items():
        found = [f"{min(minutes):.1f}" if minutes else "-" for minutes in times.values()]
        lines.append(f"| {' | '.join([*key, *found])} |")
    write_text(path, "\n".join(lines) + "\n")


def main():
    """Trains the cells that are not finished, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--output", required=True, type=pathlib.Path)
    parser.add_argument("--only", default="", help="how the names of the cells begin")
    parser.add_argument("--test", default="test_helen", help="split of the test faces")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    cells = cells_of(options.quick)
    for cell in cells:
        done = (options.output / cell.name / "result.json").exists()
        if cell.name.startswith(options.only) and not done:
            print(cell.name, flush=True)
            train_cell(cell, options)
    write_table(options.output / "table.md", cells, options.output)
    print((options.output / "table.md").read_text("utf-8"))


if __name__ == "__main__":
    main()
