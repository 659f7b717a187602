"""Rendered faces and panels that the figures of the documentation share."""

import functools
import pathlib
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from tfrecords_tools.synthetic import SyntheticFace, render_face
from wing_tf.geometry import apply_affine, crop_square, landmark_box
from wing_tf.geometry.resample import crop_and_resize
from wing_tf.landmarks import get_scheme

SCHEME = get_scheme("ibug_68")
FRONTAL, ROTATED, TILTED = 61, 36, 57  # Indices of faces that are hardly occluded.
_SEED = 27


@functools.cache
def rendered(index: int, size: int = 320) -> SyntheticFace:
    """Returns a face of the figures."""
    return render_face(_SEED, index, size=size)


@functools.cache
def rendered_set(count: int = 120) -> tuple[SyntheticFace, ...]:
    """Returns faces whose yaw is distributed as in most data sets: few are seen from the side."""
    return tuple(
        render_face(_SEED + 1, index, size=192, wide_yaw_fraction=0.12, yaw_std_deg=15.0)
        for index in range(count)
    )


def crop_face(
    face: SyntheticFace, *, margin: float, side: int, square: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a crop around the landmark box, and the landmarks [K, 2] in its pixels."""
    box = landmark_box(face.landmarks_px)
    if square:
        box = crop_square(box, margin)
    else:
        center, half = (box[:2] + box[2:]) / 2, margin * (box[2:] - box[:2]) / 2
        box = np.concatenate([center - half, center + half])
    image, matrix = crop_and_resize(face.image, box, (side, side))
    return image, apply_affine(matrix, face.landmarks_px)


def save_figure(figure: Figure, path: pathlib.Path) -> None:
    """Writes a figure; a JPEG with moderate quality."""
    options = {"quality": 76, "optimize": True} if path.suffix == ".jpg" else {}
    figure.savefig(path, dpi=100, pil_kwargs=options)


def reduce_colors(path: pathlib.Path) -> None:
    """Makes the PNG file of a plot a third as large."""
    image = Image.open(path).convert("RGB")
    image.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)


def image_grid(
    panels: Mapping[str, np.ndarray], *, columns: int, panel_inches: float = 2.2
) -> Figure:
    """Returns a figure of images under their titles."""
    rows = -(-len(panels) // columns)
    size = (panel_inches * columns, (panel_inches + 0.3) * rows)
    figure = Figure(figsize=size, layout="constrained")
    all_axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in all_axes:
        axes.set_axis_off()
    for axes, (title, image) in zip(all_axes, panels.items(), strict=False):
        axes.imshow(image, interpolation="nearest")
        axes.set_title(title, fontsize=9)
    return figure
