"""The report of a named protocol: scores by group, and published scores to compare with."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wing_tf.data import record_schema as schema
from wing_tf.data.records import RecordSet
from wing_tf.evaluation.predict import Predictions
from wing_tf.evaluation.protocols import Protocol
from wing_tf.evaluation.published import PUBLISHED, Published
from wing_tf.landmarks import LandmarkScheme
from wing_tf.metrics import format_scores, observer_centric, pck, score_title, summarize_errors
from wing_tf.model_spec import ModelSpec


def protocol_files(files: Sequence[str], protocol: Protocol) -> list[str]:
    """Returns the record files of the splits that a protocol evaluates.

    Raises:
        ValueError: If there are none.
    """
    splits = [schema.split_of(pathlib.PurePath(file).name) for file in files]
    wanted = set(protocol.splits) or set(splits) - {"train", "validation"}
    chosen = [file for file, split in zip(files, splits, strict=True) if split in wanted]
    if not chosen:
        names = ", ".join(protocol.splits) or "that are neither train nor validation"
        raise ValueError(
            f"The protocol {protocol.name} reads the splits {names}. None of the {len(files)} "
            "record files is of one of them."
        )
    return chosen


def in_group(predictions: Predictions, names: Sequence[str]) -> np.ndarray:
    """Returns which faces [N] are in one of the named splits or attributes; all for no names."""
    wanted = set(names)
    return np.array([not wanted or bool(wanted & group) for group in predictions.groups])


def make_protocol_report(
    protocol: Protocol,
    predictions: Predictions,
    errors: np.ndarray,
    distance: np.ndarray,
    records: RecordSet,
    spec: ModelSpec,
) -> dict[str, Any]:
    """Returns the ``named_protocol`` of a report.

    Args:
        protocol: The protocol.
        predictions: The predictions of its N faces.
        errors: Their NME [N], NaN where there is none.
        distance: Their normalizing distances [N].
        records: The records of the faces.
        spec: The evaluated model.
    """
    groups = score_groups(predictions, errors, distance, records.scheme, protocol)
    count = records.scheme.num_landmarks
    if predictions.evaluated is not None:
        count = int(predictions.evaluated.sum())
    return {
        "name": protocol.name,
        "normalizer": protocol.normalizer,
        "score": protocol.score,
        "thresholds": list(protocol.thresholds),
        "note": protocol.note,
        "groups": groups,
        "members": {title: list(names) for title, names in protocol.groups.items()},
        "official_counts": dict(protocol.official_counts),
        "published": compare_with_published(protocol, groups, records, spec, count),
    }


def score_groups(
    predictions: Predictions,
    errors: np.ndarray,
    distance: np.ndarray,
    scheme: LandmarkScheme,
    protocol: Protocol,
) -> dict[str, dict[str, Any]]:
    """Returns a protocol's scores by group, as fractions.

    Args:
        predictions: The predictions of N faces.
        errors: Their NME [N], NaN where there is none.
        distance: Their normalizing distances [N].
        scheme: Their landmark scheme.
        protocol: The protocol.

    Returns:
        For each group ``num_faces`` (with a score), ``num_not_scored`` and, unless the group is
        empty, the scores. For PCK the groups are joints.
    """
    if protocol.score == "pck":
        return _score_joints(predictions, distance, scheme, protocol.thresholds[0])
    groups = {}
    for title, names in protocol.groups.items():
        chosen = in_group(predictions, names)
        values = errors[chosen & np.isfinite(errors)]
        counts = {"num_faces": len(values), "num_not_scored": int(chosen.sum()) - len(values)}
        scores = summarize_errors(values, protocol.thresholds) if len(values) else {}
        groups[title] = scores | counts
    return groups


_JOINTS = {
    "head": (12, 13), "shoulder": (8, 9), "elbow": (7, 10), "wrist": (6, 11), "hip": (2, 3),
    "knee": (1, 4), "ankle": (0, 5),
}  # fmt: skip


def _score_joints(
    predictions: Predictions, distance: np.ndarray, scheme: LandmarkScheme, threshold: float
) -> dict[str, dict[str, Any]]:
    """Returns the PCK of each kind of joint of `lsp_14`, and their mean, as papers report it."""
    true, predicted = predictions.evaluated_true_px, predictions.predicted_px
    annotated = np.isfinite(true).all(axis=-1)
    true_observed = observer_centric(true, scheme, annotated)
    predicted_observed = observer_centric(predicted, scheme, annotated)
    fractions = {
        "pck": pck(true, predicted, distance, threshold),
        "pck_observer": pck(true_observed, predicted_observed, distance, threshold),
    }
    scored = np.isfinite(distance)
    counts = {"num_faces": int(scored.sum()), "num_not_scored": int(np.sum(~scored))}
    groups: dict[str, dict[str, Any]] = {}
    for joint, indices in _JOINTS.items():
        parts = {view: _mean(values[list(indices)]) for view, values in fractions.items()}
        groups[joint] = counts | parts
    whole = {view: _mean([part[view] for part in groups.values()]) for view in fractions}
    return groups | {"mean": counts | whole}


def _mean(values: Sequence[float | None] | np.ndarray) -> float | None:
    """Returns the mean of the finite values; None, which is null in JSON, without one."""
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else None


def compare_with_published(
    protocol: Protocol,
    groups: Mapping[str, Mapping[str, Any]],
    records: RecordSet,
    spec: ModelSpec,
    num_evaluated: int,
) -> list[dict[str, Any]]:
    """Returns the scores of each published system, and whether its conditions are the same.

    The conditions are the kind of boxes (not the size of the crop), the training data (the same
    data sets with the same number of faces, including held-out ones), the test faces (data set and
    number) and the evaluated landmarks.
    """
    found = next(iter(groups.values()))["num_faces"]
    expected = next(iter(protocol.official_counts.values()), None)
    sources = ", ".join(sorted(records.sources))
    whole = records.scheme.num_landmarks
    shared = {
        "faces_match": found == expected and set(records.sources) == {protocol.source},
        "faces": f"theirs {expected} of {protocol.source}; here {found} of {sources}",
        "landmarks_match": num_evaluated == whole,
        "landmarks": f"theirs {whole}; here {num_evaluated}",
    }
    return [
        _compare_conditions(entry, records, spec) | shared
        for entry in PUBLISHED.get(protocol.name, ())
    ]


def _compare_conditions(entry: Published, records: RecordSet, spec: ModelSpec) -> dict[str, Any]:
    def listing(faces: Mapping[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in faces.items()) or "not recorded"

    here, theirs = spec.known_faces, entry.trained_on
    return {
        "system": entry.system,
        "source": entry.source,
        "year": entry.year,
        "values_percent": {title: dict(values) for title, values in entry.values.items()},
        "boxes_match": all(crop.box in entry.box_kinds for crop in records.crop_rules),
        "boxes": f"theirs {entry.boxes}; here {', '.join(map(str, records.crop_rules))}, the "
        f"network's crop x {spec.margin:g}",
        "training_data_match": dict(here) == dict(theirs),
        "training_data": f"theirs {listing(theirs)}; here {listing(here)}",
    }


def format_protocol(part: Mapping[str, Any]) -> str:
    """Returns the ``named_protocol`` of a report as text, in percent."""
    groups, official = part["groups"], part["official_counts"]
    if "each" in official:
        official = dict.fromkeys(groups, official["each"])
    lines = [f"protocol {part['name']}, divided by {part['normalizer']}. {part['note']}".rstrip()]
    lines += format_scores(groups, heading="group", official_counts=official)
    if part["published"]:
        lines += ["", "published:"]
    for entry in part["published"]:
        lines.append(f"  {entry['system']}. {entry['source']} {entry['year']}")
        for title, values in entry["values_percent"].items():
            shown = ", ".join(f"{score_title(key)} {value:.2f}" for key, value in values.items())
            lines.append(f"    {title:<14}{shown}")
        for what in ("boxes", "training_data", "faces", "landmarks"):
            verdict = "the same" if entry[f"{what}_match"] else "NOT the same"
            lines.append(f"    {what.replace('_', ' ')} {verdict}: {entry[what]}")
    return "\n".join(lines) + "\n"
