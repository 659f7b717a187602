"""Square windows of an image at several resolutions, for detectors of fixed input size."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from wing_tf.geometry.resample import crop_and_resize

_BORDER = 0.1  # around the image, as a fraction of its longer side, for faces that fill it
_MAX_ASPECT = 2.0  # of the part of an image that one window shows at the first level
_MAX_PARTS = 16  # of an even longer image
_MAX_ENLARGEMENT = 1.5  # of an image at a level beyond the first
_MIN_OVERLAP = 0.2  # of neighboring windows, in sides


@dataclasses.dataclass(frozen=True)
class Window:
    """One square window.

    Attributes:
        pixels: float32 [side, side, 3], 0 to 255; black outside of the image.
        corner_xy: Its upper left corner in continuous coordinates of the image.
        scale: Side of a pixel of the window, in pixels of the image.
        is_inner: Whether its left, upper, right and lower edge are seams to other windows [4].
    """

    pixels: np.ndarray
    corner_xy: np.ndarray
    scale: float
    is_inner: np.ndarray


def search_windows(image: np.ndarray, *, side: int, levels: int) -> Iterator[Window]:
    """Yields windows that cover an image, from the coarsest to the finest level.

    At the first level a window shows the whole image with a border, or the image is covered by
    several windows if it is more than twice as long as wide. At each further level the windows
    cover the image at twice the resolution, with overlap. A level at which the image would have to
    be enlarged by more than half is left out. All levels are reduced from one resized image.

    Args:
        image: uint8 RGB [H, W, 3].
        side: Side of the windows in pixels.
        levels: Number of levels.
    """
    size_xy = np.array(image.shape[1::-1], np.float64)
    shorter, longer = size_xy.min(), size_xy.max()
    part = min(longer, max(_MAX_ASPECT * shorter, longer / _MAX_PARTS))
    border = _BORDER * part
    shown = part + 2 * border
    levels = max(1, min(levels, 1 + int(math.log2(_MAX_ENLARGEMENT * shown / side))))
    unit = 2 ** (levels - 1)  # pixels of the finest level per pixel of the first one
    scale = shown / (side * unit)
    # The finest level, whose size is a multiple of the unit; rounding errors must not add to it.
    counts = np.ceil((size_xy + 2 * border) / (scale * unit) - 1e-6).astype(int)
    counts_xy = np.maximum(counts, side) * unit
    corner = size_xy / 2 - 0.5 - counts_xy * scale / 2
    # 2 x 2 samples per pixel of the window. With one, noise and grain hide most faces.
    step = max(1, int(scale / 2))
    sampled, first_xy = _every(image, step)
    region = np.concatenate([corner, corner + counts_xy * scale])
    pixels, _ = crop_and_resize(
        sampled, (region - np.tile(first_xy, 2)) / step, tuple(counts_xy[::-1])
    )
    pyramid = [pixels.astype(np.float32)]
    for _ in range(levels - 1):
        pyramid.append(_halved(pyramid[-1]))
    for level, pixels in enumerate(reversed(pyramid)):
        own_scale = scale * unit / 2**level
        if level:
            low = (-0.5 - corner) / own_scale
            high = low + size_xy / own_scale
        else:
            low, high = np.zeros(2), np.array(pixels.shape[1::-1])
        xs, ys = (_starts(*ends, side) for ends in zip(low, high, strict=True))
        for y in ys:
            for x in xs:
                is_inner = np.array([x > xs[0], y > ys[0], x < xs[-1], y < ys[-1]])
                own_corner = corner + np.array([x, y]) * own_scale
                yield Window(pixels[y : y + side, x : x + side], own_corner, own_scale, is_inner)


def _every(image: np.ndarray, step: int) -> tuple[np.ndarray, list[int]]:
    """Returns every `step`-th pixel of both axes, and x and y of the first one.

    The pixels that are left out at opposite edges differ by one at most.
    """
    if step == 1:
        return image, [0, 0]
    y, x = ((length - 1) % step // 2 for length in image.shape[:2])
    chosen = image[y::step, x::step]
    sampled = np.empty(chosen.shape, image.dtype)
    for channel in range(image.shape[2]):  # four times as fast as one copy of groups of three
        sampled[..., channel] = chosen[..., channel]
    return sampled, [x, y]


def _halved(pixels: np.ndarray) -> np.ndarray:
    """Returns the means of blocks of 2 x 2 pixels."""
    rows = pixels[::2] + pixels[1::2]
    return (rows[:, ::2] + rows[:, 1::2]) / 4


def _starts(low: float, high: float, side: int) -> list[int]:
    """Returns the first pixels of the windows that cover an axis from `low` to `high`."""
    length = high - low
    if length <= side:
        return [round((low + high - side) / 2)]
    overlap = _MIN_OVERLAP * side
    count = math.ceil((length - overlap) / (side - overlap))
    return np.linspace(low, high - side, count).round().astype(int).tolist()
