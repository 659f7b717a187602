"""Plots of scores."""

import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from wing_tf.metrics import ced_auc, ced_curve
from wing_tf.utils.atomic import write_bytes
from wing_tf.utils.printable import plot_text


def _style(index: int) -> dict[str, Any]:
    """Returns the color and line of a curve. There are ten colors, so that later lines differ."""
    return {"color": f"C{index % 10}", "linestyle": ("-", "--", ":")[index // 10 % 3]}


def save_figure(figure: Figure, path: str | pathlib.Path, *, dpi: int = 130) -> None:
    """Writes a figure atomically.

    Args:
        figure: The figure.
        path: The file; its suffix selects the format.
        dpi: Pixels per inch.

    Raises:
        OSError: If it can't be written.
    """
    content = io.BytesIO()
    figure.savefig(content, dpi=dpi, format=pathlib.Path(path).suffix.removeprefix(".") or "png")
    write_bytes(path, content.getvalue())


def plot_ced(
    path: str | pathlib.Path,
    errors: Mapping[str, np.ndarray],
    *,
    title: str = "",
    threshold: float = 0.10,
) -> None:
    """Writes a plot of cumulative error distributions.

    Args:
        path: The file; its suffix selects the format.
        errors: NME of each face [N], fractions, by the name of the system.
        title: Title of the plot.
        threshold: End of the x axis, a fraction.
    """
    # A Figure without pyplot has no global state and needs no window system.
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for index, (name, values) in enumerate(errors.items()):
        ordered, fractions = ced_curve(values)
        scores = f"mean {100 * ordered.mean():.2f} %, AUC {ced_auc(ordered, threshold):.3f}"
        axes.step(
            100 * np.concatenate([[0.0], ordered, [max(threshold, ordered[-1])]]),
            100 * np.concatenate([[0.0], fractions, [1.0]]),
            where="post",
            label=f"{plot_text(name)} ({scores})",
            **_style(index),
        )
    axes.set(xlim=(0, 100 * threshold), ylim=(0, 100), xlabel="NME, %", ylabel="faces, %")
    axes.set_title(plot_text(title), fontsize=9, wrap=True)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    save_figure(figure, path)


def plot_reliability(
    path: str | pathlib.Path, table: Mapping[str, Any], *, title: str = ""
) -> None:
    """Writes a reliability diagram: the fraction that came true over the mean probability.

    Args:
        path: The file; its suffix selects the format.
        table: The table of `wing_tf.metrics.reliability`.
        title: Title of the plot.
    """
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    scores, fractions, counts = (
        [row[name] for row in table["bins"]] for name in ("mean_score", "fraction_true", "count")
    )
    axes.plot([0, 1], [0, 1], color="gray", linewidth=1)
    axes.plot(scores, fractions, marker="o")
    for score, fraction, count in zip(scores, fractions, counts, strict=True):
        axes.annotate(str(count), (score, fraction), fontsize=7, textcoords="offset points",
                      xytext=(4, -9))  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="mean score", ylabel="accurate faces, fraction")
    axes.set_title(f"{plot_text(title)} (ECE {100 * table['ece']:.1f} %)", fontsize=9, wrap=True)
    axes.grid(alpha=0.3)
    save_figure(figure, path)


def plot_balance(
    path: str | pathlib.Path, edges: np.ndarray, before: np.ndarray, after: np.ndarray
) -> None:
    """Writes a histogram of faces over pose before and after pose balancing.

    Args:
        path: The file; its suffix selects the format.
        edges: Edges of the bins [bins + 1].
        before: Fractions of the training faces [bins].
        after: Fractions of the sampled faces [bins].
    """
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    width = np.diff(edges)
    for label, fractions, place in (("before", before, 0.29), ("balanced", after, 0.71)):
        middles = edges[:-1] + place * width
        axes.bar(middles, 100 * np.asarray(fractions), 0.4 * width, label=label)
    axes.set(xticks=edges, xlabel="pose coefficient", ylabel="faces, %")
    axes.set_xticklabels([f"{edge:.2f}" for edge in edges], fontsize=8)
    axes.grid(alpha=0.3, axis="y")
    axes.legend(fontsize=8)
    save_figure(figure, path)


def plot_curves(
    path: str | pathlib.Path,
    values: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    steps: str,
    at: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    scale: str = "log",
) -> None:
    """Writes plots of several quantities over steps, one below the other.

    Args:
        path: The file; its suffix selects the format.
        values: Values per step, by the names of the system and of the quantity.
        steps: Label of the x axis.
        at: Positions of the values on the x axis, or these by the name of the system. Defaults to
            1, 2, 3, ...
        scale: Scale of the y axes, "log" or "linear".
    """
    quantities = list(dict.fromkeys(name for system in values.values() for name in system))
    figure = Figure(figsize=(6, 1 + 2.6 * len(quantities)), layout="constrained")
    all_axes = figure.subplots(len(quantities), sharex=True, squeeze=False)[:, 0]
    for axes, quantity in zip(all_axes, quantities, strict=True):
        for index, (name, system) in enumerate(values.items()):
            series = system.get(quantity, ())
            found = at.get(name, ()) if isinstance(at, Mapping) else at
            places = range(1, len(series) + 1) if found is None else found[: len(series)]
            axes.plot(places, series, label=plot_text(name), **_style(index))
        axes.set(yscale=scale, ylabel=plot_text(quantity))
        if scale == "log":  # 6 and 0.001 instead of powers of ten
            low, high = axes.get_ylim()
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("{x:g}" if high < 10 * low else NullFormatter())
            if 10 * low <= high < 100 * low:
                axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.grid(alpha=0.3, which="both")
    all_axes[0].legend(fontsize=8)
    all_axes[-1].set_xlabel(steps)
    save_figure(figure, path)


def plot_maps(path: str | pathlib.Path, maps: Mapping[str, np.ndarray]) -> None:
    """Writes maps [h, w] side by side, each with its own range of colors.

    Args:
        path: The file; its suffix selects the format.
        maps: The maps, by their titles.
    """
    figure = Figure(figsize=(2.4 * len(maps), 2.7), layout="constrained")
    all_axes = figure.subplots(1, len(maps), squeeze=False)[0]
    for axes, (title, values) in zip(all_axes, maps.items(), strict=True):
        axes.imshow(values, interpolation="nearest")
        axes.set_title(plot_text(title), fontsize=9)
        axes.set_axis_off()
    save_figure(figure, path)
