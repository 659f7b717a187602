"""Figures of the papers: losses, loss maps, coordinates and kernels, and those of a trained table.

Figures of a table are drawn from its output folder, the others from the package's own functions.
"""

import pathlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from wing_tf.codecs import HeatmapCodec
from wing_tf.codecs.boundary import boundary_map, sample_curves
from wing_tf.evaluation.heatmaps import draw_heatmaps_by_network
from wing_tf.landmarks import get_scheme
from wing_tf.landmarks.head import AVERAGE_HEAD_MM
from wing_tf.layers import CoordinateChannels
from wing_tf.losses import (
    AbsoluteError,
    AdaptiveWingLoss,
    HalfSquaredError,
    SmoothL1Error,
    WingLoss,
)
from wing_tf.losses.weighted_map import loss_weight_map
from wing_tf.reproduction import TABLES
from wing_tf.reproduction.cell_file import read_heatmaps
from wing_tf.reproduction.cell_setup import file_name
from wing_tf.reproduction.heatmap_sections import heatmap_sections
from wing_tf.reproduction.score_sections import score_sections
from wing_tf.reproduction.write import read_cells
from wing_tf.utils.image_files import save_image
from wing_tf.visualization.plots import plot_curves, plot_maps

_SIDE = 64
_Loss = Callable[[tf.Tensor], tf.Tensor]


