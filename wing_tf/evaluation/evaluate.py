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
    Predictions,
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
    judge = _Judge(model, data, protocol, normaliser, scheme_map, batch_size)
    if box_noise:
        judge.check_noise(box_noise)
    # First, as a detector that finds nothing ends it.
    detected = {n: judge.detect(n, detector) for n, detector in (detectors or {}).items()}
    everyone = judge.predict("recorded boxes")
    predictions = judge.judged_part(everyone)
    harder: dict[str, dict[str, Any]] = {}
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
    others = {
        name: judge.score(judge.judged_part(judge.predict(name, **options)))
        for name, options in harder.items()
    }
    for name, (boxes, found) in detected.items():
        others[f"{name} boxes"] = judge.score_detected(name, boxes, found)
    errors, distance = judge.errors(predictions)
    report = {
        **judge.facts(),
        "data": data,
        **make_report(
            predictions,
            judge.records.scheme,
            judge.normaliser,
            landmark_boxes=judge.landmark_boxes,
        ),
        "conditions": others,
    }
    if protocol:
        groups = score_groups(predictions, errors, distance, judge.records.scheme, protocol)
        report["named_protocol"] = {
            "name": protocol.name,
            "normaliser": protocol.normaliser,
            "note": protocol.note,
            "groups": groups,
            "official_counts": dict(protocol.counts),
            "published": set_beside(protocol, groups, judge.records, judge.contract),
        }
    if judge.scheme_map is None and open_localiser(judge.network):  # maps are of its own mark-up
        by_key = dict(zip(predictions.key, errors, strict=True))
        batches = crop_batches(judge.records, judge.contract)
        picture = _draw_heatmaps(judge.network, by_key, everyone.key, batches, judge.records.scheme)
        save_picture(output / "heatmaps.png", picture)
    name = pathlib.Path(model).name
    write_report(output, report, predictions, judge.records, name=name, errors=errors)
    return report


class _Judge:
    """A model, the faces that it is judged on, and how errors are measured; see `evaluate`."""

    def __init__(
        self,
        model: str | pathlib.Path,
        data: str,
        protocol: Protocol | None,
        normaliser: str | None,
        scheme_map: SchemeMap | None,
        batch_size: int,
    ):
        files = find_shards(data)
        self.records = open_records(protocol_files(files, protocol) if protocol else files)
        scheme = self.records.scheme
        if protocol and protocol.scheme not in ("", scheme.name):
            raise ValueError(
                f"The protocol {protocol.name} is for records of {protocol.scheme}. "
                f"Received: {scheme.name}."
            )
        if protocol and normaliser not in (None, protocol.normaliser):
            raise ValueError(
                f"The protocol {protocol.name} divides by {protocol.normaliser}. "
                f"Received: normaliser={normaliser!r}."
            )
        self.file = find_network(model)
        self.network, self.contract = load_network(self.file)
        if scheme_map is None and self.contract.scheme_name != scheme.name:
            scheme_map = find_map(self.contract.scheme_name, scheme)
        check_fit(self.records, self.contract, scheme_map)
        self.protocol, self.scheme_map, self.batch_size = protocol, scheme_map, batch_size
        self.normaliser = protocol.normaliser if protocol else normaliser
        self.normaliser = self.normaliser or scheme.default_normaliser
        self.landmark_boxes = bool(protocol and protocol.landmark_boxes)
        self._run = compile_network(self.network)

    def check_noise(self, box_noise: float) -> None:
        """Raises ValueError if boxes that are moved so far leave the records' squares."""
        if self.contract.margin * (1 + box_noise) + 2 * box_noise > self.records.context:
            raise ValueError(
                f"Boxes moved by box_noise={box_noise:g} leave the records' squares, "
                f"{self.records.context:.2f} times the face box. Take less noise, or records with "
                "more context."
            )

    def predict(self, what: str, **options) -> Predictions:
        """Predicts all faces; options are those of `crop_batches`."""
        batches = crop_batches(self.records, self.contract, batch_size=self.batch_size, **options)
        number = -(-self.records.num_faces // self.batch_size)
        shown = tqdm.tqdm(batches, what, number, unit="batch")
        return predict_batches(self._run, shown, self.scheme_map)

    def judged_part(self, predictions: Predictions) -> Predictions:
        """Returns those of the protocol's faces; all without a protocol."""
        if self.protocol is None:
            return predictions
        chosen = in_group(predictions, next(iter(self.protocol.groups.values())))
        if not chosen.any():
            raise ValueError(f"None of the faces is one of the protocol {self.protocol.name}.")
        return conditions.keep(predictions, chosen)

    def errors(self, predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
        """Returns the faces' errors and what they were divided by, as `face_errors`."""
        return face_errors(
            predictions, self.records.scheme, self.normaliser, landmark_boxes=self.landmark_boxes
        )

    def score(self, predictions: Predictions) -> dict[str, Any]:
        """Returns the scores of the faces that have one."""
        errors, _ = self.errors(predictions)
        return summarise(errors[np.isfinite(errors)])

    def detect(self, name: str, detector: Callable) -> tuple[np.ndarray, np.ndarray]:
        """Returns a detector's boxes and whom it found; ValueError if that is nobody."""
        boxes, found = conditions.detect_in_squares(self.records, detector)
        if not found.any():
            raise ValueError(f"The detector {name} found none of the faces.")
        return boxes, found

    def score_detected(self, name: str, boxes: np.ndarray, found: np.ndarray) -> dict[str, Any]:
        """Returns the scores of the faces that were found by a detector, and its recall."""
        move_boxes = conditions.detected_boxes(self.records, self.contract, boxes)
        everyone = self.predict(f"{name} boxes", move_boxes=move_boxes)
        number = len(self.judged_part(everyone).key)
        predictions = self.judged_part(conditions.keep(everyone, found))
        return {**self.score(predictions), "recall": len(predictions.key) / number}

    def facts(self) -> dict[str, Any]:
        """Returns what a reader must know to compare the scores with others."""
        records, contract, scheme_map = self.records, self.contract, self.scheme_map
        judged = records.scheme.name
        if scheme_map is not None:
            count = sum(bool(group) for group in scheme_map.groups)
            judged = f"{contract.scheme_name} as {judged} ({count} landmarks)"
        facts = {
            "protocol": f"{judged}, {self.normaliser} NME, boxes: "
            f"{', '.join(map(str, records.crops))}; the network's crop x {contract.margin:g}",
            "crop_rules": [dataclasses.asdict(crop) for crop in records.crops],
            "uses_true_landmarks": any(crop.uses_truth for crop in records.crops),
            "trained_on": dict(contract.trained_on),
            "trained_crops": list(contract.trained_crops),
            "model": str(self.file),
            "scheme": records.scheme.name,
            "normaliser": self.normaliser,
        }
        if scheme_map is not None:
            facts["scheme_map"] = [list(group) for group in scheme_map.groups]
        return facts


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
