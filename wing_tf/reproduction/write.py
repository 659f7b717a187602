"""A table as Markdown, JSON and a plot, from its finished cells."""

import json
import pathlib
from typing import Any

import numpy as np

from wing_tf.metrics import bootstrap_interval, ced_auc, failure_rate, paired_bootstrap
from wing_tf.reproduction.tables import Cell, Table
from wing_tf.visualization.files import write_text
from wing_tf.visualization.plots import plot_ced

_THIRDS = ("frontal third", "middle third", "turned third")


def write_table(folder: pathlib.Path, name: str, table: Table, cells: list[dict]) -> str:
    """Writes table.md, table.json and a CED plot for each test set; returns the Markdown.

    Each face's error is averaged over the seeds before faces are resampled: the intervals are of
    the faces, and the seeds' own means stand beside.

    Raises:
        ValueError: if no cell is finished, or cells were judged on different faces.
    """
    order = [cell for cell in table.cells if any(c["cell"] == cell.name for c in cells)]
    if not order:
        raise ValueError(f"No finished cell of {name} in {folder}.")
    by_name = {cell.name: [c for c in cells if c["cell"] == cell.name] for cell in order}
    lines = [f"# {table.title}", "", f"After {table.source}. {_budget(cells)}", ""]
    result: dict[str, Any] = {"table": name, "source": table.source, "tests": {}}
    for test in cells[0]["tests"]:
        errors = {cell.name: _errors(by_name[cell.name], test) for cell in order}
        pose = cells[0]["tests"][test].get("pose") if table.thirds else None
        rows, text = _one_test(table, order, by_name, errors, test, pose)
        result["tests"][test] = rows
        lines += [f"## {test} ({len(next(iter(errors.values())))} faces)", "", *text, ""]
        plot = folder / f"ced_{test}.png"
        title = f"{table.title}: {test}, {cells[0]['normaliser']}"
        plot_ced(plot, {key: e[np.isfinite(e)] for key, e in errors.items()}, title=title)
        lines += [f"![Cumulative errors]({plot.name})", ""]
    missing = [cell.name for cell in table.cells if cell not in order]
    notes = [*table.notes, *_notes(table, order, cells)]
    if missing:
        notes.append(f"Not run: {', '.join(missing)}.")
    lines += ["## What to read it with", "", *(f"- {note}" for note in notes), ""]
    text = "\n".join(lines)
    write_text(folder / "table.md", text)
    write_text(folder / "table.json", json.dumps(result | {"notes": notes}, indent=1) + "\n")
    return text


def _errors(runs: list[dict], test: str) -> np.ndarray:
    """Returns each face's error, the mean over seeds."""
    values = [np.array(run["tests"][test]["nme"], np.float64) for run in runs]
    return np.mean(values, axis=0)


