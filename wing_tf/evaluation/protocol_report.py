"""A protocol's table, and how far published numbers can be set beside it."""

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
from wing_tf.metrics import (
    bootstrap_interval,
    ced_auc,
    failure_rate,
    observer_centric,
    pck,
    point_errors,
)
from wing_tf.model_spec import ModelSpec


def protocol_files(files: Sequence[str], protocol: Protocol) -> list[str]:
    """Returns the shards of the splits that a protocol reads.

    Raises:
        ValueError: if there are none.
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
    """Returns which faces [N] are in one of the named splits or sub-sets; all if none is named."""
    wanted = set(names)
    return np.array([not wanted or bool(wanted & group) for group in predictions.groups])


def score_groups(
    predictions: Predictions,
    errors: np.ndarray,
    distance: np.ndarray,
    scheme: LandmarkScheme,
    protocol: Protocol,
) -> dict[str, dict[str, Any]]:
    """Returns the protocol's scores by group, as fractions.

    Args:
        predictions: of N faces.
        errors: their NME [N], NaN where there is none.
        distance: what they were divided by [N].
        scheme: the scheme.
        protocol: what is asked for.

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
        scores: dict[str, Any] = {
            "num_faces": len(values),
            "num_not_scored": int(chosen.sum()) - len(values),
        }
        if len(values):
            scores |= {"nme": float(values.mean()), "nmde": float(np.median(values))}
            scores["nme_interval"] = bootstrap_interval(values)
            for threshold in protocol.thresholds:
                key = f"{round(100 * threshold):02d}"
                scores[f"fr_{key}"] = failure_rate(values, threshold)
                scores[f"auc_{key}"] = ced_auc(values, threshold)
        groups[title] = scores
    return groups


def face_pck(predictions: Predictions, distance: np.ndarray, threshold: float) -> np.ndarray:
    """Returns the share [N] of each person's joints that are right; NaN where there is no truth."""
    errors = point_errors(predictions.evaluated_true_px, predictions.predicted_px, distance)
    known = np.isfinite(errors)
    counts = known.sum(axis=1)
    right = np.sum(known & (errors <= threshold), axis=1)
    return np.where(counts > 0, right / np.maximum(counts, 1), np.nan)


_JOINTS = {
    "head": (12, 13), "shoulder": (8, 9), "elbow": (7, 10), "wrist": (6, 11), "hip": (2, 3),
    "knee": (1, 4), "ankle": (0, 5),
}  # fmt: skip


def _score_joints(
    predictions: Predictions, distance: np.ndarray, scheme: LandmarkScheme, threshold: float
) -> dict[str, dict[str, Any]]:
    """Returns the PCK of each kind of joint of `lsp_14`, and their mean, as papers print it."""
    points = predictions.evaluated_true_px, predictions.predicted_px
    known = np.isfinite(points[0]).all(axis=-1)
    turned = tuple(observer_centric(part, scheme, known) for part in points)
    shares = {
        "pck": pck(*points, distance, threshold),
        "pck_observer": pck(*turned, distance, threshold),
    }
    scored = np.isfinite(distance)
    numbers = {"num_faces": int(scored.sum()), "num_not_scored": int(np.sum(~scored))}
    groups: dict[str, dict[str, Any]] = {}
    for joint, indices in _JOINTS.items():
        parts = {view: _mean(values[list(indices)]) for view, values in shares.items()}
        groups[joint] = numbers | parts
    whole = {view: _mean([part[view] for part in groups.values()]) for view in shares}
    return groups | {"mean": numbers | whole}


def _mean(values: Sequence[float | None]) -> float | None:
    """Returns the mean of those that are numbers; None (JSON's null) if there is none."""
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else None


def compare_with_published(
    protocol: Protocol,
    groups: Mapping[str, Mapping[str, Any]],
    records: RecordSet,
    spec: ModelSpec,
    num_evaluated: int,
) -> list[dict[str, Any]]:
    """Returns, for each published system, its numbers and whether the conditions are the same.

    Those are the boxes (what is known of a test face, not how large the crop is), the training data
    (the same data sets, with what is held out for validation as many faces), the test faces (data
    set and number) and the landmarks that are evaluated.
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
        _conditions(entry, records, spec) | shared for entry in PUBLISHED.get(protocol.name, ())
    ]


def _conditions(entry: Published, records: RecordSet, spec: ModelSpec) -> dict[str, Any]:
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


_TITLES = {"nme": "NME", "nmde": "NMDE", "pck": "PCK", "pck_observer": "PCK OC"}


def _title(score: str) -> str:
    kind, _, threshold = score.partition("_")
    return _TITLES.get(score) or f"{kind.upper()}{int(threshold)}"


def format_protocol(part: Mapping[str, Any]) -> str:
    """Returns a report's ``named_protocol`` as text, in percent: its table and the published."""
    groups, counts = part["groups"], part["official_counts"]
    scores = [
        key
        for key in next(iter(groups.values()))
        if not key.startswith("num_") and not key.endswith("_interval")
    ]
    lines = [f"protocol {part['name']}, divided by {part['normalizer']}. {part['note']}".rstrip()]
    lines.append(f"{'':<16}{'faces':>14}" + "".join(f"{_title(s):>9}" for s in scores))
    for title, values in groups.items():
        number, of = values["num_faces"], counts.get(title, counts.get("each"))
        faces = f"{number} of {of}" if of not in (None, number) else f"{number}"
        shown = (values.get(score) for score in scores)
        cells = (f"{'-':>9}" if value is None else f"{100 * value:>9.2f}" for value in shown)
        lines.append(f"{title:<16}{faces:>14}{''.join(cells)}")
    if part["published"]:
        lines += ["", "published:"]
    for entry in part["published"]:
        lines.append(f"  {entry['system']}. {entry['source']} {entry['year']}")
        for title, values in entry["values_percent"].items():
            shown = ", ".join(f"{_title(score)} {value:.2f}" for score, value in values.items())
            lines.append(f"    {title:<14}{shown}")
        for what in ("boxes", "training_data", "faces", "landmarks"):
            verdict = "the same" if entry[f"{what}_match"] else "NOT the same"
            lines.append(f"    {what.replace('_', ' ')} {verdict}: {entry[what]}")
    return "\n".join(lines) + "\n"
