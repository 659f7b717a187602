"""Export of a model into a folder, with a comparison of both and a model card."""

import json
import os
import pathlib
import platform
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from wing_tf.data.records import open_records
from wing_tf.evaluation.predict import CropBatch
from wing_tf.export.deployed_network import deployed_network
from wing_tf.export.exported_spec import exported_spec
from wing_tf.export.faces import VALIDATION, comparison_faces, training_crops
from wing_tf.export.formats import FORMATS, PRECISIONS
from wing_tf.export.litert import write_litert
from wing_tf.export.model_card import find_origin, model_card
from wing_tf.export.onnx import import_onnx, write_onnx
from wing_tf.export.parity import (
    Parity,
    measure_parity,
    median_latency_ms,
    open_keras,
    open_litert,
    open_onnx,
    open_saved_model,
)
from wing_tf.export.saved_model import write_saved_model
from wing_tf.inference.calibrate_scores import calibrate_on_records
from wing_tf.model_spec import MODEL_SPEC_FILE
from wing_tf.models.compiled import Localizer
from wing_tf.models.saving import find_network, load_network
from wing_tf.utils.atomic import write_text
from wing_tf.utils.local_path import local_path
from wing_tf.utils.output_folder import check_free, new_files
from wing_tf.utils.zip_files import attach_files

_TEXTS = (MODEL_SPEC_FILE, "model_card.md", "export.json")
MAX_NME_COST = 0.0015
"""Accepted increase of the NME: 0.15 percentage points."""
_MAX_MEAN_PX = 0.05
# Of the normalizer; without ground truth. Rounding errors hardly depend on the network's errors.
_MAX_NME_BETWEEN = 0.01


def export_model(
    model: str | os.PathLike,
    output: str | os.PathLike,
    *,
    format: str = "litert",
    precision: str = "float32",
    batch_size: int = 1,
    data: str | None = None,
    faces: str | os.PathLike | Sequence[CropBatch] | None = None,
    faces_name: str = "given faces",
    max_nme_cost: float = MAX_NME_COST,
    force: bool = False,
) -> dict[str, Any]:
    """Exports a model and compares the export with it.

    The folder gets the model, ``model_spec.json`` (meaning of input and output, for programs),
    ``model_card.md`` (for people) and ``export.json`` (the returned report). A LiteRT file also
    contains the first two.

    Args:
        model: A ``.keras`` file or a run folder.
        output: Folder, which is created if needed and must not hold an export.
        format: A key of `wing_tf.export.formats.FORMATS`.
        precision: One of `wing_tf.export.formats.PRECISIONS`; a SavedModel is float32.
        batch_size: Number of crops that a LiteRT or ONNX file takes at a time. Files for devices
            take 1; a SavedModel takes any number.
        data: Record files; int8 is calibrated on their training faces. If the model has no
            calibrated scores, they are calibrated on the validation faces of ``faces`` or ``data``.
        faces: Faces for the comparison: record files, or batches of uint8 images. Defaults to
            ``data``. Of records the validation faces are used; if there are fewer than 16, those
            that are not training faces, or all.
        faces_name: Name of given batches in reports.
        max_nme_cost: Accepted increase of the NME, a fraction.
        force: Write the export even if its NME increases by more.

    Returns:
        Parity, size and latency, as in ``export.json``.

    Raises:
        ValueError: If an option is wrong, if data and model don't fit, or if the NME increases too
            much. Nothing is written then.
        ModuleNotFoundError: If a package for ONNX is not installed; the message says how to.
    """
    records = data if faces is None else faces
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {tuple(FORMATS)}. Received: {format!r}.")
    if precision not in PRECISIONS:
        raise ValueError(f"`precision` must be one of {PRECISIONS}. Received: {precision!r}.")
    if format == "saved_model" and precision != "float32":
        raise ValueError(
            "A SavedModel is float32: TensorFlow has no faster CPU kernels of lower precision. "
            f"Received: precision={precision!r}; use format='litert' for it."
        )
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"`batch_size` must be a positive integer. Received: {batch_size!r}.")
    if format == "saved_model" and batch_size != 1:
        raise ValueError(
            "A SavedModel takes batches of any size: omit `batch_size` (--batch). Received: "
            f"batch_size={batch_size}."
        )
    if precision == "int8" and data is None:
        raise ValueError("int8 is calibrated on training faces: `data` must name records.")
    if records is None:
        raise ValueError("`faces` or `data` must say what the export is compared on.")
    output = local_path(output)
    names = (*FORMATS.values(), *_TEXTS)
    check_free(output, names)
    if format == "onnx":
        import_onnx()
    file = find_network(model)
    network, spec = load_network(file)
    deployed = deployed_network(network, spec)
    calibration = training_crops(data, spec) if precision == "int8" and data else None
    batches: Sequence[CropBatch]
    files = None
    if isinstance(records, (str, os.PathLike)):
        files = os.fspath(records)
        batches, faces_name = comparison_faces(files, spec)
        spec = calibrate_on_records(network, spec, open_records(files), split=VALIDATION)
    else:
        batches = records

    with new_files(output, names) as folder:
        path = folder / FORMATS[format]
        if format == "saved_model":
            write_saved_model(deployed, spec, path)
        else:
            write = {"litert": write_litert, "onnx": write_onnx}[format]
            write(
                    deployed, path, precision=precision, calibration=calibration,
                    batch_size=batch_size,
                )  # fmt: skip
        exported = _open(format, path)
        parity = measure_parity(open_keras(network), exported, batches, spec.scheme)
        _check(parity, precision, max_nme_cost, force)
        facts = exported_spec(
            deployed, spec, format=format, precision=precision, batch_size=batch_size
        )
        card = model_card(spec, facts, find_origin(file), parity, faces_name)
        texts = {MODEL_SPEC_FILE: json.dumps(facts, indent=1) + "\n", "model_card.md": card}
        if format == "litert":
            attach_files(path, texts)
        report = {
            "model": str(file),
            "format": format,
            "precision": precision,
            "batch_size": facts["input"]["shape"][0],
            "compared_on": faces_name,
            "data": data,
            "faces": None if faces is None else files,
            "parity": parity.to_dict(),
            "max_nme_cost": max_nme_cost,
            "calibration_faces": 0 if calibration is None else len(calibration),
            "size_bytes": _size(path),
            "keras_file_bytes": _size(file),
            "latency_ms": _latencies(
                format, path, np.repeat(batches[0].image[:1], batch_size, axis=0)
            ),
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}",
            "keras": keras.__version__,
        }
        texts["export.json"] = json.dumps(report, indent=1) + "\n"
        for name, text in texts.items():
            write_text(folder / name, text)
    return report


