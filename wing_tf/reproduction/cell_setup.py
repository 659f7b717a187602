"""Which file a cell is kept in, and what must be the same for it to count."""

import hashlib
import json
import pathlib

import ml_collections

from wing_tf.data.records import RecordSet


def file_name(cell: str, seed: int) -> str:
    """Returns a cell's file name without ending."""
    return f"{cell.replace('/', '-').replace(' ', '_')}_seed{seed}"


def plain_config(config: ml_collections.ConfigDict) -> dict:
    """Returns what counts of a cell's config."""
    values = json.loads(config.to_json_best_effort())
    for key in ("epochs", "validation_epochs", "checkpoint_epochs", "data", "precision"):
        del values[key]  # planned, or what it became on a machine
    values["two_stage"]["first"] = values["balance"]["path"] = ""
    return values


def merged(values: dict, changes: dict) -> dict:
    """Returns nested values with changes put in."""
    inner = {
        key: merged(values[key], change)
        for key, change in changes.items()
        if isinstance(change, dict) and isinstance(values.get(key), dict)
    }
    return values | changes | inner


def sha256(content: bytes) -> str:
    """Returns the hash, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def fingerprint(records: RecordSet) -> dict:
    """Returns the number of faces, and a hash of the files' names and sizes."""
    files = [pathlib.Path(file) for file in records.files]
    listing = "\n".join(f"{file.name} {file.stat().st_size}" for file in files)
    return {"faces": records.num_faces, "files_sha256": sha256(listing.encode())}
