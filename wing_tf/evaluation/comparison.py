"""Several models' reports side by side: one plot, one table, differences with intervals."""

import csv
import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from wing_tf.evaluation.report import THRESHOLDS
from wing_tf.metrics import ced_auc, failure_rate, paired_bootstrap
from wing_tf.utils.atomic import write_text
from wing_tf.visualization.plots import plot_ced


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a report folder says of its faces.

    Attributes:
        report: as in report.json.
        values: each face's NME, or its PCK under a protocol of PCK, by key.
        groups: each face's split and sub-sets, by key.
    """

    report: dict[str, Any]
    values: dict[str, float]
    groups: dict[str, frozenset[str]]

    @property
    def protocol(self) -> dict[str, Any]:
        """The named protocol's part of the report; empty without one."""
        return self.report.get("named_protocol", {})

    @property
    def kind(self) -> str:
        """What the values are: "nme" or "pck"."""
        return self.protocol.get("score", "nme")


def read_scores(folder: pathlib.Path) -> Scores:
    """Reads a report folder of `wing_tf.evaluation.evaluator`.

    Raises:
        ValueError: if two faces have one key: they can't be told apart.
    """
    report = json.loads((folder / "report.json").read_text())
    column = report.get("named_protocol", {}).get("score", "nme")
    with (folder / "nme.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    values = {row["key"]: float(row[column]) for row in rows}
    if len(values) < len(rows):
        raise ValueError(f"{folder}: two of its faces have one key; they can't be compared.")
    groups = {row["key"]: frozenset(row["groups"].split()) for row in rows}
    return Scores(report, {k: v for k, v in values.items() if np.isfinite(v)}, groups)


def compare_reports(folders: Mapping[str, pathlib.Path], output: pathlib.Path) -> dict[str, Any]:
    """Compares reports of the same faces, and writes comparison.json, comparison.txt and ced.png.

    Only faces that every report has a score of are compared; differences are taken face by face,
    from the first report. Under a protocol all of its groups are compared, by its thresholds; under
    one of PCK it is each person's share of right joints.

    Args:
        folders: report folders of `wing_tf.evaluation.evaluator`, by the systems' names; the first
            one is what the others are compared with.
        output: an existing folder.

    Returns:
        The comparison, as in ``comparison.json``; scores are fractions.

    Raises:
        ValueError: if there are fewer than two reports, they share no face, or were evaluated in
            different ways.
    """
    if len(folders) < 2:
        raise ValueError(f"A comparison needs two reports or more. Received: {list(folders)}.")
    scores = {name: read_scores(folder) for name, folder in folders.items()}
    first = next(iter(scores))
    for what in ("normalizer", "scheme", "num_evaluated_landmarks"):
        if len(found := {str(part.report.get(what)) for part in scores.values()}) > 1:
            raise ValueError(f"The reports differ in {what}: {', '.join(sorted(found))}.")
    if len(found := {part.protocol.get("name", "none") for part in scores.values()}) > 1:
        raise ValueError(f"The reports differ in protocol: {', '.join(sorted(found))}.")
    keys = [key for key in scores[first].values if all(key in s.values for s in scores.values())]
    if not keys:
        raise ValueError("The reports share no face that all of them score.")
    protocol = scores[first].protocol
    kind, thresholds = scores[first].kind, protocol.get("thresholds", THRESHOLDS)
    members = protocol.get("members") or {"all": []}
    tables = {}
    for title, names in members.items():
        chosen = [k for k in keys if not names or set(names) & scores[first].groups[k]]
        if chosen:
            tables[title] = _table(scores, chosen, first, kind, thresholds)
    result = {
        "compared_with": first,
        "protocol": protocol.get("name"),
        "score": kind,
        "normalizer": scores[first].report["normalizer"],
        "num_faces": len(keys),
        "left_out": {name: len(part.values) - len(keys) for name, part in scores.items()},
        "protocols": {name: part.report["protocol"] for name, part in scores.items()},
        "warnings": {name: part.report.get("warnings", []) for name, part in scores.items()},
        "groups": tables,
    }
    if kind == "nme":
        shared = {name: np.array([p.values[k] for k in keys]) for name, p in scores.items()}
        marks = {mark for found in result["warnings"].values() for mark in found}
        title = f"{len(keys)} faces, {result['normalizer']} NME" + "".join(f". {m}" for m in marks)
        plot_ced(output / "ced.png", shared, title=title)
    write_text(output / "comparison.txt", format_comparison(result))
    write_text(output / "comparison.json", json.dumps(result, indent=1) + "\n")
    return result


def _table(scores, keys, first, kind, thresholds) -> dict[str, Any]:
    """Returns each system's scores on some faces, and how it differs from the first."""
    table: dict[str, Any] = {"num_faces": len(keys), "systems": {}}
    before = np.array([scores[first].values[key] for key in keys])
    for name, part in scores.items():
        values = np.array([part.values[key] for key in keys])
        row: dict[str, Any] = {kind: float(values.mean())}
        if kind == "nme":
            row["nmde"] = float(np.median(values))
            for threshold in thresholds:
                tag = f"{round(100 * threshold):02d}"
                row[f"fr_{tag}"] = failure_rate(values, threshold)
                row[f"auc_{tag}"] = ced_auc(values, threshold)
        if name != first:
            mean, low, high = paired_bootstrap(values, before)
            row |= {"difference": mean, "difference_interval": (low, high)}
        table["systems"][name] = row
    return table


def format_comparison(result: Mapping[str, Any]) -> str:
    """Returns a comparison as tables for people, in percent."""
    names = list(result["protocols"])
    width = max(len(name) for name in names) + 2
    what = "PCK" if result["score"] == "pck" else "NME"
    lines = [f"{result['num_faces']} faces, {result['normalizer']} {what}, %"]
    for title, table in result["groups"].items():
        systems = table["systems"]
        keys = [key for key in systems[names[0]] if not key.startswith("difference")]
        heads = [key.upper().replace("_0", "").replace("_", "") for key in keys]
        head = "".join(f"{text:>8}" for text in heads)
        lines += ["", f"{title}, {table['num_faces']} faces"]
        lines.append(f"{'':<{width}}{head}   {what} from {result['compared_with']} (95 %)")
        for name, system in systems.items():
            row = f"{name:<{width}}" + "".join(f"{100 * system[key]:>8.2f}" for key in keys)
            if "difference" in system:
                low, high = (100 * bound for bound in system["difference_interval"])
                row += f"   {100 * system['difference']:+.2f} ({low:+.2f} to {high:+.2f})"
            lines.append(row)
    lines.append("")
    for name in names:
        lines.append(f"{name}: {result['protocols'][name]}")
        lines += [f"  {warning}" for warning in result["warnings"][name]]
    return "\n".join(lines) + "\n"
