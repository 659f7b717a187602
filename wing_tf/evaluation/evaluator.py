"""Evaluation of a model on records, to a report folder."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tqdm

from wing_tf.data.records import UNKNOWN_CROP_RULE, find_shards, open_records
from wing_tf.evaluation import conditions
from wing_tf.evaluation.heatmaps import draw_worst_to_best
from wing_tf.evaluation.overlaps import check_unique, overlap_notes, training_notes
from wing_tf.evaluation.predict import (
    Predictions,
    check_fit,
    crop_batches,
    predict_batches,
)
from wing_tf.evaluation.protocol_report import in_group, make_protocol_report, protocol_files
from wing_tf.evaluation.protocols import Protocol
from wing_tf.evaluation.report import face_errors, make_report, write_report
from wing_tf.landmarks import BOX_NORMALIZERS, SchemeMap, find_scheme_map
from wing_tf.metrics import pck, summarize_errors
from wing_tf.models import heatmap_network
from wing_tf.models.compiled import compile_localizer
from wing_tf.models.saving import find_network, load_network
from wing_tf.utils.image_files import save_image

Detector = Callable[[np.ndarray], np.ndarray]
"""A function from an image to boxes [N, 4]."""

_BOXES = {
    "dataset": "the data set's box",
    "landmark": "the landmarks' box",
    "dataset_or_landmark": "the data set's box, else the landmarks'",
}


def evaluate(
    model: str | pathlib.Path,
    data: str,
    output: pathlib.Path,
    *,
    box_noise: float | None = None,
    rotation_deg: float | None = None,
    detectors: Mapping[str, Detector] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Evaluates a model on records and writes the report folder.

    Args:
        model: A ``.keras`` file or a run folder.
        data: Record files, as for `find_shards`.
        output: An existing folder.
        box_noise: Repeat the evaluation with boxes that are shifted and scaled by up to this
            fraction of their side.
        rotation_deg: Repeat the evaluation with faces that are rotated in the image plane about the
            box center by up to this angle, and if `box_noise` is given also with both. Pixels
            outside of the records' squares are black.
        detectors: Repeat the evaluation with the boxes of each of these detectors, by name.
        **options: Options of `Evaluator`.

    Returns:
        The report, as in report.json.

    Raises:
        ValueError: If the model and the records don't fit, or no face can be scored.
    """
    evaluator = Evaluator(model, data, **options)
    return evaluator.report(
        output, box_noise=box_noise, rotation_deg=rotation_deg, detectors=detectors
    )