def _one_test(
    table: Table,
    order: list[Cell],
    by_name: dict[str, list[dict]],
    errors: dict[str, np.ndarray],
    test: str,
    pose: list[float] | None,
) -> tuple[list[dict], list[str]]:
    keys = {run["tests"][test]["keys_sha256"] for runs in by_name.values() for run in runs}
    if len(keys) != 1:
        raise ValueError(f"The cells were judged on different faces of {test}.")
    against = table.against if table.against in errors else order[0].name
    rows, text = [], [
        "| cell | NME, % | by seed | FR8 | AUC8 | paper | "
        f"difference from {against} | faces seen | parameters |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for cell in order:
        runs, values = by_name[cell.name], errors[cell.name]
        row = {
            "cell": cell.name,
            "nme_mean": float(np.nanmean(values)),
            "nme_mean_interval": bootstrap_interval(values),
            "nme_by_seed": {run["seed"]: _mean(run, test) for run in runs},
            "fr_08": float(np.mean([failure_rate(_face_errors(r, test), 0.08) for r in runs])),
            "auc_08": float(np.mean([ced_auc(_face_errors(r, test), 0.08) for r in runs])),
            "published": dict(cell.published),
            "faces_seen": runs[0]["faces_seen"],
            "parameters": runs[0]["parameters"],
        }
        if cell.name != against:
            row["difference"] = paired_bootstrap(values, errors[against])
        rows.append(row)
        text.append(_row(row))
    if pose is not None:
        text += ["", *_third_rows(order, errors, np.abs(pose), against, rows)]
    return rows, text


def _face_errors(run: dict, test: str) -> np.ndarray:
    values = np.array(run["tests"][test]["nme"], np.float64)
    return values[np.isfinite(values)]


def _mean(run: dict, test: str) -> float:
    return float(np.mean(_face_errors(run, test)))


def _row(row: dict) -> str:
    seeds = ", ".join(f"{100 * value:.2f}" for value in row["nme_by_seed"].values())
    paper = ", ".join(f"{key} {value:.2f}" for key, value in row["published"].items())
    cells = [
        row["cell"],
        f"{100 * row['nme_mean']:.2f} ({_span(row['nme_mean_interval'])})",
        seeds,
        f"{100 * row['fr_08']:.1f}",
        f"{100 * row['auc_08']:.1f}",
        paper or "-",
        _difference(row.get("difference")),
        f"{row['faces_seen']:,}",
        f"{row['parameters']:,}",
    ]
    return f"| {' | '.join(cells)} |"


def _span(interval) -> str:
    low, high = interval
    return f"{100 * low:.2f} to {100 * high:.2f}"


def _difference(difference) -> str:
    if difference is None:
        return "-"
    mean, low, high = difference
    return f"{100 * mean:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"


def _third_rows(
    order: list[Cell],
    errors: dict[str, np.ndarray],
    pose: np.ndarray,
    against: str,
    rows: list[dict],
) -> list[str]:
    """Errors of the test faces' thirds by |pose coefficient|."""
    limits = np.quantile(pose, [1 / 3, 2 / 3])
    third = np.searchsorted(limits, pose, side="right")
    text = [
        "| cell | third | faces | NME, % | "
        f"difference from {against} | relative |",
        "| --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for cell, row in zip(order, rows, strict=True):
        row["thirds"] = {}
        for number, name in enumerate(_THIRDS):
            chosen = third == number
            values, others = errors[cell.name][chosen], errors[against][chosen]
            mean, interval = float(np.nanmean(values)), bootstrap_interval(values)
            part = {"faces": int(chosen.sum()), "nme_mean": mean, "nme_mean_interval": interval}
            relative = "-"
            if cell.name != against:
                part["difference"] = paired_bootstrap(values, others)
                relative = f"{100 * (mean / float(np.nanmean(others)) - 1):+.1f} %"
            row["thirds"][name] = part
            text.append(
                f"| {cell.name} | {name} | {part['faces']} | {100 * mean:.2f} ({_span(interval)}) "
                f"| {_difference(part.get('difference'))} | {relative} |"
            )
    return text


def _budget(cells: list[dict]) -> str:
    epochs = sorted({cell["epochs"] for cell in cells})
    faces = cells[0]["training_faces"]
    precision = sorted({cell["config"]["precision"] for cell in cells})
    return (
        f"Recipe `{cells[0]['recipe']}`, {faces} training faces, "
        f"{' or '.join(map(str, epochs))} epochs, {' and '.join(precision)}. NME: "
        f"{cells[0]['normaliser']}; in brackets 95 % bootstrap intervals over faces, differences "
        "paired face by face."
    )


def _notes(table: Table, order: list[Cell], cells: list[dict]) -> list[str]:
    notes = []
    if len({cell["seed"] for cell in cells}) < 2:
        notes.append("One seed: the intervals do not hold what another seed would change.")
    published = {key for cell in order for key in cell.published}
    if published and not published & set(cells[0]["tests"]):
        notes.append(
            f"The paper prints {', '.join(sorted(published))}; the test sets here are "
            f"{', '.join(cells[0]['tests'])}: other faces, other training data."
        )
    if any(cell["recipe"] != "paper" for cell in cells):
        notes.append("The paper trains 120,000 SGD steps of 8 faces: 960,000 faces seen.")
    return notes
