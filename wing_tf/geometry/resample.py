"""Antialiased cropping and resizing of images with NumPy."""

import math

import numpy as np

from wing_tf.geometry.affine import crop_matrix

MAX_SAMPLED_SIDE = 8192

# Larger matrix products are split. NumPy's usual BLAS spreads them over all cores, which is no
# faster here and waits for cores that are in use, for example by a network.
_MAX_MULTIPLICATIONS = 2**18


def crop_and_resize(
    image: np.ndarray, box_xyxy_px: np.ndarray, size_hw: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Crops a box from an image and resizes it with subpixel accuracy and antialiasing.

    The box may have fractional coordinates and reach beyond the image, where the crop is black. To
    shrink by a factor s, the image is sampled bilinearly on a grid that is ceil(s) times as fine as
    the output, and blocks of samples are averaged: every input pixel contributes and nothing is
    shifted. The operation is linear and separable, so it is computed as the product with a banded
    matrix for the rows and one for the columns, and rounded once.

    Args:
        image: Image, uint8 [H, W, C] or [H, W].
        box_xyxy_px: Box [4] in continuous coordinates (see `wing_tf.geometry`).
        size_hw: Height and width of the output in pixels.

    Returns:
        The crop, uint8 [h, w, C] or [h, w], and the map [2, 3] of image pixels to crop pixels.

    Raises:
        ValueError: If the box is empty or not finite.
    """
    box = np.asarray(box_xyxy_px, np.float64)
    x0, y0, x1, y1 = box.tolist()
    if not (math.isfinite(x0 + y0 + x1 + y1) and x1 > x0 and y1 > y0):
        raise ValueError(
            f"`box_xyxy_px` must be finite, with x0 < x1 and y0 < y1. Received: {box.tolist()}."
        )
    height, width = size_hw
    channels = image.shape[2:]
    shrink = max((x1 - x0) / width, (y1 - y0) / height)
    factor = max(1, min(math.ceil(shrink - 1e-6), MAX_SAMPLED_SIDE // max(size_hw)))
    rows = _Band(y0, y1, height, factor, image.shape[0])
    columns = _Band(x0, x1, width, factor, image.shape[1])
    covered = image[rows.start : rows.stop, columns.start : columns.stop]
    span = columns.stop - columns.start
    count = math.prod(channels)
    # Each product moves its axis to the end: (columns, channels, rows), (channels, rows, columns).
    down = rows.apply(covered.reshape(rows.stop - rows.start, span * count))
    both = columns.apply(down.reshape(span, count * height))
    both += 0.5  # No value is negative, so the cast below rounds.
    planes = both.astype(np.uint8).reshape(count, height, width)
    crop = np.empty((height, width, count), np.uint8)
    for channel, plane in enumerate(planes):  # Several times faster than one transposed copy.
        crop[..., channel] = plane
    return crop.reshape(height, width, *channels), crop_matrix(box, size_hw)


class _Band:
    """Banded matrix that resamples one axis, stored as blocks of neighboring output pixels.

    Args:
        low: Lower edge of the box on this axis in continuous coordinates.
        high: Upper edge of the box on this axis.
        size: Number of output pixels.
        factor: Number of samples that are averaged for each output pixel.
        length: Length of the axis in the image.

    Attributes:
        start: First input pixel that contributes.
        stop: Last input pixel that contributes, plus one.
    """

    def __init__(self, low: float, high: float, size: int, factor: int, length: int):
        step = (high - low) / (size * factor)
        self.size = size
        # Output pixels per block: measured. Longer blocks multiply more zeros beside the band.
        self.group = 16 if step * factor < 1.5 else 8
        num_blocks = -(-size // self.group)
        places = low + step * (np.arange(num_blocks * self.group * factor) + 0.5)
        places = places.reshape(num_blocks, -1)
        # Pixels outside of the image are black, so the matrix has no columns for them.
        ends = np.floor(places[:, [0, -1]]) + (0, 2)
        self._ranges = np.minimum(np.maximum(ends, 0), length).astype(int).tolist()
        self.start, self.stop = self._ranges[0][0], self._ranges[-1][1]
        # The weight of the pixel at x in a linear sample at p is max(0, 1 - |p - x|).
        band = np.arange(max(stop - first for first, stop in self._ranges), dtype=np.float32)
        places -= np.array(self._ranges)[:, :1]
        weights = places.astype(np.float32)[:, :, None] - band
        np.abs(weights, out=weights)
        np.subtract(1, weights, out=weights)
        np.maximum(weights, 0, out=weights)
        samples = weights.reshape(num_blocks, self.group, factor, -1)
        self._weights = samples[:, :, 0]
        for number in range(1, factor):  # twice as fast as a sum along the axis
            self._weights = self._weights + samples[:, :, number]
        self._weights /= np.float32(factor)

    def apply(self, source: np.ndarray) -> np.ndarray:
        """Resamples pixels [stop - start, N] to float32 [N, size]."""
        count = source.shape[1]
        result = np.empty((count, self.size), np.float32)
        width = max(1, _MAX_MULTIPLICATIONS // (self.group * max(1, self._weights.shape[2])))
        for block, (first, stop) in enumerate(self._ranges):
            results = result[:, block * self.group : (block + 1) * self.group]
            weights = self._weights[block, : results.shape[1], : stop - first].T
            pixels = source[first - self.start : stop - self.start]
            for begin in range(0, count, width):
                part = pixels[:, begin : begin + width].astype(np.float32, copy=False)
                np.matmul(part.T, weights, out=results[begin : begin + width])
        return result