class Evaluator:
    """A model with the faces that it is evaluated on and the definition of their errors.

    Args:
        model: A ``.keras`` file or a run folder.
        data: Record files, as for `find_shards`.
        protocol: A protocol that selects the faces, the normalizer, the groups and the published
            scores to compare with.
        normalizer: See `wing_tf.metrics.normalizing_distance`. Defaults to the protocol's, or else
            to the scheme's.
        scheme_map: Map from the model's scheme to the records'. Defaults to the built-in map if the
            schemes differ.
        batch_size: Number of faces per batch. Defaults to 64.

    Raises:
        ValueError: If the model, the records and the protocol don't fit.
    """

    def __init__(
        self,
        model: str | pathlib.Path,
        data: str,
        *,
        protocol: Protocol | None = None,
        normalizer: str | None = None,
        scheme_map: SchemeMap | None = None,
        batch_size: int = 64,
    ):
        files = find_shards(data)
        self.records = open_records(protocol_files(files, protocol) if protocol else files)
        scheme = self.records.scheme
        if protocol and protocol.scheme not in ("", scheme.name):
            raise ValueError(
                f"The protocol {protocol.name} is for records of {protocol.scheme}. "
                f"Received: {scheme.name}."
            )
        if protocol and normalizer not in (None, protocol.normalizer):
            raise ValueError(
                f"The protocol {protocol.name} divides by {protocol.normalizer}. "
                f"Received: normalizer={normalizer!r}."
            )
        self.name, self.data = pathlib.Path(model).name, data
        self.file = find_network(model)
        self.network, self.spec = load_network(self.file)
        if scheme_map is None and self.spec.scheme_name != scheme.name:
            scheme_map = find_scheme_map(self.spec.scheme_name, scheme)
        check_fit(self.records, self.spec, scheme_map)
        self.protocol, self.scheme_map, self.batch_size = protocol, scheme_map, batch_size
        self.normalizer = protocol.normalizer if protocol else normalizer
        self.normalizer = self.normalizer or scheme.default_normalizer
        known = [*scheme.normalizers, *BOX_NORMALIZERS]
        if self.normalizer not in known and not protocol:
            raise ValueError(
                f"The normalizer must be one of {', '.join(known)}. Received: {self.normalizer!r}."
            )
        self.normalizer_box = protocol.normalizer_box if protocol else "dataset_or_landmark"
        self._run = compile_localizer(self.network)

    def report(
        self,
        output: pathlib.Path,
        *,
        box_noise: float | None = None,
        rotation_deg: float | None = None,
        detectors: Mapping[str, Detector] | None = None,
    ) -> dict[str, Any]:
        """Evaluates the model and writes the report folder; see `evaluate`."""
        records, scheme = self.records, self.records.scheme
        if box_noise:
            self._check_noise(box_noise)
        # Detectors run first, because one that finds no face is an error.
        detected = {name: self._detect(name, finder) for name, finder in (detectors or {}).items()}
        predictions = self._select_evaluated(self._predict("recorded boxes"))
        check_unique(predictions.key)
        others = {
            name: self._score(self._select_evaluated(self._predict(name, **options)))
            for name, options in _extra_conditions(box_noise, rotation_deg).items()
        }
        for name, (boxes, found) in detected.items():
            others[f"{name} boxes"] = self._score_detected(name, boxes, found)
        errors, distance = self._errors(predictions)
        report = {
            **self._metadata(predictions),
            **make_report(predictions, scheme, self.normalizer, normalizer_box=self.normalizer_box),
            "conditions": others,
        }
        extra_columns = {}
        if self.protocol:
            report["named_protocol"] = make_protocol_report(
                self.protocol, predictions, errors, distance, records, self.spec
            )
            if self.protocol.score == "pck":
                points = predictions.evaluated_true_px, predictions.predicted_px
                threshold = self.protocol.thresholds[0]
                extra_columns["pck"] = pck(*points, distance, threshold, axis=1)
        if self.scheme_map is None and heatmap_network(self.network):
            batches = crop_batches(records, self.spec)
            image = draw_worst_to_best(self.network, errors, predictions.index, batches, scheme)
            save_image(output / "heatmaps.png", image)
        write_report(
            output, report, predictions, records,
            name=self.name, errors=errors, extra_columns=extra_columns,
        )  # fmt: skip
        return report

    def _check_noise(self, box_noise: float) -> None:
        if self.spec.margin * (1 + box_noise) + 2 * box_noise > self.records.min_context:
            raise ValueError(
                f"Boxes moved by box_noise={box_noise:g} leave the records' squares, "
                f"{self.records.min_context:.2f} times the face box. Use less noise, or records "
                "with more context."
            )

    def _predict(self, what: str, **options: Any) -> Predictions:
        """Returns the predictions of all faces; options are those of `crop_batches`."""
        batches = crop_batches(self.records, self.spec, batch_size=self.batch_size, **options)
        count = -(-self.records.num_faces // self.batch_size)
        batches = tqdm.tqdm(batches, what, count, unit="batch")
        return predict_batches(self._run, batches, self.scheme_map, self.spec.score_calibration)

    def _select_evaluated(self, predictions: Predictions) -> Predictions:
        """Returns the predictions of the protocol's faces; all without a protocol."""
        if self.protocol is None:
            return predictions
        chosen = in_group(predictions, next(iter(self.protocol.groups.values())))
        if not chosen.any():
            raise ValueError(f"None of the faces is one of the protocol {self.protocol.name}.")
        return conditions.select_faces(predictions, chosen)

    def _errors(self, predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
        return face_errors(
            predictions, self.records.scheme, self.normalizer, normalizer_box=self.normalizer_box
        )

    def _score(self, predictions: Predictions) -> dict[str, Any]:
        errors, _ = self._errors(predictions)
        return summarize_errors(errors[np.isfinite(errors)])

    def _detect(self, name: str, detector: Detector) -> tuple[np.ndarray, np.ndarray]:
        """Returns the boxes of a detector and which faces it found; an error if it found none."""
        boxes, found = conditions.detect_in_squares(self.records, detector)
        if not found.any():
            raise ValueError(f"The detector {name} found none of the faces.")
        return boxes, found

    def _score_detected(self, name: str, boxes: np.ndarray, found: np.ndarray) -> dict[str, Any]:
        """Returns the scores of the faces that a detector found, and its recall."""
        move_boxes = conditions.detected_boxes(self.records, self.spec, boxes)
        every = self._predict(f"{name} boxes", move_boxes=move_boxes)
        count = len(self._select_evaluated(every).key)
        predictions = self._select_evaluated(conditions.select_faces(every, found))
        return {**self._score(predictions), "recall": len(predictions.key) / count}

    def _metadata(self, predictions: Predictions) -> dict[str, Any]:
        """Returns what must be known to compare the scores with others."""
        records, spec = self.records, self.spec
        scheme, count = records.scheme.name, records.scheme.num_landmarks
        if self.scheme_map is not None:
            count = sum(bool(group) for group in self.scheme_map.groups)
            scheme = f"{spec.scheme_name} as {scheme} ({count} landmarks)"
        error = f"{self.normalizer} NME"
        if self.normalizer in BOX_NORMALIZERS:
            error += f" ({_BOXES[self.normalizer_box]})"
        metadata = {
            "protocol": f"{scheme}, {error}, boxes: "
            f"{', '.join(map(str, records.crop_rules))}; the network's crop x {spec.margin:g}",
            "warnings": self._warnings(predictions),
            "crop_rules": [dataclasses.asdict(crop) for crop in records.crop_rules],
            "crops_enlarged_by_true_landmarks": any(
                crop.uses_ground_truth for crop in records.crop_rules
            ),
            "trained_on": dict(spec.trained_on),
            "trained_crops": list(spec.trained_crops),
            "model": str(self.file),
            "data": self.data,
            "data_sets": dict(records.sources),
            "scheme": records.scheme.name,
            "normalizer": self.normalizer,
            "num_evaluated_landmarks": count,
        }
        if self.scheme_map is not None:
            metadata["scheme_map"] = [list(group) for group in self.scheme_map.groups]
            metadata["scheme_map_residual"] = self.scheme_map.known_residual
        return metadata

    def _warnings(self, predictions: Predictions) -> list[str]:
        """Returns the reasons why the scores may not be comparable."""
        kinds = {crop.box for crop in self.records.crop_rules if crop != UNKNOWN_CROP_RULE}
        found = []
        if self.spec.trained_boxes and not kinds <= set(self.spec.trained_boxes):
            found.append(
                f"WARNING: trained on crops around {', '.join(self.spec.trained_crops)}, evaluated "
                f"on {', '.join(map(str, self.records.crop_rules))}"
            )
        if self.scheme_map is not None and self.scheme_map.known_residual != 0:
            own = self.scheme_map.known_residual
            error = "has not been measured" if own is None else f"is {100 * own:.2f} % NME"
            found.append(
                f"NOTE: evaluated through a map between schemes, whose own error {error} "
                "(wing-tfrecords residual)"
            )
        if any(crop.uses_ground_truth for crop in self.records.crop_rules):
            found.append("WARNING: the test crops were enlarged with the ground truth landmarks")
        sources = self.spec.known_faces, self.records.sources
        overlaps = overlap_notes(*sources) + training_notes(predictions.groups, *sources)
        return found + [f"WARNING: {note}" for note in overlaps]


def _extra_conditions(
    box_noise: float | None, rotation_deg: float | None
) -> dict[str, dict[str, Any]]:
    """Returns the options of `crop_batches` for each further condition, by its name."""
    extra: dict[str, dict[str, Any]] = {}
    if box_noise:
        extra[f"box noise {box_noise:g}"] = {"move_boxes": conditions.noisy_boxes(box_noise)}
    if rotation_deg:
        name = f"rotated by {rotation_deg:g} deg"
        extra[name] = {"draw_angles": conditions.random_angles(rotation_deg)}
        if box_noise:
            extra[f"{name}, box noise {box_noise:g}"] = {
                "move_boxes": conditions.noisy_boxes(box_noise),
                "draw_angles": conditions.random_angles(rotation_deg),
            }
    return extra
