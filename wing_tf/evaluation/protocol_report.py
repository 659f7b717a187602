"""A protocol's table, and how far published numbers can be set beside it."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wing_tf.data import example_schema as schema
from wing_tf.data.records import RecordSet
from wing_tf.evaluation.predict import Predictions
from wing_tf.evaluation.protocols import Protocol
from wing_tf.evaluation.published import PUBLISHED, Published
from wing_tf.landmarks import LandmarkScheme
from wing_tf.metrics import bootstrap_interval, ced_auc, failure_rate, observer_centric, pck
from wing_tf.models.saving import Contract

# A tenth of the training pictures is held out for validation.
_ALL_BUT_HELD_OUT = 0.85


def protocol_files(files: Sequence[str], protocol: Protocol) -> list[str]:
    """Returns the shards of the splits that a protocol reads.

    Raises:
        ValueError: if there are none.
    """
    if not protocol.splits:
        return list(files)
    chosen = [f for f in files if schema.split_of(pathlib.PurePath(f).name) in protocol.splits]
    if not chosen:
        raise ValueError(
            f"The protocol {protocol.name} reads the splits {', '.join(protocol.splits)}. "
            f"None of the {len(files)} record files is of one of them."
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
        scheme: the mark-up.
        protocol: what is asked for.

    Returns:
        For each group ``num_faces`` (scored), ``num_unscored`` and the scores, without those if no
        face is in it. For PCK the groups are joints.
    """
    if protocol.score == "pck":
        return _score_joints(predictions, distance, scheme, protocol.thresholds[0])
    groups = {}
    for title, names in protocol.groups.items():
        chosen = in_group(predictions, names)
        values = errors[chosen & np.isfinite(errors)]
        scores: dict[str, Any] = {
            "num_faces": len(values),
            "num_unscored": int(chosen.sum()) - len(values),
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


_JOINTS = {
    "head": (12, 13), "shoulder": (8, 9), "elbow": (7, 10), "wrist": (6, 11), "hip": (2, 3),
    "knee": (1, 4), "ankle": (0, 5),
}  # fmt: skip


def _score_joints(
    predictions: Predictions, distance: np.ndarray, scheme: LandmarkScheme, threshold: float
) -> dict[str, dict[str, Any]]:
    """Returns the PCK of each kind of joint of `lsp_14`, and their mean, as papers print it."""
    points = predictions.judged_px, predictions.predicted_px
    turned = tuple(observer_centric(part, scheme) for part in points)
    shares = {
        "pck": pck(*points, distance, threshold),
        "pck_observer": pck(*turned, distance, threshold),
    }
    scored = np.isfinite(distance)
    numbers = {"num_faces": int(scored.sum()), "num_unscored": int(np.sum(~scored))}
    groups: dict[str, dict[str, Any]] = {}
    for joint, indices in _JOINTS.items():
        means = {view: float(np.mean(values[list(indices)])) for view, values in shares.items()}
        groups[joint] = numbers | means
    whole = {view: float(np.mean([part[view] for part in groups.values()])) for view in shares}
    return groups | {"mean": numbers | whole}


def set_beside(
    protocol: Protocol,
    groups: Mapping[str, Mapping[str, Any]],
    records: RecordSet,
    contract: Contract,
) -> list[dict[str, Any]]:
    """Returns, for each published system, its numbers and whether the conditions are the same.

    Those are the boxes (what is known of a test face, not how large the crop is), the training data
    (the same data sets, nothing absent but what is held out for validation) and the number of test
    faces.
    """
    found = next(iter(groups.values()))["num_faces"]
    expected = next(iter(protocol.counts.values()), None)
    return [
        _conditions(entry, records, contract)
        | {"faces_match": found == expected, "faces": f"theirs {expected}; here {found}"}
        for entry in PUBLISHED.get(protocol.name, ())
    ]


def _conditions(entry: Published, records: RecordSet, contract: Contract) -> dict[str, Any]:
    def listing(faces: Mapping[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in faces.items()) or "not recorded"

    here, theirs = contract.trained_on, entry.trained_on
    return {
        "system": entry.system,
        "source": entry.source,
        "year": entry.year,
        "values_percent": {title: dict(values) for title, values in entry.values.items()},
        "boxes_match": all(crop.box in entry.box_kinds for crop in records.crops),
        "boxes": f"theirs {entry.boxes}; here {', '.join(map(str, records.crops))}, the network's "
        f"crop x {contract.margin:g}",
        "training_data_match": set(here) == set(theirs)
        and all(_ALL_BUT_HELD_OUT * theirs[name] <= here[name] <= theirs[name] for name in theirs),
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
    lines = [f"protocol {part['name']}, divided by {part['normaliser']}. {part['note']}".rstrip()]
    lines.append(f"{'':<16}{'faces':>14}" + "".join(f"{_title(s):>9}" for s in scores))
    for title, values in groups.items():
        number, of = values["num_faces"], counts.get(title)
        faces = f"{number} of {of}" if of not in (None, number) else f"{number}"
        cells = (f"{100 * values[s]:>9.2f}" if s in values else f"{'-':>9}" for s in scores)
        lines.append(f"{title:<16}{faces:>14}{''.join(cells)}")
    if part["published"]:
        lines += ["", "published:"]
    for entry in part["published"]:
        lines.append(f"  {entry['system']}. {entry['source']} {entry['year']}")
        for title, values in entry["values_percent"].items():
            shown = ", ".join(f"{_title(score)} {value:.2f}" for score, value in values.items())
            lines.append(f"    {title:<14}{shown}")
        for what in ("boxes", "training_data", "faces"):
            verdict = "the same" if entry[f"{what}_match"] else "NOT the same"
            lines.append(f"    {what.replace('_', ' ')} {verdict}: {entry[what]}")
    return "\n".join(lines) + "\n"
