"""Figures of the pixel grid, and of the frames that a landmark passes through."""

import pathlib
from typing import Any

import numpy as np
from figure_faces import FRONTAL, crop_face, rendered, save_figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wing_tf.codecs import HeatmapCodec
from wing_tf.geometry import apply_affine, crop_square, flip_matrix, landmark_box
from wing_tf.geometry.resample import crop_and_resize

_POINT = 45  # The outer corner of the eye on the right side of the image.
_DOT: dict[str, Any] = {"marker": "o", "color": "red", "markeredgecolor": "white", "markersize": 7}


def _show_grid(axes: Axes, image: np.ndarray, point: np.ndarray, title: str) -> None:
    """Shows an image of a few pixels with its pixel centers and edges, and a point."""
    height, width = image.shape[:2]
    axes.imshow(image, interpolation="nearest")
    axes.set_xticks(range(width))
    axes.set_yticks(range(height))
    axes.set_xticks(np.arange(width + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(height + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.5, alpha=0.6)
    axes.tick_params(which="minor", length=0)
    axes.plot(*np.meshgrid(range(width), range(height)), ".", color="white", markersize=2)
    axes.plot(*point, **_DOT)
    axes.set_title(f"{title}\nlandmark ({point[0]:.2f}, {point[1]:.2f})", fontsize=9)


def pixel_grid(path: pathlib.Path) -> None:
    """Draws an image of 12 x 12 pixels, resized by 1/2 and mirrored."""
    face = rendered(FRONTAL)
    box = crop_square(landmark_box(face.landmarks_px), 1.2)
    image, matrix = crop_and_resize(face.image, box, (12, 12))
    half, half_matrix = crop_and_resize(face.image, box, (6, 6))
    point = apply_affine(matrix, face.landmarks_px)[_POINT]
    in_half = apply_affine(half_matrix, face.landmarks_px)[_POINT]
    np.testing.assert_allclose(in_half, (point + 0.5) / 2 - 0.5)  # As the page says.
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    panels = (
        (image, point, "12 pixels: x spans -0.5 to 11.5"),
        (half, in_half, "resized by 1/2: (x + 0.5) / 2 - 0.5"),
        (image[:, ::-1], apply_affine(flip_matrix(12), point[None])[0], "mirrored: 12 - 1 - x"),
    )
    for axes, panel in zip(figure.subplots(1, 3), panels, strict=True):
        _show_grid(axes, *panel)
    save_figure(figure, path)


def frames(path: pathlib.Path) -> None:
    """Draws one landmark in the image, in the network's input and in its heatmap."""
    face = rendered(FRONTAL)
    crop, landmarks = crop_face(face, margin=1.15, side=64)
    codec = HeatmapCodec(input_size=64, heatmap_size=16, sigma=1.0)
    point = landmarks[[_POINT]]
    maps, _ = codec.encode(point[None].astype(np.float32), np.ones((1, 1)))
    figure = Figure(figsize=(9.6, 3.6), layout="constrained")
    image_axes, crop_axes, map_axes = figure.subplots(1, 3)
    image_axes.imshow(face.image)
    box = landmark_box(face.landmarks_px)
    for rectangle, color, label in (
        (box, "white", "face box"),
        (crop_square(box, 1.15), "yellow", "crop"),
    ):
        x0, y0, x1, y1 = rectangle
        image_axes.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color=color, label=label)
    image_axes.legend(fontsize=8, loc="lower left")
    crop_axes.imshow(crop, interpolation="nearest")
    map_axes.imshow(np.asarray(maps)[0, ..., 0], interpolation="nearest")
    places = (
        (image_axes, face.landmarks_px[_POINT], "image", "landmarks_px"),
        (crop_axes, point[0], "network input", "landmarks_crop_px"),
        (map_axes, codec.to_heatmap(point)[0], "heatmap, stride 4", "heatmap pixels"),
    )
    for axes, (x, y), title, name in places:
        axes.plot(x, y, **_DOT)
        axes.set_title(f"{title}\n{name} ({x:.2f}, {y:.2f})", fontsize=9)
    save_figure(figure, path)
