"""Training and evaluation of a table's cells; each finished cell is one JSON file."""

import json
import pathlib
import re
import shutil
import time

import keras
import ml_collections

from wing_tf.data.pose_balance import PoseBalance
from wing_tf.data.records import open_records
from wing_tf.evaluation.predict import check_fit
from wing_tf.landmarks import BOX_NORMALIZERS
from wing_tf.model_spec import ModelSpec
from wing_tf.models import HEATMAP_MODELS
from wing_tf.models.saving import load_network
from wing_tf.reproduction.budget import planned_epochs
from wing_tf.reproduction.cell_file import read_cell
from wing_tf.reproduction.cell_results import (
    decode_otherwise,
    evaluate_cell,
    measure_margins,
    measure_residuals,
    read_log,
    save_heatmaps,
)
from wing_tf.reproduction.cell_setup import (
    file_name,
    fingerprint,
    plain_config,
    setup_differences,
    sha256,
)
from wing_tf.reproduction.recipes import cell_config, set_epochs
from wing_tf.reproduction.settings import Settings
from wing_tf.reproduction.speed import images_per_second
from wing_tf.reproduction.sweep import finish_cells
from wing_tf.reproduction.table import Cell, Table
from wing_tf.training.run import train
from wing_tf.utils.atomic import write_bytes, write_json
from wing_tf.utils.file_lock import locked
from wing_tf.utils.json_values import read_json_object
from wing_tf.utils.text_files import read_csv


