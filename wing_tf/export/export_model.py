"""A model in, a folder for other programs out."""

import json
import os
import pathlib
import platform
import shutil
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from wing_tf.evaluation.predict import CropBatch
from wing_tf.export.deployed_network import deployed_network
from wing_tf.export.exported_spec import exported_spec
from wing_tf.export.faces import comparison_faces, training_crops
from wing_tf.export.formats import FORMATS, PRECISIONS
from wing_tf.export.litert import write_litert
from wing_tf.export.model_card import find_origin, model_card
from wing_tf.export.onnx import import_onnx, write_onnx
from wing_tf.export.parity import (
    Parity,
    Run,
    keras_run,
    litert_run,
    measure_parity,
    median_latency_ms,
    onnx_run,
    saved_model_run,
)
from wing_tf.export.saved_model import write_saved_model
from wing_tf.model_spec import MODEL_SPEC_FILE, attach_files, to_json
from wing_tf.models.saving import find_network, load_network

_TEXTS = (MODEL_SPEC_FILE, "model_card.md", "export.json")
MAX_NME_COST = 0.0015
"""What an export may add to the NME: .15 points."""
_MOST_MEAN_PX = 0.05
_MOST_MOVED = 0.01  # of the normalizer; rounding is as good as independent of a network's errors


def export_model(
    model: str | pathlib.Path,
    output: str | pathlib.Path,
    *,
    format: str = "litert",
    precision: str = "float32",
    data: str | None = None,
    faces: str | Sequence[CropBatch] | None = None,
    faces_name: str = "given faces",
    max_nme_cost: float = MAX_NME_COST,
    force: bool = False,
) -> dict[str, Any]:
    """Exports a model and measures what that costs.

    The folder gets the model, ``model_spec.json`` (what input and output mean, for programs),
    ``model_card.md`` (the same for people, and where the model comes from) and ``export.json``
    (what this returns). A LiteRT file also has the first two inside.

    Args:
        model: a ``.keras`` file or a run folder.
        output: a folder; it is made if there is none, and may not hold an export.
        format: one of `wing_tf.export.formats.FORMATS`.
        precision: one of `wing_tf.export.formats.PRECISIONS`; a SavedModel is float32.
        data: record files; int8 is calibrated on their training faces.
        faces: what the export is compared on: record files, or prepared batches of bytes (see
            `wing_tf.export.faces`); faces of ``data`` if None. Of records the validation faces are
            taken, else those that are not for training, else all.
        faces_name: how reports call prepared batches.
        max_nme_cost: what the NME, a fraction, may rise by.
        force: write the export even if it costs more.

    Returns:
        Parity, size and latency, as in ``export.json``.

    Raises:
        ValueError: if something is missing or doesn't fit, or if the export costs too much. Nothing
            is written then.
        ModuleNotFoundError: if a package for ONNX is not installed; the message says how it is.
    """
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {tuple(FORMATS)}. Received: {format!r}.")
    if precision not in PRECISIONS:
        raise ValueError(f"`precision` must be one of {PRECISIONS}. Received: {precision!r}.")
    if format == "saved_model" and precision != "float32":
        raise ValueError(
            "A SavedModel is float32: TensorFlow has no shorter kernels for it on a processor. "
            f"Received: precision={precision!r}; take format='litert' for it."
        )
    if precision == "int8" and data is None:
        raise ValueError("int8 is calibrated on training faces: `data` must name records.")
    if faces is None and data is None:
        raise ValueError("`faces` or `data` must say what the export is compared on.")
    output = pathlib.Path(output)
    for name in (*FORMATS.values(), *_TEXTS):
        if (output / name).exists():
            raise ValueError(f"{output} holds {name} already. Name another folder.")
    if format == "onnx":
        import_onnx()
    file = find_network(model)
    network, spec = load_network(file)
    deployed = deployed_network(network, spec)
    calibration = training_crops(data, spec) if precision == "int8" else None
    if faces is None or isinstance(faces, (str, os.PathLike)):
        batches, faces_name = comparison_faces(os.fspath(data if faces is None else faces), spec)
    else:
        batches = faces

    made = not output.exists()
    output.mkdir(parents=True, exist_ok=True)
    temporary = output / ".writing"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        path = temporary / FORMATS[format]
        if format == "litert":
            write_litert(deployed, path, precision=precision, calibration=calibration)
        elif format == "onnx":
            write_onnx(deployed, path, precision=precision, calibration=calibration)
        else:
            write_saved_model(deployed, spec, path)
        facts = exported_spec(deployed, spec, format=format, precision=precision)
        run = _runner(format, path)
        parity = measure_parity(keras_run(network), run, batches, spec.scheme)
        _check(parity, precision, max_nme_cost, force)
        card = model_card(spec, facts, find_origin(file), parity, faces_name)
        files = {MODEL_SPEC_FILE: to_json(facts), "model_card.md": card}
        if format == "litert":
            attach_files(path, files)
        report = {
            "model": str(file),
            "format": format,
            "precision": precision,
            "compared_on": faces_name,
            "data": data,
            "faces": os.fspath(faces) if isinstance(faces, (str, os.PathLike)) else None,
            "parity": vars(parity) | {"nme_cost": parity.nme_cost},
            "max_nme_cost": max_nme_cost,
            "calibration_faces": 0 if calibration is None else len(calibration),
            "size_bytes": _size(path),
            "keras_file_bytes": _size(file),
            "latency_ms": _latencies(format, path, batches[0].image[:1]),
            "machine": f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()}",
            "keras": keras.__version__,
        }
        files["export.json"] = json.dumps(report, indent=1) + "\n"
        for name, text in files.items():
            (temporary / name).write_text(text)
        for name in (path.name, *files):
            os.replace(temporary / name, output / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if made and not any(output.iterdir()):
            output.rmdir()
    return report


def _runner(format: str, path: pathlib.Path, num_threads: int = 2) -> Run:
    if format == "saved_model":
        return saved_model_run(path)
    return {"litert": litert_run, "onnx": onnx_run}[format](path, num_threads)


def _latencies(format: str, path: pathlib.Path, crop: np.ndarray) -> dict[str, float]:
    """Returns the milliseconds of one crop, by the number of threads ("all": the library's)."""
    if format == "saved_model":
        return {"all": median_latency_ms(_runner(format, path), crop)}
    return {str(n): median_latency_ms(_runner(format, path, n), crop) for n in (1, 2)}


def _check(parity: Parity, precision: str, max_nme_cost: float, force: bool) -> None:
    """Raises ValueError if an export costs too much."""
    cost, moved, fault = parity.nme_cost, parity.nme_between, None
    if cost is not None and cost > max_nme_cost:
        fault = (
            f"{precision} costs {100 * cost:.2f} points of NME ({100 * parity.nme_before:.2f} % "
            f"before, {100 * parity.nme_after:.2f} % after), more than {100 * max_nme_cost:.2f} "
            "(--max_nme_cost)"
        )
    elif cost is None and moved is not None and moved > _MOST_MOVED:
        fault = (
            f"{precision} moves landmarks by {100 * moved:.2f} % of {parity.normalizer}, more than "
            f"{100 * _MOST_MOVED:.2f} (the faces have no truth to measure NME by)"
        )
    elif precision == "float32" and parity.mean_px > _MOST_MEAN_PX:
        fault = (
            f"the export's landmarks are {parity.mean_px:.3f} px from the network's on average, "
            f"more than {_MOST_MEAN_PX}"
        )
    if fault and not force:
        raise ValueError(f"{fault}. Nothing was written; --force writes it all the same.")


def _size(path: pathlib.Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
