"""Reproduce a table of a paper: train and evaluate its cells with equal budgets.

  wing-reproduce --table=wing_losses --data=RECORDS --output=LOSSES --budget=6 --seeds=0,1

A cell is one training, for each seed with the same budget. Each finished cell is a JSON file in
OUTPUT/cells, and the same command resumes where it was stopped. OUTPUT/table.md and table.json list
the scores beside the paper's, with paired bootstrap intervals of the differences; OUTPUT/ced_*.png
plot the error distributions. wing_speed is measured without data; all other tables are trained.

  wing-reproduce --table=awing_stacks --data=RECORDS --output=OUT --set=model.features=128

The same command may run any number of times at once, on one machine or on several that share
OUTPUT: each process trains the next cell that no other process trains, also one whose process was
killed. Give each process a GPU of its own, and all the same number of epochs by --epochs, or the
first process that needs a number measures it while the others run:

  for GPU in 0 1 2 3; do CUDA_VISIBLE_DEVICES=$GPU wing-reproduce --epochs=60 ... & done; wait

--table=settle trains the tables that settle the papers' claims, with three seeds, each in its own
folder in OUTPUT. --regenerate writes the tables of a folder again from the JSON files alone:

  wing-reproduce --regenerate=docs/results

--figure=NAME draws a figure of the papers into OUTPUT. heatmaps, heatmap_errors, margins and
nme_by_epoch are those of a table: OUTPUT is then its folder.

  wing-reproduce --figure=awing_loss --output=FIGURES
"""

import os
import pathlib
import re
import sys

from absl import app, flags

from wing_tf.cli import common
from wing_tf.reproduction import SETTLE_TABLES, TABLES
from wing_tf.reproduction.table import FIGURE_NAMES, RECIPE_NAMES
from wing_tf.utils.output_folder import locked_folder, shared_folder

_TABLE = flags.DEFINE_enum("table", None, [*TABLES, "wing_speed", "settle"], "The table.")
_PEERS = flags.DEFINE_multi_string(
    "peer",
    [],
    "Another system as NAME=REPORT, repeatable: a report folder of wing-evaluate on the same test "
    "faces with the same normalizer, for the plots of error distributions.",
)
_FIGURE = flags.DEFINE_enum("figure", None, FIGURE_NAMES, "Draw this figure instead.")
_REGENERATE = flags.DEFINE_string(
    "regenerate", None, "A folder of output folders whose tables are written again, without data."
)
_DATA = flags.DEFINE_string("data", None, "Record folder; its train split is the training data.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "Output folder: new, or one of the same table to resume."
)
_TESTS = flags.DEFINE_multi_string(
    "test", [], "Test set as NAME=GLOB, repeatable. Defaults to the test splits of --data."
)
_BUDGET = flags.DEFINE_float(
    "budget",
    6.0,
    "Minutes of training per cell; the number of epochs is measured once and stored in plan.json.",
    lower_bound=0.01,
)
_EPOCHS = flags.DEFINE_integer(
    "epochs",
    None,
    "Epochs per cell, instead of --budget. Defaults to the table's, if it has any.",
    lower_bound=0,
)
_SEEDS = flags.DEFINE_list(
    "seeds", None, "Seeds; each cell is trained once with each. Defaults to the table's, mostly 0."
)
_SET = flags.DEFINE_multi_string(
    "set", [], "Config override KEY=VALUE of all cells, repeatable; overrides the cells' own."
)
_CELLS = flags.DEFINE_list("cells", [], "Names of the cells to train. Defaults to all.")
_REUSE = flags.DEFINE_list(
    "reuse", [], "Output folders of other tables; their cells with the same setup are copied."
)
_RECIPE = flags.DEFINE_enum(
    "recipe",
    None,
    RECIPE_NAMES,
    "AdamW for short trainings, or the paper's optimizer and schedule. Defaults to the table's, "
    f"mostly {RECIPE_NAMES[0]}.",
)
_NORMALIZER = flags.DEFINE_string(
    "normalizer", "", "Normalizer of the errors. Defaults to the scheme's."
)
_SECOND_STAGE_WIDTH = flags.DEFINE_float(
    "second_stage_width", 1.0, "Width of the second stage's CNN-7.", lower_bound=0.01
)
_MAX_WEIGHT = flags.DEFINE_float(
    "max_weight", 10.0, "Maximum weight of a bin of the pose-based data balancing.", lower_bound=1.0
)
_NUM_BINS = flags.DEFINE_integer(
    "num_bins", 9, "Bins of the pose histogram (paper: 9 for 300-W, 17 for AFLW, signed ones)."
)
_SIGNED = flags.DEFINE_bool("signed", False, "Separate bins for left and right poses.")
_TRAININGS_PER_PROCESS = flags.DEFINE_integer(
    "trainings_per_process",
    10,
    "Trainings after which the command starts itself again and continues: TensorFlow does not free "
    "all memory of a training.",
    lower_bound=1,
)
_RESNET_WEIGHTS = flags.DEFINE_string(
    "resnet_weights", "", "Initial weights of ResNet-50: a .weights.h5 file, or imagenet."
)


def _pairs(flag: str, texts: list[str]) -> dict[str, str]:
    """Returns the values of a flag by their names."""
    pairs = [text.partition("=") for text in texts]
    if not all(re.fullmatch(r"\w+", name) and value for name, _, value in pairs):
        raise app.UsageError(f"--{flag} takes NAME=VALUE with a word as name. Received: {texts}.")
    return {name: value for name, _, value in pairs}


