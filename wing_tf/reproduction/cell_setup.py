"""The setup of a cell: everything that must be equal for a finished cell to be valid."""

import hashlib
import json
import os

import ml_collections

from wing_tf.data.record_files import file_size
from wing_tf.data.records import RecordSet
from wing_tf.training.config import default_config


def file_name(cell: str, seed: int) -> str:
    """Returns the name of a cell's files without suffix."""
    return f"{cell.replace('/', '-').replace(' ', '_')}_seed{seed}"


def plain_config(config: ml_collections.ConfigDict) -> dict:
    """Returns the part of a cell's config that determines its scores."""
    values = json.loads(config.to_json_best_effort())
    for key in ("epochs", "validation_epochs", "checkpoint_epochs", "data", "precision"):
        del values[key]  # planned by the budget, or chosen by the machine
    if config.two_stage.first:
        values["two_stage"]["first"] = ""
    else:
        del values["two_stage"]
    values["balance"]["path"] = ""
    return values


def setup_differences(found: dict, setup: dict) -> list[str]:
    """Returns the keys in which the setup of a finished cell differs from another setup."""
    theirs = found["setup"]
    # A config key that is newer than the cell has its default value.
    config = _merged(plain_config(default_config()), theirs["config"])
    if "first_stage" not in theirs:
        config.pop("two_stage", None)  # without effect
    theirs = theirs | {"config": config}
    # Keys of some cells only must be absent in both setups or equal.
    keys = setup.keys() | {"balance", "first_stage", "decoding"}
    return sorted(key for key in keys if theirs.get(key) != setup.get(key))


def _merged(values: dict, changes: dict) -> dict:
    """Returns nested values, updated by nested changes."""
    inner = {
        key: _merged(values[key], change)
        for key, change in changes.items()
        if isinstance(change, dict) and isinstance(values.get(key), dict)
    }
    return values | changes | inner


def sha256(content: bytes) -> str:
    """Returns the SHA-256 hash in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def fingerprint(records: RecordSet) -> dict:
    """Returns the number of faces, and a hash of the names and sizes of the record files."""
    listing = "\n".join(f"{os.path.basename(file)} {file_size(file)}" for file in records.files)
    return {"faces": records.num_faces, "files_sha256": sha256(listing.encode())}
