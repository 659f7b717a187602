"""A reproduced table as Markdown, JSON and plots, from its finished cells."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from wing_tf.metrics import (
    format_difference,
    format_interval,
    format_percent,
    paired_bootstrap,
    summarize_errors,
)
from wing_tf.reproduction import TABLES
from wing_tf.reproduction.cell_file import read_cell
from wing_tf.reproduction.claims import check_claims, format_claim
from wing_tf.reproduction.face_errors import FaceErrors
from wing_tf.reproduction.heatmap_sections import heatmap_sections
from wing_tf.reproduction.markdown import markdown_table
from wing_tf.reproduction.peers import peer_errors
from wing_tf.reproduction.score_sections import score_sections
from wing_tf.reproduction.table import Cell, Table, find_baseline
from wing_tf.utils.atomic import write_json, write_text
from wing_tf.utils.json_values import read_json_object
from wing_tf.visualization.plots import plot_ced

_POSE_THIRDS = ("frontal third", "middle third", "large-pose third")
_SCHEDULES = {
    "coordinates": "120,000 SGD steps of 8 faces: 960,000 faces seen",
    "heatmaps": "240 epochs of WFLW's 7500 faces: 1,800,000 faces seen",
    "smt": "300-W's 3148 faces for more than 200 epochs: over 630,000 faces seen",
}
# What `--recipe=paper` does not have of the papers' trainings.
_NOT_MATCHED = {
    "coordinates": "the boxes of faces (here landmark boxes), the number of steps (here the "
    "budget's), and bins of poses with a weight above --max_weight; the paper is silent on the "
    "initial weights (here He normal) and on how the rate falls (here exponentially)",
    "heatmaps": "the size of the network and its input, and the number of epochs, to which the "
    "schedule is scaled; the paper is silent on the batch size (here 8), the initial weights (here "
    "He normal), and the strength of blur, noise and occlusion",
    "smt": "the size of the network and its input, and the number of epochs, to which the schedule "
    "is scaled; translation and scale change every face, not every other one; the paper is silent "
    "on the batch size (here 8) and the initial weights (here He normal)",
}


def write_table(folder: pathlib.Path, name: str, table: Table, cells: list[dict]) -> str:
    """Writes table.md, table.json and a CED plot for each test set; returns the Markdown.

    The error of each face is averaged over the seeds before the faces are resampled, so intervals
    of a cell are over faces; the means of the seeds are listed separately. Differences use the
    seeds that both cells were trained with, and their intervals are over faces and seeds.

    Args:
        folder: The output folder.
        name: The table's name.
        table: The table.
        cells: Finished cells of the table, all made with the same settings.

    Raises:
        ValueError: If there is no cell, or the cells were evaluated on different faces.
    """
    order = [cell for cell in table.cells if any(c["cell"] == cell.name for c in cells)]
    if not order:
        raise ValueError(f"No finished cell of {name} in {folder}.")
    lines = [f"# {table.title}", "", f"Reproduction of {table.source}. {_settings(cells)}", ""]
    result: dict[str, Any] = {"table": name, "source": table.source, "tests": {}}
    for test in cells[0]["tests"]:
        errors = FaceErrors(cells, test)
        rows = [_row(cell, find_baseline(cell, table, order), errors, cells) for cell in order]
        lines += [f"## {test} ({errors.num_faces} faces)", "", *_format_rows(rows, table), ""]
        if table.pose_thirds and errors.pose is not None:
            _add_pose_thirds(rows, errors, errors.pose)
            lines += [*_format_pose_thirds(rows), ""]
        result["tests"][test] = rows
        if claims := check_claims(table, order, errors):
            result.setdefault("claims", {})[test] = claims
            lines += [f"- {format_claim(claim)}" for claim in claims] + [""]
        plot = folder / f"ced_{test}.png"
        title = f"{table.title}: {test}, {cells[0]['normalizer']}"
        # Over all seeds, so that the failure rates are those of the table; without the cells that
        # evaluate the network of another one, which would be too many.
        curves = {
            cell.name: np.concatenate(list(errors.by_seed(cell.name).values()))
            for cell in order
            if not cell.network
        }
        plot_ced(plot, curves | peer_errors(folder, cells[0], test), title=title)
        lines += [f"![Cumulative errors]({plot.name})", ""]
    lines += score_sections(folder, table, order, cells)
    lines += heatmap_sections(folder, table, order, cells)
    result["notes"] = _notes(table, order, cells)
    lines += ["## Notes", "", *(f"- {note}" for note in result["notes"]), ""]
    text = "\n".join(lines)
    write_text(folder / "table.md", text)
    write_json(folder / "table.json", result)
    return text


def read_cells(folder: pathlib.Path) -> tuple[str, list[dict]]:
    """Returns the name of the table in an output folder, and its finished cells in order."""
    path = folder / "table.json"
    name = read_json_object(path, {"table": str})["table"]
    if name not in TABLES:
        raise ValueError(f"{path}: there is no table {name!r:.60}.")
    order = [cell.name for cell in TABLES[name].cells]
    cells = []
    for path in (folder / "cells").glob("*.json"):
        cells.append(read_cell(path))
        if cells[-1]["cell"] not in order:
            raise ValueError(f"{path}: {name} has no cell {cells[-1]['cell']!r:.60}.")
    return name, sorted(cells, key=lambda cell: (cell["seed"], order.index(cell["cell"])))


def regenerate(results: pathlib.Path) -> list[pathlib.Path]:
    """Writes all tables in a folder again from the JSON files of their cells, and their claims.

    The verdicts on the papers' claims, one line each, replace the section "The papers' claims" of
    the folder's README.md.

    Args:
        results: A folder of output folders, such as docs/results.

    Returns:
        The output folders.

    Raises:
        ValueError: If there is none.
    """
    folders, lines = [], []
    for file in sorted(results.glob("*/table.json")):
        name, cells = read_cells(file.parent)
        write_table(file.parent, name, TABLES[name], cells)
        folders.append(file.parent)
        found = read_json_object(file, {}).get("claims", {})
        for test, claims in found.items():
            link = f"[{test if len(found) > 1 else 'Table'}]({file.parent.name}/table.md)"
            lines += [f"- {format_claim(claim)} {link}" for claim in claims]
    if not folders:
        raise ValueError(f"{results} has no folders with table.json and cells.")
    if lines:
        _replace_section(results / "README.md", "The papers' claims", lines)
    return folders


def _replace_section(file: pathlib.Path, title: str, lines: list[str]) -> None:
    """Writes a section of a Markdown file, in the place of the one with the same title if any."""
    before, heading, rest = (file.read_text() if file.exists() else "").partition(f"## {title}\n")
    following = rest[rest.index("\n## ") + 1 :] if "\n## " in rest else ""
    if not heading and before:
        before = before.rstrip("\n") + "\n\n"
    section = "\n".join([f"## {title}", "", *lines, ""])
    write_text(file, before + section + (following and "\n" + following))


def _row(cell: Cell, baseline: str | None, errors: FaceErrors, cells: list[dict]) -> dict:
    summary = summarize_errors(errors.mean(cell.name))
    by_seed = {seed: summarize_errors(e) for seed, e in errors.by_seed(cell.name).items()}
    run = next(c for c in cells if c["cell"] == cell.name)
    row = {
        "cell": cell.name,
        "nme": summary["nme"],
        "nme_interval": summary["nme_interval"],
        "nme_by_seed": {seed: scores["nme"] for seed, scores in by_seed.items()},
        "fr_08": float(np.mean([scores["fr_08"] for scores in by_seed.values()])),
        "auc_08": float(np.mean([scores["auc_08"] for scores in by_seed.values()])),
        "published": dict(cell.published),
        "faces_seen": run["faces_seen"],
        "parameters": run["parameters"],
    }
    if baseline and (pair := errors.pair(cell.name, baseline)):
        row["baseline"] = baseline
        row["difference"] = paired_bootstrap(*pair)
    return row


def _format_published(published: dict[str, float], table: Table) -> str:
    """Returns the paper's scores, each with its test set and normalizer."""
    names = table.published_as
    scores = (f"{value:.2f} ({names.get(key, key)})" for key, value in published.items())
    return "; ".join(scores) or "-"


