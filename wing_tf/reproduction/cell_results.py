"""The results of a trained cell: errors of each test face, heatmaps, margins and residuals."""

import io
import pathlib
from typing import Any

import keras
import numpy as np

from wing_tf.data.pose_balance import PoseBalance
from wing_tf.data.records import RecordSet
from wing_tf.evaluation.heatmaps import face_heatmaps, peak_margins
from wing_tf.evaluation.predict import crop_batches, predict_batches
from wing_tf.evaluation.protocol_report import score_groups
from wing_tf.evaluation.protocols import get_protocol
from wing_tf.evaluation.report import face_errors
from wing_tf.layers import CoordinateChannels
from wing_tf.metrics import nme
from wing_tf.model_spec import ModelSpec
from wing_tf.models import change_decoder, residual_network
from wing_tf.models.compiled import compile_network
from wing_tf.reproduction.cell_setup import sha256
from wing_tf.utils.atomic import write_bytes
from wing_tf.utils.json_values import parse_number
from wing_tf.utils.text_files import read_csv

MARGIN_DISTANCES = (1, 2, 3, 4, 6, 8, 12)
"""Distances from a heatmap's peak, in heatmap pixels, of the stored margins."""


def evaluate_cell(
    network: keras.Model,
    spec: ModelSpec,
    tests: dict[str, RecordSet],
    normalizer: str,
    balance: PoseBalance | None,
) -> dict[str, dict]:
    """Returns the NME of each face of each test set, and its pose if a balance is given."""
    run = compile_network(network)
    results = {}
    for name, records in tests.items():
        predictions = predict_batches(run, crop_batches(records, spec))
        scheme = records.scheme
        errors, distance = face_errors(predictions, scheme, normalizer)
        results[name] = {
            "faces": len(errors),
            # Cells are compared face by face, so the faces must be the same.
            "keys_sha256": sha256("\n".join(predictions.key).encode()),
            "nme": _round(errors),
            "nme_by_subset": {
                subset: _round(
                    nme(predictions.evaluated_true_px, predictions.predicted_px, distance, indices)
                )
                for subset, indices in scheme.subsets.items()
            },
        }
        if scheme.name == "lsp_14":
            groups = score_groups(predictions, errors, distance, scheme, get_protocol("lsp_pck"))
            results[name]["pck"] = {joint: scores["pck"] for joint, scores in groups.items()}
        if balance:
            annotated = np.isfinite(predictions.true_px).all(axis=-1)
            pose = balance.coefficients(predictions.true_px, annotated)
            results[name]["pose"] = [round(float(value), 4) for value in pose]
    return results


def _round(errors: np.ndarray) -> list[float | None]:
    return [None if np.isnan(error) else round(float(error), 6) for error in errors]


def decode_otherwise(
    network: keras.Model, *, zero_coordinates: bool = False, sigma: float | None = None, **options
) -> keras.Model:
    """Returns a trained network of heatmaps with another decoder; its layers are shared.

    Args:
        network: A network of `wing_tf.models.heatmap_localizer`.
        zero_coordinates: Whether the channels of CoordConv are 0.
        sigma: The decoder's sigma, in pixels of heatmaps of 64 px: half the window of the decoder
            `"soft_argmax"` has twice its size. Defaults to that of the training.
        **options: Arguments of `wing_tf.models.change_decoder`.
    """
    for layer in network.layers:
        if isinstance(layer, CoordinateChannels):
            layer.zeroed = layer.zeroed or zero_coordinates
    if sigma is not None:
        options["sigma"] = sigma * network.input_shape[1] / 256
    return change_decoder(network, **options)


def save_heatmaps(
    network: keras.Model, spec: ModelSpec, records: RecordSet, path: pathlib.Path
) -> None:
    """Saves the heatmaps of the first face, quantized to 1/255."""
    (face,) = face_heatmaps(network, crop_batches(records, spec), [0])
    maps = {"true": face.true, "predicted": face.predicted}
    steps = {k: np.round(255 * np.clip(v, 0, 1)).astype(np.uint8) for k, v in maps.items()}
    content = io.BytesIO()
    np.savez_compressed(content, **steps)
    write_bytes(path, content.getvalue())


def measure_margins(network: keras.Model, spec: ModelSpec, records: RecordSet) -> dict[str, Any]:
    """Returns the peak margins: means of the ground truth's, each face's of the predictions."""
    margins = peak_margins(network, crop_batches(records, spec), MARGIN_DISTANCES)
    true, predicted = (np.round(values, 4) for values in margins)
    return {
        "distances": list(MARGIN_DISTANCES),
        "true": np.nanmean(true, axis=0).tolist(),
        "predicted": [[None if np.isnan(v) else v for v in face] for face in predicted.tolist()],
    }


def measure_residuals(
    network: keras.Model, spec: ModelSpec, records: RecordSet
) -> dict[str, float]:
    """Returns the mean absolute residual in heatmap pixels; {} for a network without residuals."""
    residuals = residual_network(network)
    if residuals is None:
        return {}
    run = compile_network(residuals)
    sizes = np.concatenate([np.abs(run(batch.image)) for batch in crop_batches(records, spec)])
    return {"mean_residual": round(float(sizes.mean()), 4)}


def read_log(log: pathlib.Path) -> dict[str, Any]:
    """Returns from metrics.csv the validation NME by epoch, and errors of the training heatmaps."""
    rows = read_csv(log, ["val_nme"])

    def column(name: str) -> list[float]:
        return [parse_number(row.get(name, ""), f"{log}: {name}") for row in rows]

    names = ("heatmap_mse", "heatmap_mse_foreground")
    scores = {str(i): nme for i, nme in enumerate(column("val_nme"), start=1)}
    results: dict[str, Any] = {
        "validation_nme": {k: round(v, 6) for k, v in scores.items() if np.isfinite(v)}
    }
    if rows and names[0] in rows[0]:
        results["heatmap_errors"] = {name: column(name) for name in names}
    return results
