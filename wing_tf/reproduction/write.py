"""A table as Markdown, JSON and a plot, from its finished cells."""

import json
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from wing_tf.evaluation.heatmaps import draw_heatmaps_by_network
from wing_tf.landmarks import get_scheme
from wing_tf.metrics import bootstrap_interval, ced_auc, failure_rate, paired_bootstrap
from wing_tf.reproduction.cell_setup import file_name
from wing_tf.reproduction.table import Cell, Table
from wing_tf.utils.atomic import write_text
from wing_tf.utils.image_files import save_image
from wing_tf.visualization.plots import plot_ced, plot_curves

_THIRDS = ("frontal third", "middle third", "large-pose third")


class _Errors:
    """The errors of a test set's faces by cell and seed; faces that can't be scored left out.

    Args:
        cells: finished ones.
        test: the test set's name.

    Raises:
        ValueError: if cells were judged on different faces, or none of them can be scored.
    """

    def __init__(self, cells: list[dict], test: str):
        tests = [cell["tests"][test] for cell in cells]
        if len({part["keys_sha256"] for part in tests}) != 1:
            raise ValueError(f"The cells were judged on different faces of {test}.")
        values = np.array([part["nme"] for part in tests], np.float64)
        scored = np.isfinite(values).all(axis=0)
        if not scored.any():
            raise ValueError(f"No face of {test} can be scored.")
        pose = tests[0].get("pose")
        self.pose = None if pose is None else np.abs(np.array(pose)[scored])
        self._values = {
            (cell["cell"], cell["seed"]): value[scored]
            for cell, value in zip(cells, values, strict=True)
        }

    def seeds(self, *names: str) -> list[int]:
        """Returns the seeds that all of these cells were trained with."""
        sets = [{seed for name, seed in self._values if name == wanted} for wanted in names]
        return sorted(set.intersection(*sets))

    def by_seed(self, name: str) -> dict[int, np.ndarray]:
        """Returns each seed's errors [N] of a cell."""
        return {seed: self._values[name, seed] for seed in self.seeds(name)}

    def mean(self, name: str, seeds: Iterable[int] | None = None) -> np.ndarray:
        """Returns each face's error [N], the mean over seeds (all of the cell's if None)."""
        seeds = self.seeds(name) if seeds is None else seeds
        return np.mean([self._values[name, seed] for seed in seeds], axis=0)


def write_table(folder: pathlib.Path, name: str, table: Table, cells: list[dict]) -> str:
    """Writes table.md, table.json and a CED plot for each test set; returns the Markdown.

    Each face's error is averaged over the seeds before faces are resampled: the intervals are of
    the faces, and the seeds' own means stand beside. Differences are of the seeds that both have.

    Args:
        folder: where the files go.
        name: of the table.
        table: its cells and notes.
        cells: finished cells of it, all made in one way.

    Raises:
        ValueError: if there is no cell, or cells were judged on different faces.
    """
    order = [cell for cell in table.cells if any(c["cell"] == cell.name for c in cells)]
    if not order:
        raise ValueError(f"No finished cell of {name} in {folder}.")
    lines = [f"# {table.title}", "", f"After {table.source}. {_budget(cells)}", ""]
    result: dict[str, Any] = {"table": name, "source": table.source, "tests": {}}
    for test in cells[0]["tests"]:
        errors = _Errors(cells, test)
        rows = [_row(cell, _against(cell, table, order), errors, cells) for cell in order]
        text = [*_HEAD, *map(_format_row, rows)]
        if table.pose_thirds and errors.pose is not None:
            text += ["", *_thirds(rows, errors, errors.pose)]
        result["tests"][test] = rows
        faces = len(errors.mean(order[0].name))
        lines += [f"## {test} ({faces} faces)", "", *text, ""]
        plot = folder / f"ced_{test}.png"
        title = f"{table.title}: {test}, {cells[0]['normalizer']}"
        plot_ced(plot, {cell.name: errors.mean(cell.name) for cell in order}, title=title)
        lines += [f"![Cumulative errors]({plot.name})", ""]
    lines += _map_sections(folder, table, order, cells)
    notes = _notes(table, order, cells)
    lines += ["## What to read it with", "", *(f"- {note}" for note in notes), ""]
    text = "\n".join(lines)
    write_text(folder / "table.md", text)
    write_text(folder / "table.json", json.dumps(result | {"notes": notes}, indent=1) + "\n")
    return text