def _open(format: str, path: pathlib.Path, num_threads: int = 2) -> Localizer:
    if format == "saved_model":
        return open_saved_model(path)
    return {"litert": open_litert, "onnx": open_onnx}[format](path, num_threads)


def _latencies(format: str, path: pathlib.Path, crops: np.ndarray) -> dict[str, float]:
    """Returns the milliseconds per crop by number of threads ("all": TensorFlow's default)."""
    if format == "saved_model":
        return {"all": median_latency_ms(_open(format, path), crops)}
    return {str(n): median_latency_ms(_open(format, path, n), crops) for n in (1, 2)}


def _check(parity: Parity, precision: str, max_nme_cost: float, force: bool) -> None:
    """Raises ValueError if an export differs too much from the network."""
    before, after, between = (
        None if value is None else 100 * value
        for value in (parity.nme_before, parity.nme_after, parity.nme_between)
    )
    fault = None
    if before is not None and after is not None:
        if not after - before <= 100 * max_nme_cost:  # NaN is a fault, too
            fault = (
                f"{precision} costs {after - before:.2f} points of NME ({before:.2f} % before, "
                f"{after:.2f} % after, {parity.num_faces} faces), more than "
                f"{100 * max_nme_cost:.2f} (--max_nme_cost)"
            )
    elif between is not None and between > 100 * _MAX_NME_BETWEEN:
        fault = (
            f"{precision} moves landmarks by {between:.2f} % of {parity.normalizer}, more than "
            f"{100 * _MAX_NME_BETWEEN:.2f} (the faces have no ground truth to measure the NME)"
        )
    if fault is None and precision == "float32" and parity.mean_px > _MAX_MEAN_PX:
        fault = (
            f"the export's landmarks are {parity.mean_px:.3f} px from the network's on average, "
            f"more than {_MAX_MEAN_PX}"
        )
    if fault and not force:
        raise ValueError(f"{fault}. Nothing was written; --force writes it anyway.")


def _size(path: pathlib.Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