def _format_rows(rows: Sequence[dict], table: Table) -> list[str]:
    head = (
        "cell", "NME, %", "by seed", "FR8", "AUC8", "paper", "difference", "baseline", "faces seen",
        "parameters",
    )  # fmt: skip
    return markdown_table(
        head,
        (
            (
                row["cell"],
                f"{format_percent(row['nme'])} ({format_interval(row['nme_interval'])})",
                ", ".join(map(format_percent, row["nme_by_seed"].values())),
                f"{100 * row['fr_08']:.1f}",
                f"{100 * row['auc_08']:.1f}",
                _format_published(row["published"], table),
                format_difference(row.get("difference")),
                row.get("baseline", "-"),
                f"{row['faces_seen']:,}",
                f"{row['parameters']:,}",
            )
            for row in rows
        ),
    )


def _add_pose_thirds(rows: Sequence[dict], errors: FaceErrors, pose: np.ndarray) -> None:
    """Adds to the rows the scores of each third of the faces by |pose coefficient|."""
    parts = np.array_split(np.argsort(pose, kind="stable"), 3)
    thirds = dict(zip(_POSE_THIRDS, map(np.sort, parts), strict=True))
    for row in rows:
        row["pose_thirds"] = {}
        for name, faces in thirds.items():
            if not len(faces):
                continue
            summary = summarize_errors(errors.mean(row["cell"])[faces])
            part = {
                "faces": summary["num_faces"],
                "nme": summary["nme"],
                "nme_interval": summary["nme_interval"],
            }
            if "baseline" in row and (pair := errors.pair(row["cell"], row["baseline"])):
                own, other = (values[:, faces] for values in pair)
                part["difference"] = paired_bootstrap(own, other)
                part["relative"] = float(np.mean(own) / np.mean(other) - 1)
            row["pose_thirds"][name] = part