def _plot_losses(path: pathlib.Path, losses: Mapping[str, _Loss], errors: np.ndarray) -> None:
    """Plots losses and their gradients over an error."""
    curves = {}
    for name, loss in losses.items():
        error = tf.constant(errors, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(error)
            values = loss(error)
        gradient = tape.gradient(values, error)
        curves[name] = {"loss": values.numpy(), "gradient": gradient.numpy()}
    plot_curves(path, curves, steps="error", at=errors.tolist(), scale="linear")


def _wing_loss(path: pathlib.Path) -> None:
    losses = {
        "L2": HalfSquaredError(),
        "L1": AbsoluteError(),
        "smooth L1": SmoothL1Error(),
        **{
            f"Wing, w {width}, epsilon {curvature:g}": WingLoss(width=width, curvature=curvature)
            for width, curvature in ((5, 0.5), (10, 2.0), (15, 3.0))
        },
    }
    curves = {
        name: (lambda error, loss=loss: loss.coordinate_losses(0.0, error))
        for name, loss in losses.items()
    }
    _plot_losses(path, curves, np.linspace(-20, 20, 801))


def _awing_loss(path: pathlib.Path) -> None:
    awing, wing = AdaptiveWingLoss(), WingLoss(width=1.0, curvature=0.1)
    curves: dict[str, _Loss] = {"MSE": tf.square, "L1": tf.abs}
    curves["Wing, w 1, epsilon .1"] = lambda error: wing.coordinate_losses(0.0, error)
    for y in (0.0, 1.0):
        curves[f"Adaptive Wing, y = {y:g}"] = _adaptive(awing, y)
    _plot_losses(path, curves, np.linspace(-1, 1, 801))


def _awing_shapes(path: pathlib.Path) -> None:
    loss = AdaptiveWingLoss(theta=1.0)  # the nonlinear part everywhere
    curves = {f"y = {y:g}": _adaptive(loss, y) for y in (0.0, 0.25, 0.5, 0.75, 1.0)}
    _plot_losses(path, curves, np.linspace(-1, 1, 801))


def _adaptive(loss: AdaptiveWingLoss, y: float) -> _Loss:
    return lambda error: loss.pixel_losses(tf.fill(tf.shape(error), y), y + error)


def _face() -> np.ndarray:
    """Returns the landmarks [1, 68, 2] of a frontal average face in a heatmap."""
    points = AVERAGE_HEAD_MM[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    return (0.15 + 0.7 * (points - low) / (high - low))[None] * (_SIDE - 1)


def _awing_loss_map(path: pathlib.Path) -> None:
    codec = HeatmapCodec(input_size=_SIDE, heatmap_size=_SIDE, sigma=1.0)
    true, _ = codec.encode(_face(), np.ones((1, 68)))
    weights = loss_weight_map(true, mask_type="dilated", weight=10.0, threshold=0.2)
    maps = {"heatmaps": true, "weights": weights}
    plot_maps(path, {name: np.asarray(m)[0].max(axis=-1) for name, m in maps.items()})


def _awing_coordinates(path: pathlib.Path) -> None:
    scheme = get_scheme("ibug_68")
    samples = sample_curves(_face()[0], np.ones(68), scheme.boundary_curves)
    boundary, _ = boundary_map(samples[None], heatmap_size=_SIDE)
    out = np.asarray(CoordinateChannels()(np.zeros((1, _SIDE, _SIDE, 1), np.float32), boundary))[0]
    names = ("x", "y", "radius", "x on the boundary", "y on the boundary")
    channels = {name: out[..., i] for i, name in enumerate(names, start=1)}
    plot_maps(path, {"boundary": np.asarray(boundary)[0, ..., 0], **channels})


def _smt_kernels(path: pathlib.Path) -> None:
    codec = HeatmapCodec(input_size=_SIDE, heatmap_size=_SIDE, sigma=4.0)
    points = {"inside": (32, 32), "on the border": (0, 32), "in the corner": (0, 0),
              "outside": (-9, 32)}  # fmt: skip
    maps, _ = codec.encode(np.array([list(points.values())], np.float32), np.ones((1, 4)))
    plot_maps(path, {name: np.asarray(maps)[0, ..., i] for i, name in enumerate(points)})


def _heatmap_errors(path: pathlib.Path) -> None:
    """Draws |prediction - ground truth| of each cell's heatmaps of one face."""
    errors: dict[str, np.ndarray] = {}
    true, scheme = np.zeros(0), None
    for cell in read_cells(path.parent)[1]:
        file = path.parent / "cells" / f"{file_name(cell['cell'], cell['seed'])}.npz"
        if file.is_file() and cell["cell"] not in errors:
            maps = read_heatmaps(file)
            errors[cell["cell"]] = np.abs(maps["predicted"] - maps["true"])
            true, scheme = maps["true"], get_scheme(cell["scheme"])
    if scheme is None:
        raise ValueError(f"{path.parent} has no cells with heatmaps.")
    save_image(path, draw_heatmaps_by_network(true, errors, scheme))


def _of_table(path: pathlib.Path) -> None:
    """Draws the figures of a table's sections."""
    name, cells = read_cells(path.parent)
    table, done = TABLES[name], {cell["cell"] for cell in cells}
    order = [cell for cell in table.cells if cell.name in done]
    score_sections(path.parent, table, order, cells)
    heatmap_sections(path.parent, table, order, cells)
    if not path.is_file():
        raise ValueError(f"The cells of {path.parent} have no values for {path.name}.")


FIGURES: dict[str, Callable[[pathlib.Path], None]] = {
    "wing_loss": _wing_loss,  # Wing Loss, first version, figures 1 and 3
    "awing_loss": _awing_loss,  # Adaptive Wing Loss, figure 4
    "awing_shapes": _awing_shapes,  # figure 5
    "awing_loss_map": _awing_loss_map,  # figure 6
    "awing_coordinates": _awing_coordinates,  # figure 8
    "smt_kernels": _smt_kernels,  # SMT-Net, figure 3
    "heatmap_errors": _heatmap_errors,  # Adaptive Wing Loss, figure 2
    "heatmaps": _of_table,
    "margins": _of_table,
    "nme_by_epoch": _of_table,
}
"""Functions that write a figure, by its name; the last four need the output folder of a table."""


def draw_figure(name: str, folder: pathlib.Path) -> pathlib.Path:
    """Writes a figure as NAME.png into a folder, and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    FIGURES[name](path)
    return path
