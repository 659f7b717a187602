"""Plots of scores."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from wing_tf.metrics import ced_auc, ced_curve


def plot_ced(
    path: str | pathlib.Path,
    errors: Mapping[str, np.ndarray],
    *,
    title: str = "",
    threshold: float = 0.10,
) -> None:
    """Writes a plot of cumulative error distributions.

    Args:
        path: the file; its ending chooses the format.
        errors: one NME a face [N], fractions, by the system's name.
        title: above the plot.
        threshold: the plot's end, a fraction.
    """
    # A Figure of its own: no global state, no window system.
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, values in errors.items():
        ordered, shares = ced_curve(values)
        label = f"{name} (mean {100 * ordered.mean():.2f} %, AUC {ced_auc(ordered, threshold):.3f})"
        axes.step(
            100 * np.concatenate([[0.0], ordered, [max(threshold, ordered[-1])]]),
            100 * np.concatenate([[0.0], shares, [1.0]]),
            where="post",
            label=label,
        )
    axes.set(xlim=(0, 100 * threshold), ylim=(0, 100), xlabel="NME, %", ylabel="share of faces, %")
    axes.set_title(title, fontsize=9, wrap=True)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=130)


def plot_balance(
    path: str | pathlib.Path, edges: np.ndarray, before: np.ndarray, after: np.ndarray
) -> None:
    """Writes a plot of two histograms of faces over pose: as they are, and as they are shown.

    Args:
        path: the file; its ending chooses the format.
        edges: [bins + 1].
        before: [bins], shares of the faces.
        after: [bins], shares of what is shown.
    """
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    width = np.diff(edges)
    for label, shares, place in (("before", before, 0.29), ("balanced", after, 0.71)):
        middles = edges[:-1] + place * width
        axes.bar(middles, 100 * np.asarray(shares), 0.4 * width, label=label)
    axes.set(xticks=edges, xlabel="pose coefficient", ylabel="share of faces, %")
    axes.set_xticklabels([f"{edge:.2f}" for edge in edges], fontsize=8)
    axes.grid(alpha=0.3, axis="y")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)


def plot_curves(
    path: str | pathlib.Path,
    values: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    steps: str,
    at: Sequence[float] | None = None,
    scale: str = "log",
) -> None:
    """Writes a plot of several quantities over steps, one below the other.

    Args:
        path: the file; its ending chooses the format.
        values: by the system's name and the quantity's, one value a step.
        steps: what a step is.
        at: where the values are; 1, 2, 3 and so on if None.
        scale: "log" or "linear".
    """
    quantities = list(dict.fromkeys(name for system in values.values() for name in system))
    figure = Figure(figsize=(6, 1 + 2.6 * len(quantities)), layout="constrained")
    all_axes = figure.subplots(len(quantities), sharex=True, squeeze=False)[:, 0]
    for axes, quantity in zip(all_axes, quantities, strict=True):
        for name, system in values.items():
            series = system.get(quantity, ())
            places = range(1, len(series) + 1) if at is None else at[: len(series)]
            axes.plot(places, series, label=name)
        axes.set(yscale=scale, ylabel=quantity)
        axes.grid(alpha=0.3, which="both")
    all_axes[0].legend(fontsize=8)
    all_axes[-1].set_xlabel(steps)
    figure.savefig(path, dpi=130)