def _format_pose_thirds(rows: Sequence[dict]) -> list[str]:
    return markdown_table(
        ("cell", "third by pose", "faces", "NME, %", "difference", "relative", "baseline"),
        (
            (
                row["cell"],
                name,
                str(part["faces"]),
                f"{format_percent(part['nme'])} ({format_interval(part['nme_interval'])})",
                format_difference(part.get("difference")),
                f"{100 * part['relative']:+.1f} %" if "relative" in part else "-",
                row.get("baseline", "-"),
            )
            for row in rows
            for name, part in row["pose_thirds"].items()
        ),
    )


def _settings(cells: list[dict]) -> str:
    epochs = " or ".join(str(n) for n in sorted({cell["epochs"] for cell in cells}))
    precision = " and ".join(sorted({cell["precision"] for cell in cells}))
    optimizers = "; ".join(sorted({_describe_optimizer(cell) for cell in cells}))
    several = len({cell["seed"] for cell in cells}) > 1
    return (
        f"Recipe `{cells[0]['recipe']}`, {cells[0]['training_faces']} training faces, {epochs} "
        f"epochs, {precision}; {optimizers}. NME: {cells[0]['normalizer']}; in parentheses 95 % "
        "bootstrap intervals over faces; differences are paired face by face"
        f"{', their intervals over faces and seeds' if several else ''}."
    )


def _describe_optimizer(cell: dict) -> str:
    """Returns a cell's optimizer, its epsilon and its weight decay, which losses depend on."""
    settings = cell["setup"]["config"]["optimizer"]
    name, epsilon = settings["name"], settings.get("epsilon", 0.0)
    text = f"{name} with epsilon {epsilon:g}" if epsilon else name
    kind = "decoupled" if name == "adamw" else "coupled"
    return f"{text}, {kind} weight decay {settings['weight_decay']:.3g}"


def _notes(table: Table, order: list[Cell], cells: list[dict]) -> list[str]:
    """Returns what can't be compared, and why."""
    notes = list(table.notes)
    if len(precisions := {cell["precision"] for cell in cells}) > 1:
        notes.append(f"Cells of different precision are compared: {', '.join(sorted(precisions))}.")
    if len({cell["seed"] for cell in cells}) < 2:
        notes.append("One seed: the intervals do not contain the variation between seeds.")
    published = {key for cell in order for key in cell.published}
    if published and not published & set(cells[0]["tests"]):
        theirs = "; ".join(table.published_as.get(key, key) for key in sorted(published))
        notes.append(
            f"The paper's scores are for other faces ({theirs}) and other training data than those "
            f"here ({', '.join(cells[0]['tests'])}): compare the order and the differences."
        )
    tasks = sorted({cell.task for cell in order})
    if cells[0]["recipe"] != "paper":
        notes += [f"The paper's training: {_SCHEDULES[task]}." for task in tasks]
    else:
        notes += [f"The paper's recipe, except for {_NOT_MATCHED[task]}." for task in tasks]
    if any(cell.first_stage for cell in order):
        notes.append("A second stage was trained in addition to its first stage.")
    if crops := sorted({crop for cell in cells for crop in cell.get("crops", ())}):
        notes.append(f"Crops: {'; '.join(crops)}.")
    if missing := [cell.name for cell in table.cells if cell not in order]:
        notes.append(f"Not run: {', '.join(missing)}.")
    return notes
