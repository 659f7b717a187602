"""A model and records in, a report folder out."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tqdm

from wing_tf.data.records import RecordSet, find_shards, open_records
from wing_tf.evaluation import conditions
from wing_tf.evaluation.heatmaps import draw_maps, face_maps
from wing_tf.evaluation.predict import (
    Predictions,
    check_fit,
    compile_network,
    crop_batches,
    predict_batches,
)
from wing_tf.evaluation.report import face_errors, make_report, summarise, write_report
from wing_tf.landmarks import SchemeMap, find_map
from wing_tf.models import open_localiser
from wing_tf.models.saving import Contract, find_network, load_network
from wing_tf.visualization.files import save_picture


def evaluate(
    model: str | pathlib.Path,
    data: str,
    output: pathlib.Path,
    *,
    normaliser: str | None = None,
    box_noise: float | None = None,
    rotation_deg: float | None = None,
    detectors: Mapping[str, Callable[[np.ndarray], np.ndarray]] | None = None,
    scheme_map: SchemeMap | None = None,
    batch_size: int = 64,
) -> dict[str, Any]:
    """Judges a model and writes the report.

    Args:
        model: a ``.keras`` file or a run folder.
        data: record files, as for `find_shards`.
        output: an existing folder.
        normaliser: see `wing_tf.metrics.normalising_distance`; the mark-up's own if None.
        box_noise: repeat with boxes that are shifted and scaled by up to this share.
        rotation_deg: repeat with faces that are turned about the box's centre by up to this angle
            either way, and with ``box_noise`` too if both are given. What a turned crop holds of
            beyond the records' squares is black.
        detectors: repeat with the boxes of each of these, by name.
        scheme_map: from the model's mark-up to the records', if they differ; the built-in one if
            None.
        batch_size: faces at a time.

    Returns:
        The report, as in ``report.json``.

    Raises:
        ValueError: if the model and the records don't fit, or no face can be scored.
    """
    records = open_records(find_shards(data))
    network, contract = load_network(model)
    if scheme_map is None and contract.scheme_name != records.scheme.name:
        scheme_map = find_map(contract.scheme_name, records.scheme)
    check_fit(records, contract, scheme_map)
    if box_noise and contract.margin * (1 + box_noise) + 2 * box_noise > records.context:
        raise ValueError(
            f"Boxes moved by box_noise={box_noise:g} leave the records' squares, "
            f"{records.context:.2f} times the face box. Take less noise, or records with more "
            "context."
        )
    run = compile_network(network)
    normaliser = normaliser or records.scheme.default_normaliser
    num_batches = -(-records.num_faces // batch_size)

    def predict(what: str, **options):
        batches = crop_batches(records, contract, batch_size=batch_size, **options)
        shown = tqdm.tqdm(batches, what, num_batches, unit="batch")
        return predict_batches(run, shown, scheme_map)

    def score(predictions):
        errors, _ = face_errors(predictions, records.scheme, normaliser)
        return summarise(errors[np.isfinite(errors)])

    detected = {}
    for name, detector in (detectors or {}).items():
        boxes, found = conditions.detect_in_squares(records, detector)
        if not found.any():
            raise ValueError(f"The detector {name} found none of the faces.")
        detected[name] = boxes, found
    predictions = predict("true boxes")
    others = {}
    harder = {}
    if box_noise:
        harder[f"box noise {box_noise:g}"] = {"move_boxes": conditions.noisy_boxes(box_noise)}
    if rotation_deg:
        name = f"turned by {rotation_deg:g} deg"
        harder[name] = {"draw_angles": conditions.random_angles(rotation_deg)}
        if box_noise:
            harder[f"{name}, box noise {box_noise:g}"] = {
                "move_boxes": conditions.noisy_boxes(box_noise),
                "draw_angles": conditions.random_angles(rotation_deg),
            }
    for name, options in harder.items():
        others[name] = score(predict(name, **options))
    for name, (boxes, found) in detected.items():
        move_boxes = conditions.detected_boxes(records, contract, boxes)
        harder_predictions = predict(f"{name} boxes", move_boxes=move_boxes)
        others[f"{name} boxes"] = {
            **score(conditions.keep(harder_predictions, found)),
            "recall": float(found.mean()),
        }
    judged = records.scheme.name
    if scheme_map is not None:
        count = sum(bool(group) for group in scheme_map.groups)
        judged = f"{contract.scheme_name} as {judged} ({count} landmarks)"
    report = {
        "protocol": f"{judged}, {normaliser} NME, boxes as recorded, "
        f"square crop x {contract.margin:g}",
        "model": str(find_network(model)),
        "data": data,
        "scheme": records.scheme.name,
        "normaliser": normaliser,
        **({"scheme_map": [list(group) for group in scheme_map.groups]} if scheme_map else {}),
        **make_report(predictions, records.scheme, normaliser),
        "conditions": others,
    }
    if scheme_map is None and open_localiser(network):  # maps are of the model's own mark-up
        save_picture(
            output / "heatmaps.png",
            _draw_heatmaps(network, predictions, records, contract, normaliser),
        )
    name = pathlib.Path(model).name
    write_report(output, report, predictions, records, name=name, normaliser=normaliser)
    return report


def _draw_heatmaps(
    network: keras.Model,
    predictions: Predictions,
    records: RecordSet,
    contract: Contract,
    normaliser: str,
) -> np.ndarray:
    """Draws the maps of the worst, the median and the best face."""
    errors, _ = face_errors(predictions, records.scheme, normaliser)
    order = np.argsort(np.where(np.isfinite(errors), -errors, np.inf))[: np.isfinite(errors).sum()]
    chosen = {"worst": order[0], "median": order[len(order) // 2], "best": order[-1]}
    faces = face_maps(network, crop_batches(records, contract), [int(i) for i in chosen.values()])
    captions = [f"{name}: {100 * errors[i]:.1f} %" for name, i in chosen.items()]
    return draw_maps(faces, records.scheme, captions)
