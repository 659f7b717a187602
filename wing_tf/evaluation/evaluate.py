"""A model and records in, a report folder out."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tqdm

from wing_tf.data.records import find_shards, open_records
from wing_tf.evaluation import conditions
from wing_tf.evaluation.heatmaps import draw_maps, face_maps
from wing_tf.evaluation.predict import (
    CropBatch,
    check_fit,
    compile_network,
    crop_batches,
    predict_batches,
)
from wing_tf.evaluation.protocol_report import in_group, protocol_files, score_groups, set_beside
from wing_tf.evaluation.protocols import Protocol
from wing_tf.evaluation.report import face_errors, make_report, summarise, write_report
from wing_tf.landmarks import LandmarkScheme, SchemeMap, find_map
from wing_tf.models import open_localiser
from wing_tf.models.saving import find_network, load_network
from wing_tf.visualization.files import save_picture


def evaluate(
    model: str | pathlib.Path,
    data: str,
    output: pathlib.Path,
    *,
    protocol: Protocol | None = None,
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
        protocol: which of the faces are judged, what their errors are divided by, and what the
            scores can be set beside.
        normaliser: see `wing_tf.metrics.normalising_distance`; the protocol's, or the mark-up's
            own, if None.
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
    files = find_shards(data)
    records = open_records(protocol_files(files, protocol) if protocol else files)
    if protocol and protocol.scheme not in ("", records.scheme.name):
        raise ValueError(
            f"The protocol {protocol.name} is for records of {protocol.scheme}. "
            f"Received: {records.scheme.name}."
        )
    if protocol and normaliser not in (None, protocol.normaliser):
        raise ValueError(
            f"The protocol {protocol.name} divides by {protocol.normaliser}. "
            f"Received: normaliser={normaliser!r}."
        )
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
    if protocol:
        normaliser = protocol.normaliser
    normaliser = normaliser or records.scheme.default_normaliser
    landmark_boxes = bool(protocol and protocol.landmark_boxes)
    num_batches = -(-records.num_faces // batch_size)

    def predict(what: str, **options):
        batches = crop_batches(records, contract, batch_size=batch_size, **options)
        shown = tqdm.tqdm(batches, what, num_batches, unit="batch")
        return predict_batches(run, shown, scheme_map)

    def judge(predictions):
        return face_errors(predictions, records.scheme, normaliser, landmark_boxes=landmark_boxes)

    def score(predictions):
        errors, _ = judge(predictions)
        return summarise(errors[np.isfinite(errors)])

    def judged_part(predictions):
        if protocol is None:
            return predictions
        chosen = in_group(predictions, next(iter(protocol.groups.values())))
        if not chosen.any():
            raise ValueError(f"None of the faces is one of the protocol {protocol.name}.")
        return predictions if chosen.all() else conditions.keep(predictions, chosen)

    detected = {}
    for name, detector in (detectors or {}).items():
        boxes, found = conditions.detect_in_squares(records, detector)
        if not found.any():
            raise ValueError(f"The detector {name} found none of the faces.")
        detected[name] = boxes, found
    everyone = predict("recorded boxes")
    predictions = judged_part(everyone)
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
        others[name] = score(judged_part(predict(name, **options)))
    for name, (boxes, found) in detected.items():
        move_boxes = conditions.detected_boxes(records, contract, boxes)
        harder_predictions = predict(f"{name} boxes", move_boxes=move_boxes)
        others[f"{name} boxes"] = {
            **score(judged_part(conditions.keep(harder_predictions, found))),
            "recall": float(found.mean()),
        }
    judged = records.scheme.name
    if scheme_map is not None:
        count = sum(bool(group) for group in scheme_map.groups)
        judged = f"{contract.scheme_name} as {judged} ({count} landmarks)"
    errors, distance = judge(predictions)
    crops = ", ".join(map(str, records.crops))
    report = {
        "protocol": f"{judged}, {normaliser} NME, boxes: {crops}; the network's crop x "
        f"{contract.margin:g}",
        "crop_rules": [dataclasses.asdict(crop) for crop in records.crops],
        "uses_true_landmarks": any(crop.uses_truth for crop in records.crops),
        "trained_on": dict(contract.trained_on),
        "trained_crops": list(contract.trained_crops),
        "model": str(find_network(model)),
        "data": data,
        "scheme": records.scheme.name,
        "normaliser": normaliser,
        **({"scheme_map": [list(group) for group in scheme_map.groups]} if scheme_map else {}),
        **make_report(predictions, records.scheme, normaliser, landmark_boxes=landmark_boxes),
        "conditions": others,
    }
    if protocol:
        groups = score_groups(predictions, errors, distance, records.scheme, protocol)
        report["named_protocol"] = {
            "name": protocol.name,
            "normaliser": normaliser,
            "note": protocol.note,
            "groups": groups,
            "official_counts": dict(protocol.counts),
            "published": set_beside(protocol, groups, records, contract),
        }
    if scheme_map is None and open_localiser(network):  # maps are of the model's own mark-up
        save_picture(
            output / "heatmaps.png",
            _draw_heatmaps(
                network,
                dict(zip(predictions.key, errors, strict=True)),
                everyone.key,
                crop_batches(records, contract),
                records.scheme,
            ),
        )
    name = pathlib.Path(model).name
    write_report(output, report, predictions, records, name=name, errors=errors)
    return report


def _draw_heatmaps(
    network: keras.Model,
    errors: Mapping[str, float],
    keys: list[str],
    batches: Iterable[CropBatch],
    scheme: LandmarkScheme,
) -> np.ndarray:
    """Draws the maps of the worst, the median and the best face.

    Args:
        network: a localiser of heatmaps.
        errors: by key, of the faces that are judged; NaN of those without a score.
        keys: of all faces, in the batches' order.
        batches: the faces.
        scheme: the mark-up.
    """
    scored = {key: error for key, error in errors.items() if np.isfinite(error)}
    order = sorted(scored, key=lambda key: -scored[key])
    chosen = {"worst": order[0], "median": order[len(order) // 2], "best": order[-1]}
    faces = face_maps(network, batches, [keys.index(key) for key in chosen.values()])
    captions = [f"{name}: {100 * scored[key]:.1f} %" for name, key in chosen.items()]
    return draw_maps(faces, scheme, captions)