def _map_sections(
    folder: pathlib.Path, table: Table, order: list[Cell], cells: list[dict]
) -> list[str]:
    """Draws what cells of heatmaps have more, and returns its Markdown."""
    # The first seed of each.
    by_name = {cell.name: next(c for c in cells if c["cell"] == cell.name) for cell in order}
    lines: list[str] = []
    logged = {name: c["heatmap_errors"] for name, c in by_name.items() if "heatmap_errors" in c}
    if logged:
        lines += ["## Squared errors of the training maps, x 1e-3", "", *_format_errors(logged), ""]
        plot_curves(folder / "map_errors.png", logged, steps="epoch")
        lines += ["![Errors by epoch](map_errors.png)", ""]
    files = {
        name: folder / "cells" / f"{file_name(name, c['seed'])}.npz" for name, c in by_name.items()
    }
    maps = {name: np.load(file) for name, file in files.items() if file.is_file()}
    if maps:
        scheme = get_scheme(next(by_name[name]["scheme"] for name in maps))
        true = next(iter(maps.values()))["true"] / 255.0
        predicted = {name: content["predicted"] / 255.0 for name, content in maps.items()}
        save_image(folder / "heatmaps.png", draw_heatmaps_by_network(true, predicted, scheme))
        lines += ["## Maps of one test face", "", "![True and predicted maps](heatmaps.png)", ""]
        lines += [f"The truth as it is drawn for {next(iter(maps))}.", ""]
    if found := {name: c["margins"] for name, c in by_name.items() if "margins" in c}:
        lines += ["## Margins of the maps", "", *_margin_section(folder, table, found, order), ""]
    sizes = {name: c["mean_residual"] for name, c in by_name.items() if "mean_residual" in c}
    if sizes:
        shown = ", ".join(f"{name} {size:.3f}" for name, size in sizes.items())
        lines += [f"Mean size of the residuals, heatmap pixels: {shown}.", ""]
    return lines


def _margin_section(
    folder: pathlib.Path, table: Table, found: dict[str, dict[str, Any]], order: list[Cell]
) -> list[str]:
    """Plots margins by distance; returns their table, differences paired face by face."""
    distances = next(iter(found.values()))["distances"]
    text = [
        "What all pixels so far or farther from a map's highest one are lower by, in shares of it; "
        "means over faces. In brackets the difference from the cell named last.",
        "",
        f"| maps | {' | '.join(f'{d} px' for d in distances)} | from |",
        f"| --- | {' | '.join('---' for _ in distances)} | --- |",
    ]
    faces = {name: np.array(part["predicted"], np.float64) for name, part in found.items()}
    curves = {}
    # The truth once, or for each radius that it is drawn with.
    truths: dict[tuple, list[str]] = {}
    for name, part in found.items():
        truths.setdefault(tuple(part["true"]), []).append(name)
    for values, names in truths.items():
        label = "true" if len(truths) == 1 else f"true of {', '.join(names)}"
        curves[label] = {"margin": list(values)}
        text.append(f"| {label} | {' | '.join(f'{v:.3f}' for v in values)} | - |")
    for cell in order:
        if cell.name not in faces:
            continue
        values = faces[cell.name]
        against = _against(cell, table, [other for other in order if other.name in faces])
        scored = np.isfinite(values).all(axis=1)
        means = values[scored].mean(axis=0)
        curves[cell.name] = {"margin": means.tolist()}
        shown = [f"{mean:.3f}" for mean in means]
        if against:
            for i in range(len(distances)):
                mean, low, high = paired_bootstrap(values[scored, i], faces[against][scored, i])
                shown[i] += f" ({mean:+.3f}, {low:+.3f} to {high:+.3f})"
        text.append(f"| {cell.name} | {' | '.join(shown)} | {against or '-'} |")
    plot_curves(
        folder / "margins.png",
        curves,
        steps="heatmap pixels from the peak",
        at=distances,
        scale="linear",
    )
    return [*text, "", "![Margins by distance](margins.png)"]


