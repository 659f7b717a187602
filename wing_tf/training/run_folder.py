"""The run folder: one training, whole.

config.json, inputs.json, environment.txt, metrics.csv, tensorboard/,
checkpoints/{best,last}.keras, backup/.
"""

import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import sys
from collections.abc import Mapping

import ml_collections

_PACKAGES = ("wing-tf", "tensorflow", "keras", "numpy", "opencv-python")


class RunFolder:
    """The files of one training.

    Args:
        path: a new or an empty folder, or one of an earlier start of the same training.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self.config = self.path / "config.json"
        self.inputs = self.path / "inputs.json"
        self.environment = self.path / "environment.txt"
        self.metrics = self.path / "metrics.csv"
        self.tensorboard = self.path / "tensorboard"
        self.checkpoints = self.path / "checkpoints"
        self.backup = self.path / "backup"

    def open(
        self,
        config: ml_collections.ConfigDict,
        inputs: Mapping[str, pathlib.Path] | None = None,
    ) -> None:
        """Makes the folder, or finds that it holds a start of this very training.

        Args:
            config: of the training.
            inputs: files besides the records that it reads at every start, by their config keys.
                They must be the same at a later start.

        Raises:
            ValueError: if it holds something else, or a training with another config.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"`workdir` must be a folder. Received: {self.path}.")
        wanted = json.loads(config.to_json_best_effort())
        hashes = {
            key: hashlib.sha256(path.read_bytes()).hexdigest()
            for key, path in (inputs or {}).items()
        }
        if self.config.is_file():
            self._check_same(wanted)
            self._check_inputs(hashes)
        elif self.path.is_dir() and any(self.path.iterdir()):
            raise ValueError(
                f"{self.path} is not empty and holds no training (no config.json). "
                "Name a new folder."
            )
        for folder in (self.path, self.checkpoints, self.backup):
            folder.mkdir(parents=True, exist_ok=True)
        if not self.config.is_file():
            # The config last: where it is, all the rest is there too.
            for path, content in ((self.inputs, hashes), (self.config, wanted)):
                temporary = path.with_suffix(".writing")
                temporary.write_text(json.dumps(content, indent=1) + "\n")
                os.replace(temporary, path)
        with self.environment.open("a") as file:
            file.write(describe_environment())

    def _check_inputs(self, hashes: dict[str, str]) -> None:
        found = json.loads(self.inputs.read_text()) if self.inputs.is_file() else {}
        for key, value in hashes.items():
            if found.get(key) != value:
                raise ValueError(
                    f"The file of {key} has changed since {self.path} was begun: the training "
                    "can't go on. Name another folder, or bring the former file back."
                )

    def _check_same(self, wanted: dict) -> None:
        found = dict(_flatten(json.loads(self.config.read_text())))
        flat = dict(_flatten(wanted))
        keys = sorted(flat.keys() | found.keys())
        changed = [key for key in keys if flat.get(key) != found.get(key)]
        if changed:
            listing = "; ".join(
                f"config.{k} is {found.get(k)!r} there, {flat.get(k)!r} here" for k in changed[:4]
            )
            raise ValueError(
                f"{self.path} holds a training with another config: {listing}. "
                "Name another folder, or give the same config to resume."
            )


def _flatten(tree: dict, prefix: str = ""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
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
