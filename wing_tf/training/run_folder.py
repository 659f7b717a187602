"""The run folder: all files of one training."""

import contextlib
import csv
import hashlib
import importlib.metadata
import io
import json
import math
import os
import pathlib
import platform
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections

from wing_tf.data.record_files import read_bytes
from wing_tf.training.config import default_config
from wing_tf.utils.appended_file import AppendedFile
from wing_tf.utils.atomic import atomic_path, write_json
from wing_tf.utils.json_values import parse_number, read_json_object
from wing_tf.utils.local_path import local_path
from wing_tf.utils.output_folder import contents, locked_folder
from wing_tf.utils.text_files import read_text

_PACKAGES = ("wing-tf", "tensorflow", "keras", "numpy", "opencv-python")


class RunFolder:
    """The files of one training.

    ``config.json`` (the resolved config), ``inputs.json`` (hashes of other files that the training
    reads), ``environment.txt``, ``metrics.csv``, ``tensorboard/``, ``validation_images/``,
    ``checkpoints/{best,last}.keras``, ``backup/`` (the state to resume from) and, with a limit of
    time, ``time_limit.json`` (the number of epochs that it allows).

    One process at a time has it open, the chief of several workers; see
    `wing_tf.utils.output_folder.locked_folder`.

    Args:
        path: A new or an empty local folder, or one in which the same training was started before.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = local_path(path)
        self.config = self.path / "config.json"
        self.inputs = self.path / "inputs.json"
        self.environment = self.path / "environment.txt"
        self.metrics = self.path / "metrics.csv"
        self.tensorboard = self.path / "tensorboard"
        self.validation_images = self.path / "validation_images"
        self.time_limit = self.path / "time_limit.json"
        self.checkpoints = self.path / "checkpoints"
        self.backup = self.path / "backup"
        self._lock = contextlib.ExitStack()

    def open(
        self,
        config: ml_collections.ConfigDict,
        inputs: Mapping[str, str | os.PathLike] | None = None,
    ) -> None:
        """Creates the folder, or checks that the same training was started in it, and locks it.

        Args:
            config: The resolved config.
            inputs: Files besides the records that the training reads at every start, by their
                config keys. They must not change until it is finished.

        Raises:
            ValueError: If the folder holds something else, or a training with another config or
                other inputs, or if another process trains in it.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"`workdir` must be a folder. Received: {self.path}.")
        values = json.loads(config.to_json_best_effort())
        hashes = hash_files(inputs or {})
        self._lock.enter_context(locked_folder(self.path, subfolders=True))
        if self.config.is_file():
            self._check_same(values)
            self._check_inputs(hashes)
        else:
            # A process that was killed here may have left its first file.
            if contents(self.path) - {self.inputs.name}:
                raise ValueError(
                    f"{self.path} is not empty and holds no training (no config.json). "
                    "Name a new folder."
                )
            write_json(self.inputs, hashes)
            write_json(self.config, values)  # last: a folder with it is complete
        for folder in (self.checkpoints, self.backup):
            folder.mkdir(exist_ok=True)
        with AppendedFile(self.environment) as file:
            file.append(describe_environment())

    def close(self) -> None:
        """Ends the lock."""
        self._lock.close()

    def _check_inputs(self, hashes: dict[str, str]) -> None:
        found = read_json_object(self.inputs, {}) if self.inputs.is_file() else {}
        for key, value in hashes.items():
            if found.get(key) != value:
                raise ValueError(
                    f"The file of {key} has changed since the training in {self.path} was started, "
                    "so it can't be resumed. Restore the file, or name another folder."
                )

    def _check_same(self, values: dict[str, Any]) -> None:
        # Keys that an earlier version did not have are at their defaults, which change nothing.
        default = json.loads(default_config().to_json_best_effort())
        found = dict(flatten(default)) | dict(flatten(read_json_object(self.config, {})))
        wanted = dict(flatten(values))
        keys = sorted(wanted.keys() | found.keys())
        changed = [key for key in keys if wanted.get(key) != found.get(key)]
        if changed:
            listing = "; ".join(
                f"config.{key} is {found.get(key)!r} there, {wanted.get(key)!r} here"
                for key in changed[:4]
            )
            raise ValueError(
                f"{self.path} holds a training with another config: {listing}. "
                "Name another folder, or give the same config to resume."
            )


def truncate_log(path: pathlib.Path, num_epochs: int) -> float:
    """Drops the rows of ``metrics.csv`` after an epoch; returns the best remaining score.

    Epochs that were logged but not backed up run, and are logged, again.

    Raises:
        ValueError: If it is not such a file, or a score is not a number.
    """
    if not path.is_file():
        return math.inf
    text = read_text(path, errors="replace")
    if "\n" not in text:  # stopped within the first epoch
        path.unlink()
        return math.inf
    rows = list(csv.reader(io.StringIO(text)))
    header = rows[0]
    if header[:1] != ["epoch"] or "val_nme" not in header:
        raise ValueError(f"{path} is damaged: it must have the columns epoch and val_nme.")
    column = header.index("val_nme")
    # A row that was being written when the process was killed may be incomplete.
    whole = [row for row in rows[1:] if len(row) == len(header) and row[0].isdecimal()]
    kept = [row for row in whole if int(row[0]) < num_epochs]
    scores = [parse_number(row[column], f"{path}: val_nme of epoch {row[0]}") for row in kept]
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        csv.writer(file).writerows([header, *kept])
    return min((score for score in scores if not math.isnan(score)), default=math.inf)


def hash_files(files: Mapping[str, str | os.PathLike]) -> dict[str, str]:
    """Returns the SHA-256 of each file."""
    return {key: hashlib.sha256(read_bytes(path)).hexdigest() for key, path in files.items()}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the values of a nested dictionary by their dotted keys."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def describe_environment() -> str:
    """Returns versions, platform and command, a few lines for ``environment.txt``."""
    lines = [f"command: {' '.join(sys.argv)}", f"python: {platform.python_version()}"]
    lines += [f"platform: {platform.platform()}, {os.cpu_count()} cores"]
    for package in _PACKAGES:
        try:
            lines.append(f"{package}: {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"{package}: not installed as a distribution")
    return "\n".join(lines) + "\n\n"