def _tests(data: str) -> dict[str, str]:
    if _TESTS.value:
        return _pairs("test", _TESTS.value)
    from wing_tf.data.record_files import is_folder, list_folder, record_path
    from wing_tf.data.record_schema import split_of

    folder = record_path(data)
    names = list_folder(folder) if is_folder(folder) else []
    splits = {split_of(name) for name in names if name.endswith(".tfrecord")}
    splits -= {"train", "validation", ""}
    if not splits:
        raise ValueError(f"No test split in {data}. Name test sets by --test=NAME=GLOB.")
    return {split: os.path.join(folder, f"{split}-*") for split in sorted(splits)}


def main() -> None:
    """Reproduces by the flags."""
    if _REGENERATE.value:
        from wing_tf.reproduction.write import regenerate

        for folder in regenerate(pathlib.Path(_REGENERATE.value)):
            print(f"Table: {folder / 'table.md'}")
        return
    if not _OUTPUT.value or not (_TABLE.value or _FIGURE.value):
        raise app.UsageError("--output is needed with --table or --figure; or --regenerate alone.")
    output = pathlib.Path(_OUTPUT.value)
    if _FIGURE.value:
        from wing_tf.reproduction.figures import draw_figure

        print(f"Figure: {draw_figure(_FIGURE.value, output)}")
        return
    if _TABLE.value == "wing_speed":
        from wing_tf.reproduction.speed import measure_speed

        with locked_folder(output):
            print(measure_speed(output))
    elif not _DATA.value:
        raise app.UsageError("--data is required for this table.")
    elif _TABLE.value == "settle":
        for name in SETTLE_TABLES:
            with shared_folder(output / name, subfolders=("cells", "peers")):
                _reproduce(name, output / name)
    else:
        with shared_folder(output, subfolders=("cells", "peers")):
            _reproduce(_TABLE.value or "", output)


def _reproduce(name: str, folder: pathlib.Path) -> None:
    """Trains the cells of a table and writes it."""
    tests = _tests(_DATA.value or "")

    from wing_tf.reproduction.cells import CellRunner
    from wing_tf.reproduction.peers import add_peer
    from wing_tf.reproduction.recipes import parse_overrides
    from wing_tf.reproduction.settings import Settings
    from wing_tf.reproduction.write import write_table
    from wing_tf.utils.file_lock import locked

    table = TABLES[name]
    balance = ""
    if table.pose_thirds or any(cell.balanced for cell in table.cells):
        with locked(folder / "balance.lock", wait=True):
            balance = _balance(folder)
    # A budget that is given comes before the table's number of epochs.
    epochs = 0 if flags.FLAGS["budget"].present else table.epochs
    settings = Settings(
        folder=folder,
        data=_DATA.value or "",
        tests=tests,
        seeds=tuple(map(int, _SEEDS.value)) if _SEEDS.value else table.seeds,
        minutes=_BUDGET.value,
        epochs=_EPOCHS.value or epochs,
        recipe=_RECIPE.value or table.recipe,
        normalizer=_NORMALIZER.value,
        balance=balance,
        overrides=parse_overrides(_SET.value),
        second_stage_overrides={"model.width": _SECOND_STAGE_WIDTH.value},
        reuse=tuple(pathlib.Path(folder) for folder in _REUSE.value),
        resnet_weights=_RESNET_WEIGHTS.value,
    )
    for peer, report in _pairs("peer", _PEERS.value).items():
        add_peer(folder, peer, pathlib.Path(report))
    runner = CellRunner(settings)
    runner.run(table, tuple(_CELLS.value), limit=_TRAININGS_PER_PROCESS.value)
    if runner.num_trained == _TRAININGS_PER_PROCESS.value:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    # The last of several processes writes a table of the cells of all.
    with locked(folder / "table.lock", wait=True):
        print(write_table(folder, name, table, runner.finished(table)))
    print(f"Table: {folder / 'table.md'}")


def _balance(folder: pathlib.Path) -> str:
    """Fits the pose balance to the training faces, once."""
    from wing_tf.data.pose_balance import PoseBalance, fit_balance
    from wing_tf.data.read import read_landmarks
    from wing_tf.data.records import open_records

    path = folder / "balance.json"
    if path.is_file():
        found = PoseBalance.load(path)
        kind = (len(found.bin_counts), not found.absolute, found.max_weight)
        if kind != (_NUM_BINS.value, _SIGNED.value, _MAX_WEIGHT.value):
            raise ValueError(
                f"{path} has {len(found.bin_counts)} {'absolute' if found.absolute else 'signed'} "
                f"bins and a maximum weight of {found.max_weight:g}. Choose another --output."
            )
        return str(path)
    records = open_records(_DATA.value or "", split="train")
    landmarks, visibility, _ = read_landmarks(records)
    model = fit_balance(
        landmarks,
        visibility,
        records.scheme,
        num_bins=_NUM_BINS.value,
        absolute=not _SIGNED.value,
        max_weight=_MAX_WEIGHT.value,
    )
    model.save(path, data=_DATA.value)
    return str(path)


def entry() -> None:
    """Console command."""
    common.run(main, __name__)


if __name__ == "__main__":
    entry()
