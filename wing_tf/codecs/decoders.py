"""Decoders of heatmaps: from the highest pixel of each map to a position."""

import math

import numpy as np
from keras import ops

# Values below this fraction of the peak are noise to the logarithm of DARK.
_FLOOR = 1e-5
_TINY = 1e-7  # Not 0 in half precision, which constants of float16 exports have.


def _patches(flat, column, row, side, radius):
    """Returns the pixels [N, 2 r + 1, 2 r + 1] around (column, row) [N] of maps [N, side^2].

    Border pixels are repeated beyond the border.
    """
    offsets = ops.arange(-radius, radius + 1, dtype="int32")
    columns = ops.clip(column[:, None] + offsets, 0, side - 1)
    rows = ops.clip(row[:, None] + offsets, 0, side - 1)
    first = ops.arange(ops.shape(flat)[0], dtype="int32") * side**2
    index = first[:, None, None] + rows[:, :, None] * side + columns[:, None, :]
    return ops.take(ops.reshape(flat, (-1,)), index, axis=0)


def _quarter(flat, column, row, side, sigma):
    """Shifts the highest pixel by a quarter towards the higher neighbor."""
    del sigma
    patch = _patches(flat, column, row, side, 1)
    slope = ops.stack([patch[:, 1, 2] - patch[:, 1, 0], patch[:, 2, 1] - patch[:, 0, 1]], axis=-1)
    position = ops.stack([column, row], axis=-1)
    has_two = ops.cast((position > 0) & (position < side - 1), "float32")
    return ops.cast(position, "float32") + 0.25 * ops.sign(slope) * has_two


def _dark(flat, column, row, side, sigma):
    """Takes a Newton step on the logarithm from the highest pixel."""
    patch = _patches(flat, column, row, side, 1)
    highest = ops.max(flat, axis=-1)[:, None, None]
    log = ops.log(ops.maximum(patch, ops.maximum(_FLOOR * highest, _TINY)))
    d_x, d_xx, inner_x = _derivatives(log[:, 1, 0], log[:, 1, 1], log[:, 1, 2], column, side, sigma)
    d_y, d_yy, inner_y = _derivatives(log[:, 0, 1], log[:, 1, 1], log[:, 2, 1], row, side, sigma)
    d_xy = 0.25 * (log[:, 2, 2] - log[:, 2, 0] - log[:, 0, 2] + log[:, 0, 0])
    d_xy = ops.where(inner_x & inner_y, d_xy, 0.0)
    # No step from a saddle point.
    determinant = d_xx * d_yy - d_xy * d_xy
    maximum = (determinant > 1e-6) & (d_xx + d_yy < 0)
    scale = ops.cast(maximum, "float32") / ops.where(maximum, determinant, 1.0)
    step_x = (d_xy * d_y - d_yy * d_x) * scale
    step_y = (d_xy * d_x - d_xx * d_y) * scale
    # The maximum of a round peak is within half a pixel, of an elongated one slightly further.
    step = ops.clip(ops.stack([step_x, step_y], axis=-1), -0.75, 0.75)
    return ops.cast(ops.stack([column, row], axis=-1), "float32") + step


def _derivatives(before, here, after, position, side, sigma):
    """Returns both derivatives along an axis [N], and whether there are two neighbors.

    With one neighbor, on the border, the second derivative is that of the encoded Gaussian.
    """
    first, last = position == 0, position == side - 1
    gaussian = 1.0 / sigma**2
    slope = ops.where(first, after - here + gaussian / 2, 0.5 * (after - before))
    slope = ops.where(last, here - before - gaussian / 2, slope)
    inner = ops.logical_not(first | last)
    return slope, ops.where(inner, after - 2.0 * here + before, -gaussian), inner


def _soft_argmax(flat, column, row, side, sigma):
    """Returns the center of mass of the positive values within 2 sigma of the highest pixel.

    Near the border the window is smaller but still symmetric about the peak, so that the border
    does not shift the center inwards.
    """
    radius = max(1, math.ceil(2 * sigma))
    patch = ops.maximum(_patches(flat, column, row, side, radius), 0.0)
    offsets = np.arange(-radius, radius + 1, dtype=np.int32)
    distance = ops.convert_to_tensor(np.abs(offsets))
    inside = [
        ops.cast(ops.minimum(peak, side - 1 - peak)[:, None] >= distance, "float32")
        for peak in (column, row)
    ]
    patch = patch * inside[1][:, :, None] * inside[0][:, None, :]
    total = ops.maximum(ops.sum(patch, axis=(1, 2)), _TINY)
    weights = ops.convert_to_tensor(offsets.astype(np.float32))
    shift_x = ops.sum(patch * weights[None, None, :], axis=(1, 2)) / total
    shift_y = ops.sum(patch * weights[None, :, None], axis=(1, 2)) / total
    position = ops.cast(ops.stack([column, row], axis=-1), "float32")
    return position + ops.stack([shift_x, shift_y], axis=-1)


def _argmax(flat, column, row, side, sigma):
    """Returns the highest pixel."""
    del flat, side, sigma
    return ops.cast(ops.stack([column, row], axis=-1), "float32")


# Functions of maps [N, side^2], columns and rows of their highest pixels [N], side and sigma, to
# positions [N, 2] in heatmap pixels.
DECODE = {"dark": _dark, "quarter": _quarter, "soft_argmax": _soft_argmax, "argmax": _argmax}
