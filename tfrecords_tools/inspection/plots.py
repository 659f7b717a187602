"""Histograms of what records hold."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from tfrecords_tools.inspection.boxes import BoxStatistics
from wing_tf.data import record_schema as schema
from wing_tf.landmarks import LandmarkScheme


def plot_pose(
    path: pathlib.Path, values: Mapping[str, np.ndarray], splits: Sequence[str], unit: str
) -> None:
    """Writes histograms of pose by split.

    Args:
        path: the file.
        values: by name, [N]; NaN where not known.
        splits: [N].
        unit: of the values.
    """
    figure = Figure(figsize=(4.6 * len(values), 3.6), layout="constrained")
    all_axes = figure.subplots(1, len(values), squeeze=False)[0]
    names = np.asarray(splits)
    for axes, (name, series) in zip(all_axes, values.items(), strict=True):
        known = np.isfinite(series)
        reach = max(float(np.max(np.abs(series[known]), initial=0.0)), 1e-6)
        edges = np.linspace(-reach, reach, 32)
        for split in sorted(set(splits)):
            chosen = series[known & (names == split)]
            if len(chosen):
                shares = 100 * np.histogram(chosen, edges)[0] / len(chosen)
                axes.stairs(shares, edges, label=f"{split} ({len(chosen)})")
        axes.set(xlabel=f"{name}, {unit}" if unit else name, ylabel="share of the split's faces, %")
        axes.grid(alpha=0.3)
    all_axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


def plot_boxes(path: pathlib.Path, figures: Mapping[str, BoxStatistics]) -> None:
    """Writes histograms of boxes, by what kind they are of."""
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    panels = {
        "longer side, px of the source image": lambda f: f.side_px,
        "width over height": lambda f: f.aspect,
        "landmark box over box, longer sides": lambda f: f.fill,
        "landmarks right of the box's middle, in sides": lambda f: f.offset[:, 0],
        "landmarks below the box's middle, in sides": lambda f: f.offset[:, 1],
    }
    for panel, (name, values) in zip(axes, panels.items(), strict=False):
        series = [np.asarray(values(f)) for f in figures.values()]
        low, high = np.quantile(np.concatenate(series), [0.002, 0.998])
        if high - low < 1e-3:  # all alike, but for rounding
            low, high = low - 0.05, high + 0.05
        # What lies beyond is counted at the ends.
        clipped = [np.clip(s, low, high) for s in series]
        panel.hist(clipped, bins=np.linspace(low, high, 31), histtype="step", label=list(figures))
        panel.set(xlabel=name, ylabel="faces")
        panel.grid(alpha=0.3)
    for kind, f in figures.items():
        axes[5].plot(*f.offset.T, ".", markersize=2, alpha=0.4, label=kind)
    axes[5].set(xlabel="right of the box's middle, in sides", ylabel="below", aspect="equal")
    reach = max(float(np.quantile(np.abs(f.offset), 0.998)) for f in figures.values()) + 0.02
    axes[5].set(xlim=(-reach, reach), ylim=(reach, -reach))
    axes[5].grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


def plot_visibility(path: pathlib.Path, visibility: np.ndarray, scheme: LandmarkScheme) -> None:
    """Writes the share of faces in which each landmark is visible, hidden or missing."""
    count = visibility.shape[1]
    figure = Figure(figsize=(min(max(6.0, count / 6), 20), 3.6), layout="constrained")
    axes = figure.add_subplot()
    bottom = np.zeros(count)
    kinds = (
        ("visible", schema.VISIBLE, "tab:green"),
        ("hidden", schema.OCCLUDED, "tab:orange"),
        ("missing", schema.NOT_ANNOTATED, "tab:red"),
    )
    for name, flag, color in kinds:
        shares = 100 * np.mean(visibility == flag, axis=0)
        axes.bar(np.arange(count), shares, 1.0, bottom, color=color, edgecolor="white",
                 linewidth=0.3, label=name)  # fmt: skip
        bottom += shares
    axes.set(xlim=(-0.5, count - 0.5), ylim=(0, 100), ylabel="share of faces, %")
    step = max(1, count // 34)
    axes.set_xticks(np.arange(0, count, step))
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlabel(f"landmark of {scheme.name}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=8)
    figure.savefig(path, dpi=110)
