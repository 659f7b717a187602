"""A model and records in, a report folder out."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tqdm

from wing_tf.data.records import UNKNOWN_CROP_RULE, find_shards, open_records
from wing_tf.evaluation import conditions
from wing_tf.evaluation.heatmaps import draw_worst_to_best
from wing_tf.evaluation.predict import Predictions, check_fit, crop_batches, predict_batches
from wing_tf.evaluation.protocol_report import (
    compare_with_published,
    face_pck,
    in_group,
    protocol_files,
    score_groups,
)
from wing_tf.evaluation.protocols import Protocol
from wing_tf.evaluation.report import face_errors, make_report, summarize, write_report
from wing_tf.landmarks import BOX_NORMALIZERS, SchemeMap, find_scheme_map
from wing_tf.models import heatmap_network
from wing_tf.models.compiled import compile_network
from wing_tf.models.saving import find_network, load_network
from wing_tf.utils.image_files import save_image

Detector = Callable[[np.ndarray], np.ndarray]
"""Images to boxes [N, 4]."""

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
    **options,
) -> dict[str, Any]:
    """Evaluates a model and writes the report.

    Args:
        model: a ``.keras`` file or a run folder.
        data: record files, as for `find_shards`.
        output: an existing folder.
        box_noise: repeat with boxes that are shifted and scaled by up to this share.
        rotation_deg: repeat with faces that are turned about the box's center by up to this angle
            either way, and with ``box_noise`` too if both are given. What a turned crop holds of
            beyond the records' squares is black.
        detectors: repeat with the boxes of each of these, by name.
        **options: of `Evaluator`.

    Returns:
        The report, as in ``report.json``.

    Raises:
        ValueError: if the model and the records don't fit, or no face can be scored.
    """
    evaluator = Evaluator(model, data, **options)
    return evaluator.report(
        output, box_noise=box_noise, rotation_deg=rotation_deg, detectors=detectors
    )


class Evaluator:
    """A model, the faces that it is evaluated on, and how errors are measured.

    Args:
        model: a ``.keras`` file or a run folder.
        data: record files, as for `find_shards`.
        protocol: which of the faces are evaluated, what their errors are divided by, and what the
            scores can be set beside.
        normalizer: see `wing_tf.metrics.normalizing_distance`; the protocol's, or the scheme's
            own, if None.
        scheme_map: from the model's scheme to the records', if they differ; the built-in one if
            None.
        batch_size: faces at a time.

    Raises:
        ValueError: if the model, the records and the protocol don't fit.
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
        self.normalizer_box = protocol.normalizer_box if protocol else "dataset_or_landmark"
        self._run = compile_network(self.network)

    def report(
        self,
        output: pathlib.Path,
        *,
        box_noise: float | None = None,
        rotation_deg: float | None = None,
        detectors: Mapping[str, Detector] | None = None,
    ) -> dict[str, Any]:
        """Evaluates the model and writes the report; see `evaluate`."""
        records, scheme, protocol = self.records, self.records.scheme, self.protocol
        if box_noise:
            self._check_noise(box_noise)
        # First, as a detector that finds nothing ends it.
        detected = {name: self._detect(name, finder) for name, finder in (detectors or {}).items()}
        predictions = self._select_evaluated(self._predict("recorded boxes"))
        others = {
            name: self._score(self._select_evaluated(self._predict(name, **options)))
            for name, options in _extra_conditions(box_noise, rotation_deg).items()
        }
        for name, (boxes, found) in detected.items():
            others[f"{name} boxes"] = self._score_detected(name, boxes, found)
        errors, distance = self._errors(predictions)
        report = {
            **self._facts(),
            **make_report(predictions, scheme, self.normalizer, normalizer_box=self.normalizer_box),
            "conditions": others,
        }
        more = {}
        if protocol:
            groups = score_groups(predictions, errors, distance, scheme, protocol)
            report["named_protocol"] = {
                "name": protocol.name,
                "normalizer": protocol.normalizer,
                "score": protocol.score,
                "thresholds": list(protocol.thresholds),
                "note": protocol.note,
                "groups": groups,
                "members": {title: list(names) for title, names in protocol.groups.items()},
                "official_counts": dict(protocol.official_counts),
                "published": compare_with_published(
                    protocol, groups, records, self.spec, self._num_evaluated
                ),
            }
            if protocol.score == "pck":
                more["pck"] = face_pck(predictions, distance, protocol.thresholds[0])
        if self.scheme_map is None and heatmap_network(self.network):  # of its own scheme
            image = draw_worst_to_best(
                self.network, errors, predictions.index, crop_batches(records, self.spec),
                scheme,
            )  # fmt: skip
            save_image(output / "heatmaps.png", image)
        write_report(output, report, predictions, records, name=self.name, errors=errors, more=more)
        return report

    def _check_noise(self, box_noise: float) -> None:
        if self.spec.margin * (1 + box_noise) + 2 * box_noise > self.records.context:
            raise ValueError(
                f"Boxes moved by box_noise={box_noise:g} leave the records' squares, "
                f"{self.records.context:.2f} times the face box. Take less noise, or records with "
                "more context."
            )

    def _predict(self, what: str, **options) -> Predictions:
        """Predicts all faces; options are those of `crop_batches`."""
        batches = crop_batches(self.records, self.spec, batch_size=self.batch_size, **options)
        number = -(-self.records.num_faces // self.batch_size)
        shown = tqdm.tqdm(batches, what, number, unit="batch")
        return predict_batches(self._run, shown, self.scheme_map)

    def _select_evaluated(self, predictions: Predictions) -> Predictions:
        """Returns those of the protocol's faces; all without a protocol."""
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
        """Returns the scores of the faces that have one."""
        errors, _ = self._errors(predictions)
        return summarize(errors[np.isfinite(errors)])

    def _detect(self, name: str, detector: Detector) -> tuple[np.ndarray, np.ndarray]:
        """Returns a detector's boxes and whom it found; ValueError if that is nobody."""
        boxes, found = conditions.detect_in_squares(self.records, detector)
        if not found.any():
            raise ValueError(f"The detector {name} found none of the faces.")
        return boxes, found

    def _score_detected(self, name: str, boxes: np.ndarray, found: np.ndarray) -> dict[str, Any]:
        """Returns the scores of the faces that were found by a detector, and its recall."""
        move_boxes = conditions.detected_boxes(self.records, self.spec, boxes)
        everyone = self._predict(f"{name} boxes", move_boxes=move_boxes)
        number = len(self._select_evaluated(everyone).key)
        predictions = self._select_evaluated(conditions.select_faces(everyone, found))
        return {**self._score(predictions), "recall": len(predictions.key) / number}

    @property
    def _num_evaluated(self) -> int:
        if self.scheme_map is None:
            return self.records.scheme.num_landmarks
        return sum(bool(group) for group in self.scheme_map.groups)

    def _facts(self) -> dict[str, Any]:
        """Returns what a reader must know to compare the scores with others."""
        records, spec = self.records, self.spec
        evaluated = records.scheme.name
        if self.scheme_map is not None:
            evaluated = f"{spec.scheme_name} as {evaluated} ({self._num_evaluated} landmarks)"
        divided = f"{self.normalizer} NME"
        if self.normalizer in BOX_NORMALIZERS:
            divided += f" ({_BOXES[self.normalizer_box]})"
        facts = {
            "protocol": f"{evaluated}, {divided}, boxes: "
            f"{', '.join(map(str, records.crop_rules))}; the network's crop x {spec.margin:g}",
            "warnings": self._warnings(),
            "crop_rules": [dataclasses.asdict(crop) for crop in records.crop_rules],
            "uses_true_landmarks": any(crop.uses_ground_truth for crop in records.crop_rules),
            "trained_on": dict(spec.trained_on),
            "trained_crops": list(spec.trained_crops),
            "model": str(self.file),
            "data": self.data,
            "data_sets": dict(records.sources),
            "scheme": records.scheme.name,
            "normalizer": self.normalizer,
            "num_evaluated_landmarks": self._num_evaluated,
        }
        if self.scheme_map is not None:
            facts["scheme_map"] = [list(group) for group in self.scheme_map.groups]
            facts["scheme_map_residual"] = self.scheme_map.known_residual
        return facts

    def _warnings(self) -> list[str]:
        """Returns what makes the scores other than they look."""
        kinds = {crop.box for crop in self.records.crop_rules if crop != UNKNOWN_CROP_RULE}
        found = []
        if self.spec.trained_boxes and not kinds <= set(self.spec.trained_boxes):
            found.append(
                f"WARNING: trained on crops round {', '.join(self.spec.trained_crops)}, evaluated "
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
            found.append("WARNING: the test crops were widened with the true landmarks")
        return found


def _extra_conditions(
    box_noise: float | None, rotation_deg: float | None
) -> dict[str, dict[str, Any]]:
    """Returns the options of `crop_batches` for each harder condition, by its name."""
    harder: dict[str, dict[str, Any]] = {}
    if box_noise:
        harder[f"box noise {box_noise:g}"] = {"move_boxes": conditions.noisy_boxes(box_noise)}
    if rotation_deg:
        name = f"rotated by {rotation_deg:g} deg"
        harder[name] = {"draw_angles": conditions.random_angles(rotation_deg)}
        if box_noise:
            harder[f"{name}, box noise {box_noise:g}"] = {
                "move_boxes": conditions.noisy_boxes(box_noise),
                "draw_angles": conditions.random_angles(rotation_deg),
            }
    return harder
