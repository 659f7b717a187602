"""Other systems' errors on a table's test faces, for its plots of error distributions."""

import pathlib

import numpy as np

from wing_tf.evaluation.comparison import read_face_scores
from wing_tf.reproduction.cell_setup import sha256
from wing_tf.utils.atomic import write_json
from wing_tf.utils.json_values import finite_array, read_json_object

_FOLDER = "peers"


def add_peer(folder: pathlib.Path, name: str, report: pathlib.Path) -> None:
    """Copies the errors of a report of `wing-evaluate` into the output folder of a table.

    Args:
        folder: The output folder.
        name: The system's name, a word.
        report: The report folder.

    Raises:
        ValueError: If the report does not score every face by its NME.
    """
    scores = read_face_scores(report)
    if scores.kind != "nme" or len(scores.values) != len(scores.groups):
        raise ValueError(f"{report} must have the NME of every face.")
    (folder / _FOLDER).mkdir(parents=True, exist_ok=True)
    keys, values = "\n".join(scores.values), list(scores.values.values())
    write_json(
        folder / _FOLDER / f"{name}.json",
        {
            "keys_sha256": sha256(keys.encode()),
            "normalizer": scores.report["normalizer"],
            "nme": [round(value, 6) for value in values],
        },
    )


def peer_errors(folder: pathlib.Path, cell: dict, test: str) -> dict[str, np.ndarray]:
    """Returns the errors [N] by name of the systems that were evaluated on a test set's faces.

    Args:
        folder: The output folder.
        cell: A finished cell.
        test: Name of the test set.
    """
    same = {"keys_sha256": cell["tests"][test]["keys_sha256"], "normalizer": cell["normalizer"]}
    errors = {}
    for file in sorted((folder / _FOLDER).glob("*.json")):
        peer = read_json_object(file, {**dict.fromkeys(same, str), "nme": list})
        if all(peer[key] == value for key, value in same.items()):
            errors[file.stem] = finite_array(f"{file}: nme", peer["nme"], (None,))
    return errors
