"""Running a table's cells: each is trained once, judged, and kept as one small JSON file."""

import dataclasses
import hashlib
import json
import pathlib
import shutil
import time
from typing import Any

import keras
import ml_collections
import numpy as np

from wing_tf.data.balance import PoseBalance
from wing_tf.data.read import training_batches
from wing_tf.data.records import RecordSet, find_shards, open_records
from wing_tf.evaluation.predict import (
    Predictions,
    compile_network,
    crop_batches,
    predict_batches,
)
from wing_tf.evaluation.report import face_errors
from wing_tf.landmarks import LandmarkScheme
from wing_tf.models.saving import load_network
from wing_tf.reproduction.recipes import cell_config
from wing_tf.reproduction.tables import Cell, Table
from wing_tf.training.build import initialise, make_trainer
from wing_tf.training.fit import train
from wing_tf.training.stages import make_stage
from wing_tf.visualization.files import write_text

_UNTIMED_STEPS, _TIMED_SECONDS = 5, 15.0
# Validation, checkpoints and logs take a twentieth of a training.
_SHARE_OF_STEPS = 0.95


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What all cells of a run share.

    Attributes:
        folder: where cells, trainings and the table go.
        data: the record folder that is trained on.
        tests: record globs by the test set's name.
        seeds: each cell is trained once with each.
        minutes: of training for a cell; the epochs that fit are measured once and written down.
        epochs: instead of that.
        recipe: see `wing_tf.reproduction.recipes`.
        normaliser: of the errors; the mark-up's own if empty.
        balance: a folder or file of `wing-tfrecords balance`.
        changes: flattened config keys for all cells.
        second_changes: flattened config keys for second stages only.
        resnet_weights: where cells of ResNet-50 start.
    """

    folder: pathlib.Path
    data: str
    tests: dict[str, str]
    seeds: tuple[int, ...]
    minutes: float
    epochs: int = 0
    recipe: str = "tuned"
    normaliser: str = ""
    balance: str = ""
    changes: dict[str, Any] = dataclasses.field(default_factory=dict)
    second_changes: dict[str, Any] = dataclasses.field(default_factory=dict)
    resnet_weights: str = ""


def run_cells(table: Table, settings: Settings, only: tuple[str, ...] = ()) -> list[dict]:
    """Trains and judges what is not there yet; returns all cells that are there.

    Args:
        table: whose cells.
        settings: see `Settings`.
        only: names of cells; these and the first stages they need. All if empty.

    Raises:
        ValueError: on an unknown cell, or if a finished cell was made with other settings.
    """
    names = [cell.name for cell in table.cells]
    if unknown := set(only) - set(names):
        raise ValueError(f"No cell {sorted(unknown)[0]!r}. There are: {', '.join(names)}.")
    wanted = set(only or names)
    wanted |= {cell.first for cell in table.cells if cell.name in wanted and cell.first}
    records = open_records(find_shards(settings.data, "train"))
    (settings.folder / "cells").mkdir(parents=True, exist_ok=True)
    for seed in settings.seeds:
        for cell in table.cells:
            if cell.name in wanted:
                _run_cell(cell, seed, table, settings, records)
    return load_cells(settings.folder)


def load_cells(folder: pathlib.Path) -> list[dict]:
    """Returns the finished cells of a folder."""
    return [json.loads(path.read_text()) for path in sorted((folder / "cells").glob("*.json"))]


def file_name(cell: str, seed: int) -> str:
    """Returns a cell's file name without ending."""
    return f"{cell.replace('/', '-').replace(' ', '_')}_seed{seed}"


