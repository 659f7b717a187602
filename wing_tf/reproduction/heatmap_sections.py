"""The sections of a reproduced table about heatmaps: errors, images, margins and residuals."""

import pathlib
from typing import Any

import numpy as np

from wing_tf.evaluation.heatmaps import draw_heatmaps_by_network
from wing_tf.landmarks import get_scheme
from wing_tf.metrics import paired_bootstrap
from wing_tf.reproduction.cell_file import read_heatmaps
from wing_tf.reproduction.cell_setup import file_name
from wing_tf.reproduction.markdown import markdown_table
from wing_tf.reproduction.table import Cell, Table, find_baseline
from wing_tf.utils.image_files import save_image
from wing_tf.visualization.plots import plot_curves


def heatmap_sections(
    folder: pathlib.Path, table: Table, order: list[Cell], cells: list[dict]
) -> list[str]:
    """Draws the heatmaps of cells that have some, and returns the sections as Markdown lines.

    Images and curves of errors are those of the first seed of each cell.

    Args:
        folder: The output folder.
        table: The table.
        order: The cells of the table that are finished, in its order.
        cells: The finished cells.
    """
    by_name = {cell.name: next(c for c in cells if c["cell"] == cell.name) for cell in order}
    lines: list[str] = []
    errors = {name: c["heatmap_errors"] for name, c in by_name.items() if "heatmap_errors" in c}
    if errors:
        lines += ["## Squared errors of the training heatmaps, x 1e-3", "", *_format_errors(errors)]
        plot_curves(folder / "heatmap_errors.png", errors, steps="epoch")
        lines += ["", "![Errors by epoch](heatmap_errors.png)", ""]
    files = {
        name: folder / "cells" / f"{file_name(name, c['seed'])}.npz" for name, c in by_name.items()
    }
    maps = {name: read_heatmaps(file) for name, file in files.items() if file.is_file()}
    if maps:
        scheme = get_scheme(next(by_name[name]["scheme"] for name in maps))
        true = next(iter(maps.values()))["true"]
        predicted = {name: content["predicted"] for name, content in maps.items()}
        image = draw_heatmaps_by_network(true, predicted, scheme)
        save_image(folder / "heatmaps.png", image)
        lines += ["## Heatmaps of one test face", "", "![True and predicted](heatmaps.png)", ""]
        lines += [f"The ground truth is that of {next(iter(maps))}.", ""]
    margins: dict[str, dict[int, dict[str, Any]]] = {}
    sizes: dict[str, list[float]] = {}
    for cell in cells:
        if "margins" in cell:
            margins.setdefault(cell["cell"], {})[cell["seed"]] = cell["margins"]
        if "mean_residual" in cell:
            sizes.setdefault(cell["cell"], []).append(cell["mean_residual"])
    if margins:
        lines += ["## Margins of the heatmaps", "", *_margins(folder, table, margins, order), ""]
    if sizes:
        shown = ", ".join(f"{name} {np.mean(values):.3f}" for name, values in sizes.items())
        lines += [f"Mean absolute residual in heatmap pixels: {shown}.", ""]
    return lines


def _margins(
    folder: pathlib.Path,
    table: Table,
    margins: dict[str, dict[int, dict[str, Any]]],
    order: list[Cell],
) -> list[str]:
    """Plots the margins by distance; returns their table with differences face by face.

    Args:
        folder: The output folder.
        table: The table.
        margins: The margins of cells by seed.
        order: The cells of the table that are finished, in its order.
    """
    first = {name: next(iter(parts.values())) for name, parts in margins.items()}
    distances = next(iter(first.values()))["distances"]
    curves: dict[str, dict[str, list[float]]] = {}
    rows: list[list[str]] = []
    # Cells with the same sigma have the same ground truth.
    truths: dict[tuple, list[str]] = {}
    for name, part in first.items():
        truths.setdefault(tuple(part["true"]), []).append(name)
    for true, names in truths.items():
        label = "true" if len(truths) == 1 else f"true of {', '.join(names)}"
        curves[label] = {"margin": list(true)}
        rows.append([label, *(f"{value:.3f}" for value in true), "-"])
    faces = {
        name: {seed: np.array(part["predicted"], np.float64) for seed, part in parts.items()}
        for name, parts in margins.items()
    }
    known = [cell for cell in order if cell.name in faces]
    # The same test faces in every cell; some can't be scored.
    every = [values for parts in faces.values() for values in parts.values()]
    scored = np.all([np.isfinite(values).all(axis=1) for values in every], axis=0)
    for cell in known:
        parts = faces[cell.name]
        baseline = find_baseline(cell, table, known)
        means = np.mean([values[scored].mean(axis=0) for values in parts.values()], axis=0)
        curves[cell.name] = {"margin": means.tolist()}
        shown = [f"{mean:.3f}" for mean in means]
        if baseline and (seeds := sorted(parts.keys() & faces[baseline].keys())):
            own, other = (
                np.stack([some[seed][scored] for seed in seeds])
                for some in (parts, faces[baseline])
            )
            for i in range(len(distances)):
                mean, low, high = paired_bootstrap(own[..., i], other[..., i])
                shown[i] += f" ({mean:+.3f}, {low:+.3f} to {high:+.3f})"
        rows.append([cell.name, *shown, baseline or "-"])
    plot_curves(
        folder / "margins.png",
        curves,
        steps="heatmap pixels from the peak",
        at=distances,
        scale="linear",
    )
    return [
        "Difference between a heatmap's maximum and the maximum of all pixels at a distance or "
        "farther, as a fraction of the former; means over faces. In parentheses: difference from "
        "the baseline.",
        "",
        *markdown_table(["heatmaps", *(f"{d} px" for d in distances), "baseline"], rows),
        "",
        "![Margins by distance](margins.png)",
    ]


def _format_errors(errors: dict[str, dict[str, list[float]]]) -> list[str]:
    """Returns a table of each cell's errors at the end of each quarter of its training."""
    rows = []
    for name, series in errors.items():
        for key, values in series.items():
            quarters = [values[max(-(-len(values) * i // 4), 1) - 1] for i in range(1, 5)]
            pixels = "foreground" if key.endswith("foreground") else "all"
            rows.append([name, pixels, *(f"{1e3 * value:.3f}" for value in quarters)])
    return markdown_table(["cell", "pixels", "1/4", "2/4", "3/4", "4/4"], rows)
