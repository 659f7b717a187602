"""Primitives of two-dimensional drawing with random colors and textures."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from tfrecords_tools.synthetic.texture_maps import crop_noise

BITS = 4


def fixed(points: npt.ArrayLike) -> np.ndarray:
    """Returns pixels as OpenCV's fixed-point numbers of `BITS` fractional bits."""
    return np.rint(np.asarray(points) * 2**BITS).astype(np.int32)


def line(
    canvas: np.ndarray, start: np.ndarray, end: np.ndarray, color: Sequence[float], width: int
) -> None:
    """Draws a line between two points (x, y)."""
    cv2.line(canvas, fixed(start).tolist(), fixed(end).tolist(), color, width, 16, BITS)


def random_color(rng: np.random.Generator) -> tuple[float, ...]:
    """Returns a color near gray, 0 to 255."""
    gray = rng.uniform(10, 245)
    return tuple(float(c) for c in np.clip(gray + rng.normal(0, 26, 3), 0, 255))


def random_texture(size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns a gradient, clouds, stripes or a checkerboard; uint8 `[size, size, 3]`."""
    first, second = np.array(random_color(rng)), np.array(random_color(rng))
    x = np.linspace(0, 1, size, dtype=np.float32)[None]
    y = x.T
    angle = rng.uniform(0, 6.3)
    across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kind = rng.random()
    if kind < 0.35:
        mix = 0.5 + 0.7 * across
    elif kind < 0.7:
        small = crop_noise("cloud" if rng.random() < 0.6 else "skin", rng, 128, 128)
        mix = 0.5 + 0.4 * cv2.resize(small, (size, size))
    elif kind < 0.85:
        mix = 0.5 + 0.5 * np.sin(across * rng.uniform(10, 90) + 2 * np.sin(along * 8))
    else:
        mix = (np.sin(across * rng.uniform(10, 60)) * np.sin(along * rng.uniform(10, 60)) > 0) * 1.0
    mix = np.clip(mix, 0, 1).astype(np.float32)
    return cv2.transform(mix, np.c_[second - first, first]).astype(np.uint8)


def random_polygon(center: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Returns a polygon `[N, 2]` of 3 to 9 points around a center."""
    count = rng.integers(3, 10)
    angle = np.sort(rng.uniform(0, 2 * np.pi, count))
    reach = radius * rng.uniform(0.4, 1.3, count)
    return center + np.stack([np.cos(angle) * reach, np.sin(angle) * reach], -1)
