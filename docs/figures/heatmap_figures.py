"""Figures of heatmaps, their decoders, boundary maps and weighted loss maps."""

import pathlib

import cv2
import numpy as np
from figure_faces import FRONTAL, SCHEME, crop_face, image_grid, rendered, save_figure
from matplotlib import colormaps
from matplotlib.figure import Figure

from wing_tf.codecs import DECODERS, HeatmapCodec, boundary_map, sample_curves
from wing_tf.layers import CoordinateChannels
from wing_tf.losses.weighted_map import MASK_TYPES, loss_weight_map
from wing_tf.visualization import draw_landmarks

_INPUT, _SIDE = 256, 64
_POINT = 36  # The outer corner of the eye on the left side of the image.
_ZOOM = 8  # Pixels around a landmark.


def _face() -> tuple[np.ndarray, np.ndarray]:
    """Returns a crop [256, 256, 3] and its landmarks [68, 2]."""
    return crop_face(rendered(FRONTAL), margin=1.15, side=_INPUT)


def _maps(landmarks_px: np.ndarray, sigma: float) -> np.ndarray:
    """Returns the heatmaps [64, 64, K]."""
    codec = HeatmapCodec(input_size=_INPUT, heatmap_size=_SIDE, sigma=sigma)
    maps, _ = codec.encode(landmarks_px[None].astype(np.float32), np.ones((1, len(landmarks_px))))
    return np.asarray(maps)[0]


def _overlay(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns a map [h, w] from 0 to 1 in colors over a darkened image."""
    side = image.shape[0]
    large = cv2.resize(values.astype(np.float32), (side, side), interpolation=cv2.INTER_NEAREST)
    colors = colormaps["inferno"](large)[..., :3] * 255
    weight = np.clip(1.5 * large, 0, 1)[..., None]
    return ((1 - weight) * 0.45 * image + weight * colors).astype(np.uint8)


def _around(values: np.ndarray, center_px: np.ndarray) -> np.ndarray:
    """Returns the pixels around a point of a map [h, w]."""
    x, y = np.round(center_px).astype(int)
    return values[y - _ZOOM : y + _ZOOM + 1, x - _ZOOM : x + _ZOOM + 1]


def heatmap_sigma(path: pathlib.Path) -> None:
    """Draws the heatmaps of a face and one of them, by sigma."""
    image, landmarks = _face()
    sigmas = (0.5, 1.0, 2.0, 4.0)
    center = (landmarks[_POINT] + 0.5) * _SIDE / _INPUT - 0.5
    panels = {}
    for sigma in sigmas:
        panels[f"sigma {sigma:g}"] = _overlay(image, _maps(landmarks, sigma).max(axis=-1))
    for sigma in sigmas:
        values = _around(_maps(landmarks, sigma)[..., _POINT], center)
        panels[f"highest pixel {values.max():.2f}"] = colormaps["inferno"](values)
    save_figure(image_grid(panels, columns=len(sigmas)), path)


def decoders(path: pathlib.Path) -> None:
    """Plots the error of each decoder over the subpixel position, and over sigma with noise."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    ideal, noisy = figure.subplots(1, 2)
    offsets = np.linspace(-0.49, 0.49, 98)
    points = np.stack([32 + offsets, np.full_like(offsets, 32.2)], axis=-1)
    rng = np.random.default_rng(0)
    anywhere = rng.uniform(24, 40, (400, 2))
    noise = rng.normal(0, 0.02, (_SIDE, _SIDE, len(anywhere)))
    sigmas = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
    for decoder in DECODERS:

        def decode(true: np.ndarray, sigma: float, added, decoder=decoder) -> np.ndarray:
            codec = HeatmapCodec(input_size=_SIDE, heatmap_size=_SIDE, sigma=sigma, decoder=decoder)
            maps, _ = codec.encode(true[None].astype(np.float32), np.ones((1, len(true))))
            return np.asarray(codec.decode(np.asarray(maps) + added)[0])[0]

        ideal.plot(offsets, decode(points, 1.0, 0.0)[:, 0] - points[:, 0], label=decoder)
        distances = [
            np.linalg.norm(decode(anywhere, sigma, noise[None]) - anywhere, axis=-1).mean()
            for sigma in sigmas
        ]
        noisy.plot(sigmas, distances, marker=".", label=decoder)
    ideal.set(xlabel="position between pixel centers", ylabel="error in x, heatmap pixels")
    ideal.set_title("encoded landmarks, sigma 1", fontsize=9)
    noisy.set(xlabel="sigma, heatmap pixels", ylabel="mean distance, heatmap pixels", ylim=0)
    noisy.set_title("with noise of 2 % of the peak", fontsize=9)
    for axes in (ideal, noisy):
        axes.grid(alpha=0.3)
    ideal.legend(fontsize=8)
    save_figure(figure, path)


def boundary_maps(path: pathlib.Path) -> None:
    """Draws the boundary curves, their maps, and the coordinates on them."""
    image, landmarks = _face()
    samples = sample_curves(landmarks, np.ones(len(landmarks)), SCHEME.boundary_curves)
    samples = (samples[None] + 0.5) * _SIDE / _INPUT - 0.5
    panels = {"landmarks and curves": draw_landmarks(image, landmarks, SCHEME)}
    for sigma in (0.5, 1.0):
        boundary, _ = boundary_map(samples, heatmap_size=_SIDE, sigma=sigma)
        panels[f"boundary map, sigma {sigma:g}"] = _overlay(image, np.asarray(boundary)[0, ..., 0])
    empty = np.zeros((1, _SIDE, _SIDE, 1), np.float32)
    channels = np.asarray(CoordinateChannels()(empty, boundary))[0]
    panels["x on the boundary"] = colormaps["coolwarm"]((channels[..., 4] + 1) / 2)
    save_figure(image_grid(panels, columns=4), path)


def loss_weight_maps(path: pathlib.Path) -> None:
    """Draws a heatmap and the weights of its pixels by each kind of mask."""
    image, landmarks = _face()
    maps = _maps(landmarks, 1.0)
    center = (landmarks[_POINT] + 0.5) * _SIDE / _INPUT - 0.5
    shown = {"heatmaps": maps}
    for kind in MASK_TYPES:
        weights = np.asarray(loss_weight_map(maps[None].astype(np.float32), mask_type=kind))[0]
        shown[f"weights 1 to {weights.max():.3g}, {kind}"] = (weights - 1) / 10
    panels = {name: _overlay(image, values.max(axis=-1)) for name, values in shown.items()}
    for name, values in shown.items():
        close = _around(values[..., _POINT], center)
        panels[f"one of them: {name.rpartition(' ')[2]}"] = colormaps["inferno"](close)
    save_figure(image_grid(panels, columns=3), path)