def _run_cell(cell: Cell, seed: int, table: Table, settings: Settings, records: RecordSet) -> None:
    path = settings.folder / "cells" / f"{file_name(cell.name, seed)}.json"
    config = _config(cell, seed, settings, records)
    wanted = json.loads(config.to_json_best_effort())
    if path.is_file():
        found = json.loads(path.read_text())["config"]
        skipped = ("epochs", "precision", "data", "two_stage.first", "balance.path")
        if _without(found, skipped) != _without(wanted, skipped):
            raise ValueError(
                f"{path} was made with another config. Name another --output, or remove the cell."
            )
        return
    epochs = settings.epochs or _planned_epochs(config, settings, records)
    config.epochs = epochs
    config.validation_epochs = config.checkpoint_epochs = max(1, epochs // 20)
    run = settings.folder / "runs" / file_name(cell.name, seed)
    print(f"\n{cell.name}, seed {seed}: {epochs} epochs.", flush=True)
    started = time.monotonic()
    train(config, run)
    seconds = time.monotonic() - started
    network, contract = load_network(run / "checkpoints" / "last.keras")
    compiled = compile_network(network)
    tests = {}
    for name, glob in settings.tests.items():
        part = open_records(find_shards(glob))
        predictions = predict_batches(compiled, crop_batches(part, contract))
        tests[name] = _judge(predictions, part.scheme, settings)
    trained = json.loads((run / "config.json").read_text())
    steps = records.num_faces // config.batch_size
    result = {
        "cell": cell.name,
        "seed": seed,
        "recipe": settings.recipe,
        "normaliser": settings.normaliser or records.scheme.default_normaliser,
        "config": trained,
        "epochs": epochs,
        "faces_seen": epochs * steps * config.batch_size,
        "training_faces": records.num_faces,
        "parameters": network.count_params(),
        "minutes_of_last_start": round(seconds / 60, 2),
        "tests": tests,
    }
    write_text(path, json.dumps(result) + "\n")
    for folder in ("backup", "tensorboard"):
        shutil.rmtree(run / folder, ignore_errors=True)


def _config(
    cell: Cell, seed: int, settings: Settings, records: RecordSet
) -> ml_collections.ConfigDict:
    changes = settings.changes | (settings.second_changes if cell.first else {})
    config = cell_config(
        cell,
        recipe=settings.recipe,
        num_landmarks=records.scheme.num_landmarks,
        changes=changes | {"seed": seed, "data.path": settings.data},
    )
    if config.model.name == "resnet50":
        config.model.weights = settings.resnet_weights
    if cell.first:
        config.two_stage.first = str(settings.folder / "runs" / file_name(cell.first, seed))
    if cell.balanced:
        if not settings.balance:
            raise ValueError(f"The cell {cell.name!r} needs a balance: name one.")
        config.balance.path = settings.balance
    return config


def _without(config: dict, names: tuple[str, ...]) -> dict:
    flat = {}
    for key, value in config.items():
        inner = value.items() if isinstance(value, dict) else ()
        flat |= {f"{key}.{name}": v for name, v in inner} or {key: value}
    skipped = (*names, "validation_epochs", "checkpoint_epochs")
    return {k: v for k, v in flat.items() if not k.startswith(skipped)}


def _planned_epochs(
    config: ml_collections.ConfigDict, settings: Settings, records: RecordSet
) -> int:
    """Returns how many epochs of such a training fit in the budget, measured once a network."""
    plan_file = settings.folder / "plan.json"
    plans = json.loads(plan_file.read_text()) if plan_file.is_file() else {}
    stage = "second" if config.two_stage.first else "single"
    key = f"{stage} {config.model.name} {config.model.input_size} px, width {config.model.width:g}"
    key += f", batch {config.batch_size}, {config.optimizer.name}, {settings.minutes:g} minutes"
    if key not in plans:
        speed = _faces_per_second(config, records)
        epoch = records.num_faces // config.batch_size * config.batch_size
        epochs = max(1, int(_SHARE_OF_STEPS * settings.minutes * 60 * speed / epoch))
        plans[key] = {"faces_per_second": round(speed), "epochs": epochs}
        write_text(plan_file, json.dumps(plans, indent=1) + "\n")
    return plans[key]["epochs"]


def _faces_per_second(config: ml_collections.ConfigDict, records: RecordSet) -> float:
    """Trains for some seconds and forgets it."""
    stage = make_stage(config, records)
    trainer = make_trainer(config, stage, 100)
    initialise(config, trainer, records)
    batches = training_batches(
        records,
        batch_size=config.batch_size,
        num_draws=trainer.augmenter.num_draws,
        seed=0,
        ratio=stage.decode_ratio,
        cache=config.data.cache,
    )
    watch = _Stopwatch()
    trainer.fit(batches, steps_per_epoch=10**6, verbose=0, shuffle=False, callbacks=[watch])
    return watch.steps_per_second * config.batch_size


class _Stopwatch(keras.callbacks.Callback):
    """Times steps, the first few left out, and stops the training."""

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the clock."""
        if batch == _UNTIMED_STEPS:
            self._started = time.monotonic()
        elif batch > _UNTIMED_STEPS:
            elapsed = time.monotonic() - self._started
            self.steps_per_second = (batch - _UNTIMED_STEPS) / elapsed
            self.model.stop_training = elapsed >= _TIMED_SECONDS


def _judge(predictions: Predictions, scheme: LandmarkScheme, settings: Settings) -> dict:
    errors, _ = face_errors(predictions, scheme, settings.normaliser or None)
    keys = "\n".join(predictions.key).encode()
    result = {
        "faces": len(errors),
        # Cells are compared face by face: the faces must be the same.
        "keys_sha256": hashlib.sha256(keys).hexdigest(),
        "nme": [None if np.isnan(error) else round(float(error), 6) for error in errors],
    }
    if settings.balance:
        visibility = np.isfinite(predictions.true_px).all(axis=-1)
        true = np.nan_to_num(predictions.true_px)
        pose = PoseBalance.load(settings.balance).coefficients(true, visibility)
        result["pose"] = [round(float(value), 4) for value in pose]
    return result