class CellRunner:
    """Trains and evaluates the cells that are not finished.

    Args:
        settings: The settings of the run.

    Raises:
        ValueError: If the test sets don't fit the training faces, or the settings are not valid.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.num_trained = 0
        self.records = open_records(settings.data, split="train")
        scheme = self.records.scheme
        self.tests = {name: open_records(g) for name, g in settings.tests.items()}
        for name, part in self.tests.items():
            if not re.fullmatch(r"\w+", name):
                raise ValueError(f"A test set's name must be a word. Received: {name!r}.")
            if part.scheme.name != scheme.name:
                raise ValueError(
                    f"The test set {name} has landmarks of {part.scheme.name}, the training faces "
                    f"of {scheme.name}."
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

    def run(self, table: Table, only: tuple[str, ...] = (), limit: int | None = None) -> list[dict]:
        """Trains and evaluates the cells that are not finished; returns all finished cells.

        Any number of processes may run the same table in one output folder.

        Args:
            table: The table.
            only: Names of the cells to train, with those whose networks they need. Defaults
                to all.
            limit: Number of trainings after which the other cells are left.

        Raises:
            ValueError: On an unknown cell, or if a finished cell has another setup.
        """
        names = [cell.name for cell in table.cells]
        if unknown := set(only) - set(names):
            raise ValueError(f"No cell {sorted(unknown)[0]!r}. There are: {', '.join(names)}.")
        # Some cells need the network of another one, which copied cells don't have.
        needs = {cell.name: cell.needs for cell in table.cells if cell.needs}
        self._not_copied = set(needs.values())
        (self.settings.folder / "cells").mkdir(parents=True, exist_ok=True)
        cells = []
        for seed in self.settings.seeds:
            wanted = set(only or names)
            wanted |= {name for name in names if self._path(name, seed).is_file()}
            wanted |= {needed for name, needed in needs.items() if name in wanted}
            cells += [(cell, seed) for cell in table.cells if cell.name in wanted]

        def finish(cell: Cell, seed: int) -> bool:
            self.finished(table)  # raises if another process has other settings
            self._finish(cell, seed)
            return self.num_trained == limit

        finish_cells(cells, path=self._path, finish=finish)
        return self.finished(table)

    def finished(self, table: Table) -> list[dict]:
        """Returns all finished cells of a table, whichever process finished them.

        Raises:
            ValueError: If a finished cell has another setup.
        """
        cells = []
        for seed in self.settings.seeds:
            files = {cell.name: self._path(cell.name, seed) for cell in table.cells}
            done = {name for name, file in files.items() if file.is_file()} | {None}
            cells += [
                self._read(cell, seed) for cell in table.cells if {cell.name, cell.needs} <= done
            ]
        return cells

    def _path(self, cell: str, seed: int) -> pathlib.Path:
        return self.settings.folder / "cells" / f"{file_name(cell, seed)}.json"

    def _run_folder(self, cell: str, seed: int) -> pathlib.Path:
        return self.settings.folder / "runs" / file_name(cell, seed)

    def _read(self, cell: Cell, seed: int) -> dict:
        """Returns a finished cell."""
        path = self._path(cell.name, seed)
        found = read_cell(path)
        if different := setup_differences(found, self._setup(cell, seed, self._config(cell, seed))):
            raise ValueError(
                f"{path} was made with another setup ({', '.join(different)}). Choose another "
                "output folder."
            )
        return found

    def _finish(self, cell: Cell, seed: int) -> None:
        """Copies or trains a cell unless it is finished; removes what only its training needed."""
        path = self._path(cell.name, seed)
        config = self._config(cell, seed)
        setup = self._setup(cell, seed, config)
        if not path.is_file() and cell.name not in self._not_copied:
            self._copy(cell, seed, setup, path)
        if not path.is_file():
            self._train(cell, seed, config, setup)
        for folder in ("backup", "tensorboard"):
            shutil.rmtree(self._run_folder(cell.name, seed) / folder, ignore_errors=True)

    def _copy(self, cell: Cell, seed: int, setup: dict, path: pathlib.Path) -> None:
        """Copies a finished cell with the same setup, if there is one to reuse."""
        for folder in self.settings.reuse:
            for other in sorted((folder / "cells").glob("*.json")):
                found = read_cell(other)
                if found["seed"] != seed or setup_differences(found, setup):
                    continue
                print(f"\n{cell.name}, seed {seed}: the same as {other}.", flush=True)
                if (maps := other.with_suffix(".npz")).is_file():
                    write_bytes(path.with_suffix(".npz"), maps.read_bytes())
                write_json(path, found | {"cell": cell.name}, indent=None)
                return

    def _train(self, cell: Cell, seed: int, config: ml_collections.ConfigDict, setup: dict) -> None:
        """Trains a cell, unless it has the network of another one, and evaluates it."""
        keras.utils.clear_session()
        path = self._path(cell.name, seed)
        settings, records = self.settings, self.records
        run = self._run_folder(cell.network or cell.name, seed)
        started = time.monotonic()
        if not cell.network:
            self._check_context(config)
            set_epochs(config, self._epochs(cell, config))
            print(f"\n{cell.name}, seed {seed}: {config.epochs} epochs.", flush=True)
            train(config, run)
            self.num_trained += 1
        # A sigma schedule may end earlier.
        epochs = len(read_csv(run / "metrics.csv", ["val_nme"]))
        seconds = time.monotonic() - started
        # The last network: a selection by validation would favor frequently validated cells.
        network, spec = load_network(run / "checkpoints" / "last.keras")
        if cell.network:
            network = decode_otherwise(network, **cell.decoding)
        first_test = next(iter(self.tests.values()))
        every = (records, *self.tests.values())
        result = {
            "cell": cell.name,
            "seed": seed,
            "scheme": records.scheme.name,
            "recipe": settings.recipe,
            "normalizer": self.normalizer,
            "precision": read_json_object(run / "config.json", {"precision": str})["precision"],
            "epochs": epochs,
            "faces_seen": epochs * (records.num_faces // config.batch_size) * config.batch_size,
            "training_faces": records.num_faces,
            "parameters": network.count_params(),
            "minutes_since_last_start": round(seconds / 60, 2),
            "setup": setup,
            "tests": evaluate_cell(network, spec, self.tests, self.normalizer, self.balance),
            "crops": sorted({str(rule) for part in every for rule in part.crop_rules}),
        }
        if config.model.name in HEATMAP_MODELS and not cell.network:
            save_heatmaps(network, spec, first_test, path.with_suffix(".npz"))
            result["margins"] = measure_margins(network, spec, first_test)
            result |= measure_residuals(network, spec, first_test)
        if not cell.network:
            result |= read_log(run / "metrics.csv")
        if cell.timed:
            result["images_per_second"] = images_per_second(network)
        write_json(path, result, indent=None)

    def _epochs(self, cell: Cell, config: ml_collections.ConfigDict) -> int:
        """Returns the number of epochs of a cell's budget."""
        budget = self._budget(cell)
        if "epochs" in budget:
            return int(budget["epochs"])
        plan = self.settings.folder / "plan.json"
        with locked(plan.with_suffix(".lock"), wait=True):
            return planned_epochs(config, self.records, budget["minutes"], plan)

    def _budget(self, cell: Cell) -> dict[str, float]:
        if self.settings.epochs:
            return {"epochs": round(self.settings.epochs * cell.length)}
        return {"minutes": self.settings.minutes * cell.length}

    def _check_context(self, config: ml_collections.ConfigDict) -> None:
        """Raises ValueError, before the training, if test records are too small for its crops."""
        margin = config.two_stage.margin if config.two_stage.first else config.crop_margin
        spec = ModelSpec(
            scheme=self.records.scheme,
            input_size=config.model.input_size,
            margin=margin,
            square=self.records.square,
        )
        for part in self.tests.values():
            check_fit(part, spec)

    def _config(self, cell: Cell, seed: int) -> ml_collections.ConfigDict:
        settings = self.settings
        overrides = settings.overrides | {"seed": seed, "data.path": settings.data}
        if cell.first_stage:
            if not self.records.square:
                raise ValueError(f"The cell {cell.name!r} has two stages, which need square crops.")
            first = self._run_folder(cell.first_stage, seed) / "checkpoints" / "last.keras"
            overrides |= settings.second_stage_overrides | {"two_stage.first": str(first)}
        if cell.balanced:
            if not settings.balance:
                raise ValueError(f"The cell {cell.name!r} needs a balance file.")
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
        return config

    def _setup(self, cell: Cell, seed: int, config: ml_collections.ConfigDict) -> dict:
        """Returns the setup of a cell, without paths, because folders may be moved."""
        setup: dict = {
            "config": plain_config(config),
            "budget": self._budget(cell),
            "normalizer": self.normalizer,
            "training_data": fingerprint(self.records),
            "test_data": {name: fingerprint(part) for name, part in self.tests.items()},
        }
        if cell.network:
            setup["decoding"] = dict(cell.decoding)
        if self.balance:
            # The pose axis determines the thirds of all cells, the weights only balanced cells.
            setup["pose"] = sha256(self.balance.pose_axis.round(6).tobytes())
            if cell.balanced:
                edges, weights = self.balance.bin_edges, self.balance.bin_weights
                values = [edges.round(6).tolist(), weights.tolist()]
                setup["balance"] = sha256(json.dumps(values).encode())
        if cell.first_stage:
            # A second stage is only valid with the first stage that it was trained with.
            setup["first_stage"] = sha256(self._path(cell.first_stage, seed).read_bytes())
        return setup
