"""Running a table's cells: each is trained once, judged, and kept as one small JSON file."""

import csv
import dataclasses
import json
import pathlib
import re
import shutil
import time
from typing import Any

import keras
import ml_collections
import numpy as np

from wing_tf.data.pose_balance import PoseBalance
from wing_tf.data.records import find_shards, open_records
from wing_tf.evaluation.heatmaps import face_heatmaps, peak_margins
from wing_tf.evaluation.predict import (
    Predictions,
    check_fit,
    crop_batches,
    predict_batches,
)
from wing_tf.evaluation.report import face_errors
from wing_tf.landmarks import BOX_NORMALIZERS
from wing_tf.model_spec import ModelSpec
from wing_tf.models import HEATMAP_MODELS, residual_network
from wing_tf.models.compiled import compile_network
from wing_tf.models.saving import load_network
from wing_tf.reproduction.budget import planned_epochs
from wing_tf.reproduction.cell_setup import file_name, fingerprint, merged, plain_config, sha256
from wing_tf.reproduction.recipes import cell_config, set_epochs
from wing_tf.reproduction.table import Cell, Table
from wing_tf.training.config import default_config
from wing_tf.training.run import train
from wing_tf.utils.atomic import write_text

MARGIN_DISTANCES = (1, 2, 3, 4, 6, 8, 12)
"""Heatmap pixels from a map's peak, at which `peak_margins` are kept."""


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
        normalizer: of the errors; the scheme's own if empty.
        balance: a file of `wing-tfrecords balance`; none if empty.
        resnet_weights: where cells of ResNet-50 start.
        overrides: flattened config keys for all cells.
        second_stage_overrides: flattened config keys for second stages only.
        reuse: output folders of other runs; a finished cell there that was made in the very same
            way, whatever its name, is copied instead of trained.
    """

    folder: pathlib.Path
    data: str
    tests: dict[str, str]
    seeds: tuple[int, ...]
    minutes: float
    epochs: int = 0
    recipe: str = "tuned"
    normalizer: str = ""
    balance: str = ""
    resnet_weights: str = ""
    overrides: dict[str, Any] = dataclasses.field(default_factory=dict)
    second_stage_overrides: dict[str, Any] = dataclasses.field(default_factory=dict)
    reuse: tuple[pathlib.Path, ...] = ()


class CellRunner:
    """Trains and judges cells that are not there yet.

    Args:
        settings: see `Settings`.

    Raises:
        ValueError: if the test sets don't fit the training faces, or can't be scored so.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.records = open_records(find_shards(settings.data, "train"))
        scheme = self.records.scheme
        self.tests = {name: open_records(find_shards(g)) for name, g in settings.tests.items()}
        for name, part in self.tests.items():
            if not re.fullmatch(r"\w+", name):
                raise ValueError(f"A test set's name must be a word. Received: {name!r}.")
            if part.scheme.name != scheme.name:
                raise ValueError(
                    f"The test set {name} holds {part.scheme.name}, the training faces are "
                    f"{scheme.name}."
                )
            if shared := set(part.files) & set(self.records.files):
                raise ValueError(f"The test set {name} holds training faces: {sorted(shared)[0]}.")
        self.normalizer = settings.normalizer or scheme.default_normalizer
        known = [*scheme.normalizers, *BOX_NORMALIZERS]
        if self.normalizer not in known:
            raise ValueError(
                f"The normalizer must be one of {', '.join(known)}. Received: {self.normalizer!r}."
            )
        for folder in settings.reuse:
            if not (folder / "cells").is_dir():
                raise ValueError(f"{folder} has no cells to reuse.")
        if settings.reuse and not settings.epochs:
            raise ValueError("Cells are reused at equal epochs only: set epochs, not minutes.")
        self.balance = PoseBalance.load(settings.balance) if settings.balance else None

    def run(self, table: Table, only: tuple[str, ...] = ()) -> list[dict]:
        """Trains and judges what is not there yet; returns the table's cells that are there.

        Args:
            table: whose cells.
            only: names of cells; these and the first stages they need. All if empty.

        Raises:
            ValueError: on an unknown cell, or if a finished cell was made in another way.
        """
        names = [cell.name for cell in table.cells]
        if unknown := set(only) - set(names):
            raise ValueError(f"No cell {sorted(unknown)[0]!r}. There are: {', '.join(names)}.")
        # A second stage needs its first one's network, which copied cells don't have.
        self._firsts = {cell.first_stage for cell in table.cells if cell.first_stage}
        (self.settings.folder / "cells").mkdir(parents=True, exist_ok=True)
        cells = []
        for seed in self.settings.seeds:
            wanted = set(only or names)
            wanted |= {name for name in names if self._path(name, seed).is_file()}
            wanted |= {
                cell.first_stage for cell in table.cells if cell.name in wanted and cell.first_stage
            }
            cells += [self._cell(cell, seed) for cell in table.cells if cell.name in wanted]
        return cells

    def _path(self, cell: str, seed: int) -> pathlib.Path:
        return self.settings.folder / "cells" / f"{file_name(cell, seed)}.json"

    def _cell(self, cell: Cell, seed: int) -> dict:
        """Returns a finished cell; trains it first if it is not there."""
        path = self._path(cell.name, seed)
        config = self._config(cell, seed)
        setup = self._setup(cell, seed, config)
        if not path.is_file() and cell.name not in self._firsts:
            self._copy(cell, seed, setup, path)
        if path.is_file():
            found = json.loads(path.read_text())
            if different := _differences(found, setup):
                raise ValueError(
                    f"{path} was made in another way ({', '.join(different)}). Name another "
                    "output folder."
                )
            return found
        return self._train(cell, seed, config, setup, path)

    def _copy(self, cell: Cell, seed: int, setup: dict, path: pathlib.Path) -> None:
        """Copies a cell that was made in the same way, if there is one to reuse."""
        for folder in self.settings.reuse:
            for other in sorted((folder / "cells").glob("*.json")):
                found = json.loads(other.read_text())
                if found["seed"] != seed or _differences(found, setup):
                    continue
                print(f"\n{cell.name}, seed {seed}: the same as {other}.", flush=True)
                if (maps := other.with_suffix(".npz")).is_file():
                    shutil.copyfile(maps, path.with_suffix(".npz"))
                write_text(path, json.dumps(found | {"cell": cell.name}) + "\n")
                return

    def _train(
        self,
        cell: Cell,
        seed: int,
        config: ml_collections.ConfigDict,
        setup: dict,
        path: pathlib.Path,
    ) -> dict:
        keras.utils.clear_session()
        settings, records = self.settings, self.records
        self._check_context(config)
        epochs = settings.epochs or planned_epochs(
            config, records, settings.minutes, settings.folder / "plan.json"
        )
        set_epochs(config, epochs)
        run = settings.folder / "runs" / file_name(cell.name, seed)
        print(f"\n{cell.name}, seed {seed}: {config.epochs} epochs.", flush=True)
        started = time.monotonic()
        train(config, run)
        with (run / "metrics.csv").open(newline="") as file:
            epochs = sum(1 for _ in csv.DictReader(file))  # a schedule may end sooner
        seconds = time.monotonic() - started
        # The last one: no choice by validation, which would favour whom it meets more often.
        network, spec = load_network(run / "checkpoints" / "last.keras")
        compiled = compile_network(network)
        tests = {
            name: self._judge(predict_batches(compiled, crop_batches(part, spec)))
            for name, part in self.tests.items()
        }
        heatmaps = config.model.name in HEATMAP_MODELS
        if heatmaps:
            self._keep_maps(network, spec, path)
        batches = records.num_faces // config.batch_size
        result = {
            "cell": cell.name,
            "seed": seed,
            "scheme": records.scheme.name,
            "recipe": settings.recipe,
            "normalizer": self.normalizer,
            "precision": json.loads((run / "config.json").read_text())["precision"],
            "epochs": epochs,
            "faces_seen": epochs * batches * config.batch_size,
            "training_faces": records.num_faces,
            "parameters": network.count_params(),
            "minutes_since_last_start": round(seconds / 60, 2),
            "setup": setup,
            "tests": tests,
            "crops": sorted(
                {str(c) for part in (records, *self.tests.values()) for c in part.crop_rules}
            ),
        }
        if heatmaps:
            result["margins"] = self._margins(network, spec)
            result |= self._residuals(network, spec)
        if config.heatmap.log_error:
            result["heatmap_errors"] = _heatmap_errors(run / "metrics.csv")
        write_text(path, json.dumps(result) + "\n")
        for folder in ("backup", "tensorboard"):
            shutil.rmtree(run / folder, ignore_errors=True)
        return result

    def _check_context(self, config: ml_collections.ConfigDict) -> None:
        """Refuses test sets that can't be cut as the network wants, before it is trained."""
        margin = config.two_stage.margin if config.two_stage.first else config.crop_margin
        spec = ModelSpec(
            scheme=self.records.scheme,
            input_size=config.model.input_size,
            margin=margin,
            square=self.records.square,
        )
        for part in self.tests.values():
            check_fit(part, spec)

    def _keep_maps(self, network: keras.Model, spec: ModelSpec, path: pathlib.Path) -> None:
        """Keeps the maps of the first face of the first test set, in steps of 1/255."""
        part = next(iter(self.tests.values()))
        (face,) = face_heatmaps(network, crop_batches(part, spec), [0])
        maps = {"true": face.true, "predicted": face.predicted}
        steps = {k: np.round(255 * np.clip(v, 0, 1)).astype(np.uint8) for k, v in maps.items()}
        np.savez_compressed(path.with_suffix(".npz"), **steps)

    def _margins(self, network: keras.Model, spec: ModelSpec) -> dict[str, Any]:
        """Returns how far the maps' peaks stand out, face by face, on the first test set."""
        part = next(iter(self.tests.values()))
        margins = peak_margins(network, crop_batches(part, spec), MARGIN_DISTANCES)
        true, predicted = (np.round(values, 4) for values in margins)
        return {
            "distances": list(MARGIN_DISTANCES),
            "true": np.nanmean(true, axis=0).tolist(),
            "predicted": [
                [None if np.isnan(v) else v for v in face] for face in predicted.tolist()
            ],
        }

    def _residuals(self, network: keras.Model, spec: ModelSpec) -> dict[str, float]:
        """Returns the residuals' mean size on the first test set, in heatmap pixels, if any."""
        residuals = residual_network(network)
        if residuals is None:
            return {}
        run = compile_network(residuals)
        batches = crop_batches(next(iter(self.tests.values())), spec)
        sizes = np.concatenate([np.abs(run(batch.image)) for batch in batches])
        return {"mean_residual": round(float(sizes.mean()), 4)}

    def _config(self, cell: Cell, seed: int) -> ml_collections.ConfigDict:
        settings = self.settings
        overrides = settings.overrides | (
            settings.second_stage_overrides if cell.first_stage else {}
        )
        overrides |= {"seed": seed, "data.path": settings.data}
        if cell.first_stage:
            overrides["two_stage.first"] = str(self._first(cell, seed))
        if cell.balanced:
            if not settings.balance:
                raise ValueError(f"The cell {cell.name!r} needs a balance: name one.")
            overrides["balance.path"] = settings.balance
        if cell.overrides.get("model.name") == "resnet50":
            overrides["model.weights"] = settings.resnet_weights
            if settings.resnet_weights:
                overrides["optimizer.backbone_rate"] = 0.1
        config = cell_config(
            cell,
            recipe=settings.recipe,
            num_landmarks=self.records.scheme.num_landmarks,
            overrides=overrides,
        )
        config.crop_margin = config.crop_margin or self.records.margin
        if cell.first_stage and not self.records.square:
            raise ValueError(f"The cell {cell.name!r} has two stages, which need square crops.")
        return config

    def _first(self, cell: Cell, seed: int) -> pathlib.Path:
        run = self.settings.folder / "runs" / file_name(cell.first_stage or "", seed)
        return run / "checkpoints" / "last.keras"

    def _setup(self, cell: Cell, seed: int, config: ml_collections.ConfigDict) -> dict:
        """What must be the same for a finished cell to count: no paths, which may move."""
        settings = self.settings
        setup = {
            "config": plain_config(config),
            "budget": {"epochs": settings.epochs} if settings.epochs else
            {"minutes": settings.minutes},
            "normalizer": self.normalizer,
            "training_data": fingerprint(self.records),
            "test_data": {name: fingerprint(part) for name, part in self.tests.items()},
        }  # fmt: skip
        if self.balance:
            # The weights matter to a balanced training only, the pose axis to all thirds.
            setup["pose"] = sha256(self.balance.pose_axis.round(6).tobytes())
            if cell.balanced:
                weights = [
                    self.balance.bin_edges.round(6).tolist(),
                    self.balance.bin_weights.tolist(),
                ]
                setup["balance"] = sha256(json.dumps(weights).encode())
        if cell.first_stage:
            # A first stage that was trained again is another one; here its cell speaks for it.
            setup["first_stage"] = sha256(self._path(cell.first_stage, seed).read_bytes())
        return setup

    def _judge(self, predictions: Predictions) -> dict:
        errors, _ = face_errors(predictions, self.records.scheme, self.normalizer)
        result = {
            "faces": len(errors),
            # Cells are compared face by face: the faces must be the same.
            "keys_sha256": sha256("\n".join(predictions.key).encode()),
            "nme": [None if np.isnan(error) else round(float(error), 6) for error in errors],
        }
        if self.balance:
            visibility = np.isfinite(predictions.true_px).all(axis=-1)
            pose = self.balance.coefficients(predictions.true_px, visibility)
            result["pose"] = [round(float(value), 4) for value in pose]
        return result


def _differences(found: dict, setup: dict) -> list[str]:
    """Returns what a finished cell's setup differs in."""
    theirs = found["setup"]
    # A key that is younger than the cell had no effect then: the default.
    config = merged(plain_config(default_config()), theirs["config"])
    theirs = theirs | {"config": config}
    # What only some cells have counts both ways.
    keys = setup.keys() | {"balance", "first_stage"}
    return sorted(key for key in keys if theirs.get(key) != setup.get(key))


def _heatmap_errors(log: pathlib.Path) -> dict[str, list[float]]:
    """Returns the training maps' errors of each epoch, from a run's log."""
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = ("heatmap_mse", "heatmap_mse_foreground")
    return {name: [float(row[name]) for row in rows] for name in names}
