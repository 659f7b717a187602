"""Reading of the files of a finished cell."""

import pathlib
from typing import Any

import numpy as np

from wing_tf.utils.json_values import check_object, finite_array, read_json_object
from wing_tf.utils.zip_files import open_archive

_KEYS: dict[str, type] = {
    **dict.fromkeys(("cell", "recipe", "normalizer", "precision"), str),
    **dict.fromkeys(("seed", "epochs", "training_faces", "parameters"), int),
    "setup": dict,
    "tests": dict,
}
_OPTIONAL: dict[str, type] = {
    **dict.fromkeys(
        ("heatmap_errors", "images_per_second", "margins", "pck", "validation_nme"), dict
    ),
    "mean_residual": float,
    "scheme": str,
}


def read_cell(path: pathlib.Path) -> dict[str, Any]:
    """Returns the content of a finished cell's JSON file.

    Raises:
        ValueError: If it is damaged; the message names the file and the key.
        OSError: If it can't be read.
    """
    cell = read_json_object(path, _KEYS)
    check_object(cell, path, {key: kind for key, kind in _OPTIONAL.items() if key in cell})
    check_object(cell["setup"], f"{path}: setup", {"config": dict})
    if not cell["tests"]:
        raise ValueError(f"{path}: `tests` must not be empty.")
    for name, test in cell["tests"].items():
        place = f"{path}: tests.{name}"
        types = {"faces": int, "keys_sha256": str, "nme": list}
        check_object(test, place, types)
        subsets = check_object(test.get("nme_by_subset", {}), f"{place}.nme_by_subset", {})
        lists = {"nme": test["nme"], **subsets}
        if "pose" in test:
            lists["pose"] = test["pose"]
        for key, values in lists.items():
            try:
                if not isinstance(values, list) or len(values) != test["faces"]:
                    raise ValueError(f"`{key}` must be a list of {test['faces']} numbers")
                if known := [value for value in values if value is not None]:
                    finite_array(key, known, (None,))
            except ValueError as error:
                raise ValueError(f"{place}: {error}.") from None
    return cell


def read_heatmaps(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the "true" and "predicted" heatmaps [h, w, K] of a cell's first face, 0 to 1.

    Raises:
        ValueError: If the file is damaged.
        OSError: If it can't be opened.
    """
    try:
        with open_archive(path), np.load(path) as arrays:
            maps = {name: arrays[name] for name in ("true", "predicted")}
    except OSError:
        raise
    except Exception as error:  # of a damaged header, NumPy raises errors of any kind
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} has no heatmaps: {reason:.200}.") from None
    # A member without the mark of an array is returned as bytes.
    shapes = {np.asarray(values).shape for values in maps.values()}
    if len(shapes) > 1 or any(
        np.asarray(values).dtype != np.uint8 or np.ndim(values) != 3 for values in maps.values()
    ):
        raise ValueError(f"{path} must have two uint8 arrays [h, w, K]. Received: {shapes}.")
    return {name: values / 255.0 for name, values in maps.items()}