def _format_errors(logged: dict[str, dict[str, list[float]]]) -> list[str]:
    """Returns a table of each cell's errors at the end of each quarter of its training."""
    text = [
        "| cell | pixels | 1/4 | 2/4 | 3/4 | 4/4 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, errors in logged.items():
        for key, values in errors.items():
            at = [values[max(-(-len(values) * i // 4), 1) - 1] for i in range(1, 5)]
            pixels = "foreground" if key.endswith("foreground") else "all"
            text.append(f"| {name} | {pixels} | {' | '.join(f'{1e3 * v:.3f}' for v in at)} |")
    return text


def _against(cell: Cell, table: Table, order: list[Cell]) -> str | None:
    """Returns the cell that this one is compared with, if there is one."""
    names = [other.name for other in order]
    for wanted in (cell.baseline, table.baseline):
        if wanted in names and wanted != cell.name:
            return wanted
    return None


def _row(cell: Cell, against: str | None, errors: _Errors, cells: list[dict]) -> dict:
    by_seed = errors.by_seed(cell.name)
    values = errors.mean(cell.name)
    run = next(c for c in cells if c["cell"] == cell.name)
    row = {
        "cell": cell.name,
        "nme": float(np.mean(values)),
        "nme_interval": bootstrap_interval(values),
        "nme_by_seed": {seed: float(np.mean(e)) for seed, e in by_seed.items()},
        "fr_08": float(np.mean([failure_rate(e, 0.08) for e in by_seed.values()])),
        "auc_08": float(np.mean([ced_auc(e, 0.08) for e in by_seed.values()])),
        "published": dict(cell.published),
        "faces_seen": run["faces_seen"],
        "parameters": run["parameters"],
    }
    if against and (seeds := errors.seeds(cell.name, against)):
        row["baseline"] = against
        row["difference"] = paired_bootstrap(
            errors.mean(cell.name, seeds), errors.mean(against, seeds)
        )
    return row


_HEAD = (
    "| cell | NME, % | by seed | FR8 | AUC8 | paper | difference | from | seen | parameters |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)


def _format_row(row: dict) -> str:
    seeds = ", ".join(f"{100 * value:.2f}" for value in row["nme_by_seed"].values())
    paper = ", ".join(f"{key} {value:.2f}" for key, value in row["published"].items())
    cells = [
        row["cell"],
        f"{100 * row['nme']:.2f} ({_span(row['nme_interval'])})",
        seeds,
        f"{100 * row['fr_08']:.1f}",
        f"{100 * row['auc_08']:.1f}",
        paper or "-",
        _difference(row.get("difference")),
        row.get("baseline", "-"),
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


def _thirds(rows: list[dict], errors: _Errors, pose: np.ndarray) -> list[str]:
    """Adds the errors of the faces' thirds by |pose coefficient| to the rows; returns a table."""
    third = np.empty(len(pose), int)
    for number, part in enumerate(np.array_split(np.argsort(pose, kind="stable"), 3)):
        third[part] = number
    text = [
        "| cell | third by pose | faces | NME, % | difference | relative | from |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        row["pose_thirds"] = {}
        for number, name in enumerate(_THIRDS):
            chosen = third == number
            if not chosen.any():
                continue
            values, against = errors.mean(row["cell"])[chosen], row.get("baseline")
            mean, interval = float(np.mean(values)), bootstrap_interval(values)
            part = {"faces": int(chosen.sum()), "nme": mean, "nme_interval": interval}
            relative = "-"
            if against:
                seeds = errors.seeds(row["cell"], against)
                own, other = (errors.mean(c, seeds)[chosen] for c in (row["cell"], against))
                part["difference"] = paired_bootstrap(own, other)
                part["relative"] = float(np.mean(own) / np.mean(other) - 1)
                relative = f"{100 * part['relative']:+.1f} %"
            row["pose_thirds"][name] = part
            text.append(
                f"| {row['cell']} | {name} | {part['faces']} | {100 * mean:.2f} "
                f"({_span(interval)}) | {_difference(part.get('difference'))} | {relative} "
                f"| {against or '-'} |"
            )
    return text


def _budget(cells: list[dict]) -> str:
    epochs = " or ".join(str(n) for n in sorted({cell["epochs"] for cell in cells}))
    precision = " and ".join(sorted({cell["precision"] for cell in cells}))
    return (
        f"Recipe `{cells[0]['recipe']}`, {cells[0]['training_faces']} training faces, {epochs} "
        f"epochs, {precision}. NME: {cells[0]['normalizer']}; in brackets 95 % bootstrap intervals "
        "over faces, differences paired face by face."
    )


def _notes(table: Table, order: list[Cell], cells: list[dict]) -> list[str]:
    """What can't be compared, and why."""
    notes = list(table.notes)
    if len({cell["seed"] for cell in cells}) < 2:
        notes.append("One seed: the intervals do not hold what another seed would change.")
    published = {key for cell in order for key in cell.published}
    if published and not published & set(cells[0]["tests"]):
        notes.append(
            f"The paper prints {', '.join(sorted(published))}; the test sets here are "
            f"{', '.join(cells[0]['tests'])}: other faces, other training data."
        )
    if cells[0]["recipe"] != "paper":
        seen = {
            "smt": "300-W's 3148 faces for more than 200 epochs: over 630,000 faces seen",
            "coordinates": "120,000 SGD steps of 8 faces: 960,000 faces seen",
            "heatmaps": "240 epochs of WFLW's 7500 faces: 1,800,000 faces seen",
        }
        notes += [f"The paper trains {seen[base]}." for base in sorted({c.task for c in order})]
    if any(cell.first_stage for cell in order):
        notes.append("A second stage has its first one's training besides its own.")
    if crops := sorted({crop for cell in cells for crop in cell.get("crops", ())}):
        notes.append(f"Crops: {'; '.join(crops)}.")
    if missing := [cell.name for cell in table.cells if cell not in order]:
        notes.append(f"Not run: {', '.join(missing)}.")
    return notes
