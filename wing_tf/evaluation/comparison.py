"""Comparison of several models' reports: scores, differences with intervals, and one CED plot."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wing_tf.metrics import (
    THRESHOLDS,
    format_difference,
    format_scores,
    paired_bootstrap,
    score_title,
    summarize_errors,
)
from wing_tf.utils.atomic import write_json, write_text
from wing_tf.utils.json_values import check_object, parse_number, read_json_object
from wing_tf.utils.printable import printable_lines, text_of_cell
from wing_tf.utils.text_files import read_csv
from wing_tf.visualization.plots import plot_ced


@dataclasses.dataclass(frozen=True)
class FaceScores:
    """The scores of each face in a report folder.

    Attributes:
        report: The content of report.json.
        values: NME of each face, or its PCK under a PCK protocol, by key.
        groups: Split and attributes of each face, by key.
    """

    report: dict[str, Any]
    values: dict[str, float]
    groups: dict[str, frozenset[str]]

    @property
    def protocol(self) -> dict[str, Any]:
        """The report of the named protocol; empty without one."""
        return self.report.get("named_protocol", {})

    @property
    def kind(self) -> str:
        """The kind of the values, "nme" or "pck"."""
        return self.protocol.get("score", "nme")


def read_face_scores(folder: pathlib.Path) -> FaceScores:
    """Reads a report folder of `wing_tf.evaluation.evaluator`.

    Raises:
        ValueError: If a file is damaged, or if two faces have the same key.
    """
    path, table = folder / "report.json", folder / "nme.csv"
    report = read_json_object(path, {"normalizer": str})
    protocol = check_object(report.get("named_protocol", {}), f"{path}: named_protocol", {})
    column = protocol.get("score", "nme")
    if column not in ("nme", "pck"):
        raise ValueError(f"{path}: `score` must be nme or pck. Received: {column!r:.60}.")
    rows = read_csv(table, ["key", "groups", column])
    values = {}
    for line, row in enumerate(rows, start=2):
        row["key"] = text_of_cell(row["key"])
        values[row["key"]] = parse_number(row[column], f"{table}, line {line}: {column}")
    if len(values) < len(rows):
        raise ValueError(f"{folder}: two faces have the same key, so they can't be compared.")
    groups = {row["key"]: frozenset(text_of_cell(row["groups"]).split()) for row in rows}
    return FaceScores(report, {k: v for k, v in values.items() if np.isfinite(v)}, groups)


def compare_reports(folders: Mapping[str, pathlib.Path], output: pathlib.Path) -> dict[str, Any]:
    """Compares reports of the same faces; writes comparison.json, comparison.txt and ced.png.

    Only faces with a score in every report are compared; differences from the first report are
    taken face by face. With a protocol, each of its groups is compared, with its thresholds. With a
    PCK protocol, the PCK of each person is compared.

    Args:
        folders: Report folders of `wing_tf.evaluation.evaluator` by the systems' names; the first
            is the baseline.
        output: An existing folder.

    Returns:
        The comparison, as in comparison.json; scores are fractions.

    Raises:
        ValueError: If there are fewer than two reports, if they have no face in common, or if they
            were made in different ways.
    """
    if len(folders) < 2:
        raise ValueError(f"A comparison needs at least two reports. Received: {list(folders)}.")
    systems = {name: read_face_scores(folder) for name, folder in folders.items()}
    for name, part in systems.items():
        check_object(part.report, folders[name] / "report.json", {"protocol": str})
    baseline = next(iter(systems))
    for what in ("normalizer", "scheme", "num_evaluated_landmarks"):
        if len(found := {str(part.report.get(what)) for part in systems.values()}) > 1:
            raise ValueError(f"The reports differ in {what}: {', '.join(sorted(found))}.")
    if len(found := {part.protocol.get("name", "none") for part in systems.values()}) > 1:
        raise ValueError(f"The reports differ in protocol: {', '.join(sorted(found))}.")
    first = systems[baseline]
    keys = [key for key in first.values if all(key in part.values for part in systems.values())]
    if not keys:
        raise ValueError("There is no face that all reports have a score of.")
    tables = {}
    for title, names in (first.protocol.get("members") or {"all": []}).items():
        chosen = [key for key in keys if not names or set(names) & first.groups[key]]
        if chosen:
            tables[title] = _group_table(systems, chosen)
    result = {
        "baseline": baseline,
        "protocol": first.protocol.get("name"),
        "score": first.kind,
        "normalizer": first.report["normalizer"],
        "num_faces": len(keys),
        "num_left_out": {name: len(part.values) - len(keys) for name, part in systems.items()},
        "protocols": {name: part.report["protocol"] for name, part in systems.items()},
        "warnings": {name: part.report.get("warnings", []) for name, part in systems.items()},
        "groups": tables,
    }
    if first.kind == "nme":
        errors = {name: np.array([part.values[k] for k in keys]) for name, part in systems.items()}
        warnings = dict.fromkeys(w for found in result["warnings"].values() for w in found)
        title = f"{len(keys)} faces, {result['normalizer']} NME" + "".join(
            f". {warning}" for warning in warnings
        )
        plot_ced(output / "ced.png", errors, title=title)
    write_text(output / "comparison.txt", format_comparison(result))
    write_json(output / "comparison.json", result)
    return result


def _group_table(systems: Mapping[str, FaceScores], keys: Sequence[str]) -> dict[str, Any]:
    """Returns the scores of each system on some faces, and its difference from the first."""
    table: dict[str, Any] = {"num_faces": len(keys), "systems": {}}
    baseline_values: np.ndarray | None = None
    for name, part in systems.items():
        values = np.array([part.values[key] for key in keys])
        row: dict[str, Any] = {"num_faces": len(keys), "pck": float(values.mean())}
        if part.kind == "nme":
            row = summarize_errors(values, part.protocol.get("thresholds", THRESHOLDS))
        if baseline_values is None:
            baseline_values = values
        else:
            row["difference"] = paired_bootstrap(values, baseline_values)
        table["systems"][name] = row
    return table


def format_comparison(result: Mapping[str, Any]) -> str:
    """Returns a comparison as text, in percent."""
    score = score_title(result["score"])
    lines = [f"{result['num_faces']} faces, {result['normalizer']} {score}, %"]
    for title, table in result["groups"].items():
        differences = {
            name: format_difference(system["difference"])
            for name, system in table["systems"].items()
            if "difference" in system
        }
        lines.append("")
        lines += format_scores(
            table["systems"],
            heading=title,
            remarks=differences,
            remark_heading=f"{score} minus {result['baseline']}'s (95 % interval)",
        )
    lines.append("")
    for name, protocol in result["protocols"].items():
        lines.append(f"{name}: {protocol}")
        lines += [f"  {warning}" for warning in result["warnings"][name]]
    return printable_lines(lines) + "\n"
