"""Further sections of a reproduced table: medians, joints, speed, and the NME by epoch."""

import pathlib
from collections.abc import Callable

import numpy as np

from wing_tf.metrics import format_percent
from wing_tf.reproduction.markdown import markdown_table
from wing_tf.reproduction.table import Cell, Table
from wing_tf.visualization.plots import plot_curves


def score_sections(
    folder: pathlib.Path, table: Table, order: list[Cell], cells: list[dict]
) -> list[str]:
    """Returns the sections that the cells have values for, as Markdown lines.

    Args:
        folder: The output folder; nme_by_epoch.png is written into it.
        table: The table.
        order: The cells of the table that are finished, in its order.
        cells: The finished cells.
    """
    lines: list[str] = []
    for test, part in cells[0]["tests"].items():
        if table.medians and part.get("nme_by_subset"):
            lines += [f"## {test}: median errors, %", "", *_medians(order, cells, test), ""]
        if "pck" in part:
            joints = list(part["pck"])
            parts = [c["tests"][test] | {"cell": c["cell"]} for c in cells]
            means = _means(order, parts, lambda part: list(part["pck"].values()))
            rows = ([name, *map(format_percent, values)] for name, values in means.items())
            lines += [f"## {test}: PCK@.2, %", "", *markdown_table(["cell", *joints], rows), ""]
    timed = [cell for cell in cells if "images_per_second" in cell]
    if timed:
        devices = list(timed[0]["images_per_second"])
        means = _means(order, timed, lambda cell: list(cell["images_per_second"].values()))
        rows = ([name, *(f"{v:.1f}" for v in values)] for name, values in means.items())
        lines += ["## Images per second, one at a time", ""]
        lines += [*markdown_table(["cell", *devices], rows), ""]
    first = {name: next(c for c in cells if c["cell"] == name) for name in (c.name for c in order)}
    curves = {
        n: c["validation_nme"] for n, c in first.items() if len(c.get("validation_nme", "")) > 1
    }
    if curves:
        # Cells of one length share their epochs; the first seed of each.
        plot_curves(
            folder / "nme_by_epoch.png",
            {
                name: {"validation NME, %": [100 * v for v in c.values()]}
                for name, c in curves.items()
            },
            steps="epoch",
            at={name: [int(epoch) for epoch in curve] for name, curve in curves.items()},
        )
        lines += ["![Validation NME by epoch](nme_by_epoch.png)", ""]
    return lines


def _means(
    order: list[Cell], cells: list[dict], values: Callable[[dict], list[float]]
) -> dict[str, np.ndarray]:
    """Returns some values of each cell, averaged over its seeds."""
    found = {cell.name: [values(c) for c in cells if c["cell"] == cell.name] for cell in order}
    return {name: np.mean(rows, axis=0) for name, rows in found.items() if rows}


def _medians(order: list[Cell], cells: list[dict], test: str) -> list[str]:
    """Returns the table of medians over faces, means over seeds: all landmarks, subsets, gaps."""

    def medians(cell: dict) -> list[float]:
        part = cell["tests"][test]
        errors = [part["nme"], *part["nme_by_subset"].values()]
        every, *subsets = (float(np.nanmedian(np.array(e, np.float64))) for e in errors)
        return [every, *(value for s in subsets for value in (s, every - s))]

    names = list(cells[0]["tests"][test]["nme_by_subset"])
    head = ["cell", "all", *(text for name in names for text in (name, f"gap to {name}"))]
    rows = _means(order, cells, medians)
    return markdown_table(head, ([name, *map(format_percent, row)] for name, row in rows.items()))
