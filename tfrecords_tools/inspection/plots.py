"""Histograms of pose, boxes and visibility of records."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from wing_tf.data import record_schema as schema
from wing_tf.landmarks import LandmarkScheme
from wing_tf.utils.printable import plot_text
from wing_tf.visualization.plots import save_figure

VISIBILITY_NAMES = {
    "visible": schema.VISIBLE,
    "occluded": schema.OCCLUDED,
    "not_annotated": schema.NOT_ANNOTATED,
}


def plot_pose(
    path: pathlib.Path, values: Mapping[str, np.ndarray], splits: Sequence[str], unit: str
) -> None:
    """Writes histograms of the pose by split.

    Args:
        path: Path of the image file.
        values: Values [N] by name; NaN where unknown.
        splits: [N].
        unit: Unit of the values.
    """
    figure = Figure(figsize=(4.6 * len(values), 3.6), layout="constrained")
    all_axes = figure.subplots(1, len(values), squeeze=False)[0]
    names = np.asarray(splits)
    for axes, (name, series) in zip(all_axes, values.items(), strict=True):
        known = np.isfinite(series)
        limit = max(float(np.max(np.abs(series[known]), initial=0.0)), 1e-6)
        edges = np.linspace(-limit, limit, 32)
        for split in sorted(set(splits)):
            chosen = series[known & (names == split)]
            if len(chosen):
                percent = 100 * np.histogram(chosen, edges)[0] / len(chosen)
                axes.stairs(percent, edges, label=f"{plot_text(split)} ({len(chosen)})")
        axes.set(xlabel=f"{name}, {unit}" if unit else name, ylabel="faces of the split, %")
        axes.grid(alpha=0.3)
    all_axes[0].legend(fontsize=8)
    save_figure(figure, path, dpi=110)


def plot_boxes(path: pathlib.Path, statistics: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Writes histograms of `box_statistics`, by the kind of box."""
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    panels = {
        "side_source_px": "longer side, pixels of the source image",
        "width_over_height": "width over height",
        "landmarks_over_box": "landmark box over box, longer sides",
        "landmarks_right_of_center": "landmarks right of the box center, in sides",
        "landmarks_below_center": "landmarks below the box center, in sides",
    }
    for panel, (name, label) in zip(axes, panels.items(), strict=False):
        series = [measures[name] for measures in statistics.values()]
        low, high = np.quantile(np.concatenate(series), [0.002, 0.998])
        if high - low < 1e-3:  # all are equal up to rounding
            low, high = low - 0.05, high + 0.05
        # Values beyond the limits are counted in the end bins.
        clipped = [np.clip(s, low, high) for s in series]
        edges = np.linspace(low, high, 31)
        panel.hist(clipped, bins=edges, histtype="step", label=list(statistics))
        panel.set(xlabel=label, ylabel="faces")
        panel.grid(alpha=0.3)
    limit = 0.0
    for kind, measures in statistics.items():
        offset = measures["landmarks_right_of_center"], measures["landmarks_below_center"]
        axes[5].plot(*offset, ".", markersize=2, alpha=0.4, label=kind)
        limit = max(limit, float(np.quantile(np.abs(offset), 0.998)) + 0.02)
    axes[5].set(xlabel="right of the box center, in sides", ylabel="below", aspect="equal")
    axes[5].set(xlim=(-limit, limit), ylim=(limit, -limit))
    axes[5].grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    save_figure(figure, path, dpi=110)


def plot_visibility(path: pathlib.Path, visibility: np.ndarray, scheme: LandmarkScheme) -> None:
    """Writes the fractions of faces in which each landmark has each visibility."""
    count = visibility.shape[1]
    figure = Figure(figsize=(min(max(6.0, count / 6), 20), 3.6), layout="constrained")
    axes = figure.add_subplot()
    bottom = np.zeros(count)
    colors = ("tab:green", "tab:orange", "tab:red")
    for (name, value), color in zip(VISIBILITY_NAMES.items(), colors, strict=True):
        percent = 100 * np.mean(visibility == value, axis=0)
        axes.bar(np.arange(count), percent, 1.0, bottom, color=color, edgecolor="white",
                 linewidth=0.3, label=name.replace("_", " "))  # fmt: skip
        bottom += percent
    axes.set(xlim=(-0.5, count - 0.5), ylim=(0, 100), ylabel="faces, %")
    axes.set_xticks(np.arange(0, count, max(1, count // 34)))
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlabel(f"landmark of {plot_text(scheme.name)}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=8)
    save_figure(figure, path, dpi=110)
