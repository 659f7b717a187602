"""Antialiased crops of images on the host, with NumPy alone."""

import math

import numpy as np

from wing_tf.geometry.affine import crop_matrix

MAX_SAMPLED_SIDE = 8192

# Products of more multiplications are cut up. NumPy's usual BLAS spreads larger ones over all
# cores, which gains nothing here and waits for cores that others use, such as a network's threads.
_LARGEST_PRODUCT = 2**18


def crop_and_resize(
    image: np.ndarray, box_xyxy_px: np.ndarray, size_hw: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts a box out of an image and scales it, exactly placed and antialiased.

    The box need not lie on whole pixels or inside the image: what lies outside is black. To scale
    down by s, the image is sampled bilinearly on a grid ceil(s) times as fine as the result and
    whole blocks are averaged, so that every source pixel counts and nothing shifts. All this is
    linear and separable: one banded matrix for the rows, one for the columns, one rounding.

    Args:
        image: uint8 [H, W, C] or [H, W].
        box_xyxy_px: [4], continuous coordinates (see `wing_tf.geometry`).
        size_hw: the result's height and width.

    Returns:
        The crop, uint8 [h, w, C] or [h, w], and the map [2, 3] of source pixels to crop pixels.

    Raises:
        ValueError: if the box is empty or not finite.
    """
    box = np.asarray(box_xyxy_px, np.float64)
    if not np.all(np.isfinite(box)) or np.any(box[2:] - box[:2] <= 0):
        raise ValueError(
            f"`box_xyxy_px` must be finite, with x0 < x1 and y0 < y1. Received: {box.tolist()}."
        )
    height, width = size_hw
    channels = image.shape[2:]
    shrink = max((box[2] - box[0]) / width, (box[3] - box[1]) / height)
    factor = min(max(1, int(np.ceil(shrink - 1e-6))), MAX_SAMPLED_SIDE // max(size_hw))
    rows = _Band(box[1], box[3], height, factor, image.shape[0])
    columns = _Band(box[0], box[2], width, factor, image.shape[1])
    covered = image[rows.start : rows.stop, columns.start : columns.stop]
    span = columns.stop - columns.start
    count = math.prod(channels)
    # Each pass puts its axis last: (columns, channels, rows), then (channels, rows, columns).
    down = rows.apply(covered.reshape(rows.stop - rows.start, span * count))
    both = columns.apply(down.reshape(span, count * height))
    both += 0.5  # nothing is negative: the cast below rounds
    planes = both.astype(np.uint8).reshape(count, height, width)
    crop = np.empty((height, width, count), np.uint8)
    for channel, plane in enumerate(planes):  # several times faster than one transposed copy
        crop[..., channel] = plane
    return crop.reshape(height, width, *channels), crop_matrix(box, size_hw)


class _Band:
    """The matrix that resamples one axis, as blocks of neighboring results.

    Args:
        low: where the box begins on this axis, continuous coordinates.
        high: where it ends.
        size: how many results.
        factor: how many samples each is the mean of.
        length: the axis' length in the image.

    Attributes:
        start: the first source pixel that counts.
        stop: the last one, plus one.
    """

    def __init__(self, low: float, high: float, size: int, factor: int, length: int):
        step = (high - low) / (size * factor)
        self.size = size
        # Results of one block. Measured: longer ones waste work on the zeros beside the band.
        self.group = 16 if step * factor < 1.5 else 8
        places = low + step * (np.arange(size * factor).reshape(size, factor) + 0.5)
        first = np.floor(places[:: self.group, 0])
        last = np.floor(places[np.append(np.arange(self.group, size, self.group), size) - 1, -1])
        # Pixels outside of the image are black: they have no columns in the matrix.
        self._first = np.clip(first, 0, length).astype(np.intp)
        self._stop = np.clip(last + 2, 0, length).astype(np.intp)
        self.start, self.stop = int(self._first[0]), int(self._stop[-1])
        # A linear sample at p takes 1 - |p - x| of the pixel at x, where that is positive.
        band = np.arange(max(int(np.max(self._stop - self._first)), 0), dtype=np.float32)
        places -= np.repeat(self._first, self.group)[:size, None]
        shares = np.abs(places.astype(np.float32)[:, :, None] - band)
        np.subtract(1, shares, out=shares)
        np.maximum(shares, 0, out=shares)
        self._weights = np.sum(shares, axis=1) / np.float32(factor)

    def apply(self, source: np.ndarray) -> np.ndarray:
        """Maps [stop - start, N], from `start` on, to float32 [N, size]."""
        count = source.shape[1]
        result = np.empty((count, self.size), np.float32)
        width = max(1, _LARGEST_PRODUCT // (self.group * max(1, self._weights.shape[1])))
        ranges = zip((self._first - self.start).tolist(), (self._stop - self.start).tolist(),
                     strict=True)  # fmt: skip
        for block, (first, stop) in enumerate(ranges):
            results = slice(block * self.group, (block + 1) * self.group)
            weights = self._weights[results, : stop - first].T
            for begin in range(0, count, width):
                part = source[first:stop, begin : begin + width].astype(np.float32, copy=False)
                np.matmul(part.T, weights, out=result[begin : begin + width, results])
        return result
