"""Several models' reports side by side: one plot, one table, differences with intervals."""

import csv
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from wing_tf.evaluation.report import summarise
from wing_tf.metrics import paired_bootstrap
from wing_tf.visualization.files import write_text
from wing_tf.visualization.plots import plot_ced


def compare_reports(folders: Mapping[str, pathlib.Path], output: pathlib.Path) -> dict[str, Any]:
    """Compares reports of the same faces, and writes comparison.json, comparison.txt and ced.png.

    Only faces that every report has a score of are compared; differences are taken face by face,
    from the first report.

    Args:
        folders: report folders of `wing_tf.evaluation.evaluate`, by the systems' names; the first
            one is what the others are compared with.
        output: an existing folder.

    Returns:
        The comparison, as in ``comparison.json``; scores are fractions.

    Raises:
        ValueError: if there are fewer than two reports, they share no face, or divide by other
            distances.
    """
    if len(folders) < 2:
        raise ValueError(f"A comparison needs two reports or more. Received: {list(folders)}.")
    reports = {n: json.loads((f / "report.json").read_text()) for n, f in folders.items()}
    normalisers = {report["normaliser"] for report in reports.values()}
    if len(normalisers) > 1:
        raise ValueError(f"The reports divide by different distances: {sorted(normalisers)}.")
    errors = {name: read_errors(folder) for name, folder in folders.items()}
    first = next(iter(errors))
    keys = [key for key in errors[first] if all(key in part for part in errors.values())]
    if not keys:
        raise ValueError("The reports share no face that all of them score.")
    shared = {name: np.array([part[key] for key in keys]) for name, part in errors.items()}
    systems = {}
    for name, values in shared.items():
        systems[name] = {"protocol": reports[name]["protocol"], **summarise(values)}
        systems[name]["num_faces_of_its_own"] = len(errors[name]) - len(keys)
        if name != first:
            mean, low, high = paired_bootstrap(values, shared[first])
            systems[name] |= {"difference": mean, "difference_interval": (low, high)}
    result = {
        "compared_with": first,
        "normaliser": normalisers.pop(),
        "num_faces": len(keys),
        "systems": systems,
    }
    plot_ced(output / "ced.png", shared, title=f"{len(keys)} faces, {result['normaliser']} NME")
    write_text(output / "comparison.txt", format_comparison(result))
    write_text(output / "comparison.json", json.dumps(result, indent=1) + "\n")
    return result


def read_errors(folder: pathlib.Path) -> dict[str, float]:
    """Returns the errors that a report folder's nme.csv holds, by key, of the faces with one."""
    with (folder / "nme.csv").open(newline="") as file:
        errors = {row["key"]: float(row["nme"]) for row in csv.DictReader(file)}
    return {key: error for key, error in errors.items() if np.isfinite(error)}


def format_comparison(result: Mapping[str, Any]) -> str:
    """Returns a comparison as a table for people, in percent."""
    head = ("mean", "median", "FR8", "AUC8", "FR10", "AUC10")
    keys = ("nme_mean", "nme_median", "fr_08", "auc_08", "fr_10", "auc_10")
    width = max(len(name) for name in result["systems"]) + 2
    lines = [
        f"{result['num_faces']} faces, {result['normaliser']} NME, %",
        "",
        f"{'':<{width}}" + "".join(f"{h:>8}" for h in head)
        + f"   from {result['compared_with']} (95 %)",
    ]  # fmt: skip
    for name, system in result["systems"].items():
        row = f"{name:<{width}}" + "".join(f"{100 * system[key]:>8.2f}" for key in keys)
        if "difference" in system:
            low, high = (100 * bound for bound in system["difference_interval"])
            row += f"   {100 * system['difference']:+.2f} ({low:+.2f} to {high:+.2f})"
        lines.append(row)
    lines.append("")
    lines += [f"{name}: {system['protocol']}" for name, system in result["systems"].items()]
    return "\n".join(lines) + "\n"
