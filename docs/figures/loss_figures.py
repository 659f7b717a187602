"""Curves and gradients of the losses."""

import pathlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from figure_faces import save_figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wing_tf.losses import (
    AbsoluteError,
    AdaptiveWingLoss,
    BilateralInhibitionCrossEntropy,
    HalfSquaredError,
    HeatmapSquaredError,
    SmoothL1Error,
    UnilateralCrossEntropy,
    WingLoss,
)

_Loss = Callable[[tf.Tensor], tf.Tensor]


def _plot(all_axes: tuple[Axes, Axes], losses: Mapping[str, _Loss], at: np.ndarray) -> None:
    """Plots losses and their gradients."""
    for name, loss in losses.items():
        x = tf.constant(at, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(x)
            values = loss(x)
        for axes, curve in zip(all_axes, (values, tape.gradient(values, x)), strict=True):
            axes.plot(at, curve, label=name)
    for axes, quantity in zip(all_axes, ("loss", "gradient"), strict=True):
        axes.set(ylabel=quantity)
        axes.grid(alpha=0.3)
    all_axes[0].legend(fontsize=8)


def coordinate_losses(path: pathlib.Path) -> None:
    """Plots the losses of coordinates over the error in pixels."""
    losses = {
        "L2": HalfSquaredError(),
        "L1": AbsoluteError(),
        "smooth L1": SmoothL1Error(),
        "Wing, width 10, curvature 2": WingLoss(width=10, curvature=2),
        "Wing, width 15, curvature 3": WingLoss(width=15, curvature=3),
    }
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    curves = {
        name: (lambda error, loss=loss: loss.coordinate_losses(tf.zeros_like(error), error))
        for name, loss in losses.items()
    }
    _plot((left, right), curves, np.linspace(-20, 20, 800))  # without 0, where L1 has a corner
    left.set(ylim=(0, 40), xlabel="error, pixels")
    right.set(ylim=(-6, 6), xlabel="error, pixels")
    save_figure(figure, path)


def heatmap_losses(path: pathlib.Path) -> None:
    """Plots the losses of heatmaps over the error of one pixel."""
    squared, adaptive = HeatmapSquaredError(), AdaptiveWingLoss()

    def of_target(loss, y: float) -> _Loss:
        return lambda error: loss.pixel_losses(tf.fill(tf.shape(error), y), y + error)

    curves = {"squared error": of_target(squared, 0.0)}
    for y in (0.0, 0.5, 1.0):
        curves[f"Adaptive Wing, target {y:g}"] = of_target(adaptive, y)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _plot((left, right), curves, np.linspace(-1, 1, 800))
    for axes in (left, right):
        axes.set(xlabel="prediction - target of one pixel", xticks=(-1, -0.5, 0, 0.5, 1))
    save_figure(figure, path)


def cross_entropies(path: pathlib.Path) -> None:
    """Plots BICE of one pixel over its logit, and BICE and UCE of two pixels."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    sigmoid = BilateralInhibitionCrossEntropy(activation="sigmoid")
    curves = {
        f"target {y:g}": (lambda z, y=y: sigmoid.pixel_losses(tf.fill(tf.shape(z), y), z))
        for y in (0.0, 0.5, 1.0)
    }
    _plot((left, middle), curves, np.linspace(-6, 6, 241))
    for axes in (left, middle):
        axes.set(xlabel="logit of one pixel")
    left.set_title("BICE, sigmoid", fontsize=9)
    probabilities = np.linspace(0.02, 0.98, 193)
    logits = np.log(probabilities / (1 - probabilities))
    maps = np.stack([logits, np.zeros_like(logits)], axis=-1).astype(np.float32)[:, None, :, None]
    targets = np.broadcast_to(np.array([1.0, 0.5], np.float32)[None, None, :, None], maps.shape)
    for name, loss in (("BICE", BilateralInhibitionCrossEntropy()),
                       ("UCE", UnilateralCrossEntropy())):  # fmt: skip
        values = np.asarray(loss.call(targets, maps))[:, 0]
        (line,) = right.plot(probabilities, values, label=name)
        lowest = values.argmin()
        right.plot(probabilities[lowest], values[lowest], "o", color=line.get_color())
    right.set(xlabel="probability of the first pixel", ylabel="loss")
    right.set_title("two pixels, targets 1 and 0.5, softmax", fontsize=9)
    right.grid(alpha=0.3)
    right.legend(fontsize=8)
    save_figure(figure, path)
