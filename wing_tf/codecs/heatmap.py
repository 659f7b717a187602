"""Gaussian heatmaps with subpixel centers, and four decoders."""

import math

import numpy as np
from keras import ops

DECODERS = ("dark", "quarter", "soft_argmax", "argmax")
ACTIVATIONS = ("linear", "softmax", "sigmoid")

_LEGACY_SIGMA_PX, _LEGACY_RADIUS_PX = 1.75, 3
# Values below this fraction of the peak are noise to the logarithm of DARK.
_FLOOR = 1e-5
_TINY = 1e-7  # Not 0 in half precision, which constants of float16 exports have.


class HeatmapCodec:
    """Encodes landmarks as heatmaps and decodes heatmaps to landmarks.

    A heatmap pixel covers ``input_size / heatmap_size`` input pixels. Both frames have integer
    pixel centers, so an input coordinate x is (x + .5) / stride - .5 in the heatmap.

    A landmark inside the image has a heatmap even if its Gaussian is truncated by the border. A
    landmark outside of the image has none, and its weight is 0: a map of zeros would teach the
    network that the landmark is nowhere.

    Decoders start from the highest pixel:

    * `"quarter"` (used in the papers): shift by a quarter of a pixel towards the higher neighbor,
      in x and in y. No shift on border pixels, which have one neighbor.
    * `"dark"`: one Newton step on the logarithm, which is a parabola for a Gaussian, so the
      decoder is exact for encoded landmarks. On border pixels the curvature is that of the encoded
      Gaussian.
    * `"soft_argmax"`: center of mass of the positive values within 2 sigma, for noisy maps. Near
      the border the window is smaller, and so is the largest shift.
    * `"argmax"`: the highest pixel, for networks that also emit subpixel residuals.

    For encoded landmarks and sigmas from .8 to 3, the errors are at most .25, .002, .25 and .5
    heatmap pixels per coordinate, and near the border at most .5, .002, .5 and .5.

    Args:
        input_size: Side of the network's input in pixels.
        heatmap_size: Side of the heatmaps in pixels.
        sigma: Standard deviation of the Gaussian in heatmap pixels. Defaults to 1.5.
        decoder: `"dark"`, `"quarter"`, `"soft_argmax"` or `"argmax"`. Defaults to `"dark"`.
        activation: Activation of the network's maps before decoding: `"linear"`, `"softmax"` over
            the pixels of each map, or `"sigmoid"`. Defaults to `"linear"`.
        legacy: Whether to encode like the code of the Adaptive Wing authors: a patch of 7 x 7
            pixels with sigma 1.75 around the whole pixel floor((x + .5) / stride) that contains the
            landmark, whatever ``sigma``. The rounding costs 1.5 px of 256. Defaults to False.

    Raises:
        ValueError: If a size or sigma is not positive, or the decoder or activation is unknown.

    Reference:
        Newell et al., Stacked Hourglass Networks, ECCV 2016 (quarter); Zhang et al.,
        Distribution-Aware Coordinate Representation for Human Pose Estimation, CVPR 2020 (dark).
    """

    def __init__(
        self,
        *,
        input_size: int,
        heatmap_size: int,
        sigma: float = 1.5,
        decoder: str = "dark",
        activation: str = "linear",
        legacy: bool = False,
    ):
        numbers = {"input_size": input_size, "heatmap_size": heatmap_size, "sigma": sigma}
        for key, value in numbers.items():
            if not 0 < value < math.inf:
                raise ValueError(f"`{key}` must be positive. Received: {key}={value}.")
        if heatmap_size < 3:
            raise ValueError(f"`heatmap_size` must be at least 3. Received: {heatmap_size}.")
        choices = {"decoder": (decoder, DECODERS), "activation": (activation, ACTIVATIONS)}
        for key, (choice, known) in choices.items():
            if choice not in known:
                raise ValueError(
                    f"`{key}` must be one of {', '.join(known)}. Received: {key}={choice!r}."
                )
        self.input_size = input_size
        self.heatmap_size = heatmap_size
        self.sigma = float(sigma)
        self.decoder = decoder
        self.activation = activation
        self.legacy = legacy

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        keys = ("input_size", "heatmap_size", "sigma", "decoder", "activation", "legacy")
        return {key: getattr(self, key) for key in keys}

    @property
    def stride(self) -> float:
        """Input pixels per heatmap pixel."""
        return self.input_size / self.heatmap_size

    @property
    def _encoded_sigma(self) -> float:
        return _LEGACY_SIGMA_PX if self.legacy else self.sigma

    def to_heatmap(self, points_px):
        """Maps points [..., 2] from input pixels to heatmap pixels."""
        return (points_px + 0.5) / self.stride - 0.5

    def to_input(self, points_heatmap_px):
        """Maps points [..., 2] from heatmap pixels to input pixels."""
        return (points_heatmap_px + 0.5) * self.stride - 0.5

    def encode(self, landmarks_px, weights, sigma=None):
        """Returns the heatmaps of a batch of landmarks.

        Args:
            landmarks_px: Landmarks [B, K, 2] in input pixels. Any value, including NaN, is allowed
                where the weight is 0.
            weights: Weights [B, K], 0 where a landmark is not annotated.
            sigma: A number or scalar tensor that replaces the sigma of the codec, in heatmap
                pixels. Defaults to None.

        Returns:
            Heatmaps, float32 [B, h, w, K], and weights, float32 [B, K], which are also 0 for
            landmarks outside of the image. The highest pixel is 1 for a landmark at a pixel center
            only: .78 to 1 for sigma 1 (on average .92), .37 to 1 for sigma .5 (.73). The exponent
            alpha - y of `wing_tf.losses.AdaptiveWingLoss` is larger there accordingly: up to 1.32
            and 1.73 instead of 1.1, as at the peaks of `legacy`.
        """
        weights = ops.cast(weights, "float32")
        landmarks = ops.cast(landmarks_px, "float32")
        inside = (landmarks >= -0.5) & (landmarks <= self.input_size - 0.5)
        weights = weights * ops.cast(ops.all(inside, axis=-1), "float32")
        encoded = weights > 0
        center = self.to_heatmap(landmarks)
        if self.legacy:
            pixel = ops.floor((landmarks + 0.5) / self.stride)
            center = ops.minimum(pixel, self.heatmap_size - 1)  # of a landmark on the border
        offset = (
            ops.arange(self.heatmap_size, dtype="float32")
            - ops.where(encoded[..., None], center, 0.0)[..., None]
        )  # [B, K, 2, side]
        sigma = self._encoded_sigma if sigma is None or self.legacy else sigma
        profile = ops.exp(-0.5 * ops.square(offset / sigma))
        if self.legacy:
            profile = ops.where(ops.abs(offset) <= _LEGACY_RADIUS_PX, profile, 0.0)
        x_profile = profile[:, :, 0] * ops.cast(encoded, "float32")[..., None]
        x_profile = ops.transpose(x_profile, (0, 2, 1))[:, None]
        y_profile = ops.transpose(profile[:, :, 1], (0, 2, 1))[:, :, None]
        return y_profile * x_profile, weights

    def activate(self, maps):
        """Applies the activation to a network's maps [B, h, w, K]; returns float32."""
        maps = ops.cast(maps, "float32")
        if self.activation == "softmax":
            shape = (-1, self.heatmap_size**2, maps.shape[3])
            flat = ops.softmax(ops.reshape(maps, shape), axis=1)
            return ops.reshape(flat, (-1, *maps.shape[1:]))
        return ops.sigmoid(maps) if self.activation == "sigmoid" else maps

    def locate(self, maps):
        """Decodes maps without residuals to heatmap coordinates.

        Args:
            maps: Maps [B, h, w, K], as emitted by the network.

        Returns:
            Landmarks, float32 [B, K, 2] in heatmap pixels, and the highest values after the
            activation, float32 [B, K].
        """
        flat, highest, column, row = self._highest(self.activate(maps))
        decode = _DECODE[self.decoder]
        found = decode(flat, column, row, self.heatmap_size, self._encoded_sigma)
        shape = (-1, maps.shape[3])
        return ops.reshape(found, (*shape, 2)), ops.reshape(highest, shape)

    def _highest(self, maps):
        """Returns maps [B K, h w], highest values [B K, 1], columns and rows of these, [B K]."""
        side = self.heatmap_size
        if tuple(maps.shape[1:3]) != (side, side):
            raise ValueError(
                f"`maps` must be [B, {side}, {side}, K]. Received: {tuple(maps.shape)}."
            )
        flat = ops.reshape(ops.transpose(ops.cast(maps, "float32"), (0, 3, 1, 2)), (-1, side**2))
        highest = ops.max(flat, axis=-1, keepdims=True)
        # Keras does not convert the arg max of floats to a LiteRT builtin.
        peak = ops.argmax(ops.cast(flat >= highest, "int32"), axis=-1)
        peak = ops.cast(peak, "int32")
        row = peak // side
        return flat, highest, peak - row * side, row

    def decode(self, maps, residuals=None):
        """Decodes maps to landmarks, with LiteRT builtin operations only.

        Args:
            maps: Maps [B, h, w, K], as emitted by the network.
            residuals: Subpixel residuals [B, K, 2] in heatmap pixels, which are added to the
                decoded positions. Defaults to None.

        Returns:
            Landmarks, float32 [B, K, 2] in input pixels, and scores, float32 [B, K]: the highest
            values after the activation, clipped to 0..1. For a softmax they are fractions of the
            peak of an ideal map of this sigma.
        """
        found, highest = self.locate(maps)
        if residuals is not None:
            found = found + ops.cast(residuals, "float32")
        if self.activation == "softmax":
            # Divided by the peak of an ideal map, so that the score does not depend on sigma.
            highest = highest * (2.0 * math.pi * self._encoded_sigma**2)
        return self.to_input(found), ops.clip(highest, 0.0, 1.0)


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


_DECODE = {"dark": _dark, "quarter": _quarter, "soft_argmax": _soft_argmax, "argmax": _argmax}
