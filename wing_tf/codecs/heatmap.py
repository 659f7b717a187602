"""Heatmaps: a Gaussian at each landmark's sub-pixel position, and four ways back."""

import math

import numpy as np
from keras import ops

DECODERS = ("dark", "quarter", "soft_argmax", "argmax")
ACTIVATIONS = ("linear", "softmax", "sigmoid")

_LEGACY_SIGMA_PX, _LEGACY_RADIUS_PX = 1.75, 3
# Below this share of the peak DARK's logarithm sees noise only.
_FLOOR = 1e-5
_TINY = 1e-7  # not 0 as a half float, which constants of float16 exports are


class HeatmapCodec:
    """Landmarks in pixels of the network's input to heatmaps and back.

    A heatmap pixel covers ``input_size / heatmap_size`` input pixels; half-pixel exact, as
    everywhere in this package: input x lies at (x + .5) / stride - .5 of the heatmap.

    Border: a landmark inside the image, however near to its border, has a map; the part of the
    Gaussian beyond is cut off. A landmark outside has no map, and its weight is 0: a map of zeros
    would teach that it is nowhere.

    Decoding starts from the highest pixel:

    * "quarter" (the papers): a quarter of a pixel towards the higher neighbor, in x and in y; none
      on the border's pixels, which have one neighbor.
    * "dark": one Newton step on the logarithm, which is a parabola for a Gaussian: exact for what
      `encode` makes. On the border's pixels the curvature is taken to be the drawn Gaussian's.
    * "soft_argmax": the center of mass of the positive values within 2 sigma, for ragged maps; the
      window shrinks, and the shift with it, where the border is nearer.
    * "argmax": the highest pixel itself, for networks that also emit sub-pixel residuals, which
      are added to it.

    On encoded landmarks, for sigmas from .8 to 3, these err by at most .25, .002, .25 and .5
    heatmap pixels a coordinate, and near the border by .5, .002, .5 and .5.

    Args:
        input_size: the side of the network's input in pixels.
        heatmap_size: the side of the heatmaps in pixels.
        sigma: of the Gaussian, in heatmap pixels.
        decoder: "dark", "quarter", "soft_argmax" or "argmax".
        activation: what makes probabilities of the network's maps before they are decoded:
            "linear" (they are maps already), "softmax" over the pixels of each, or "sigmoid".
        legacy: draw what the Adaptive Wing authors' code draws: a patch of 7 x 7 pixels and sigma
            1.75 round the whole pixel floor(x / stride), whatever ``sigma``. That alone costs
            1.6 px of 256.

    Raises:
        ValueError: on sizes or a sigma that are not positive, or an unknown decoder or activation.

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
        sizes = {"input_size": input_size, "heatmap_size": heatmap_size, "sigma": sigma}
        for key, value in sizes.items():
            if not 0 < value < math.inf:
                raise ValueError(f"`{key}` must be positive. Received: {key}={value}.")
        if heatmap_size < 3:
            raise ValueError(f"`heatmap_size` must be at least 3. Received: {heatmap_size}.")
        choices = {"decoder": (decoder, DECODERS), "activation": (activation, ACTIVATIONS)}
        for key, (value, known) in choices.items():
            if value not in known:
                raise ValueError(
                    f"`{key}` must be one of {', '.join(known)}. Received: {key}={value!r}."
                )
        self.input_size = input_size
        self.heatmap_size = heatmap_size
        self.sigma = float(sigma)
        self.decoder = decoder
        self.activation = activation
        self.legacy = legacy

    def get_config(self) -> dict:
        """Returns what the constructor takes."""
        keys = ("input_size", "heatmap_size", "sigma", "decoder", "activation", "legacy")
        return {key: getattr(self, key) for key in keys}

    @property
    def stride(self) -> float:
        """Input pixels per heatmap pixel."""
        return self.input_size / self.heatmap_size

    @property
    def _drawn_sigma(self) -> float:
        return _LEGACY_SIGMA_PX if self.legacy else self.sigma

    def to_heatmap(self, points_px):
        """Maps points [..., 2] from input pixels to heatmap pixels."""
        return (points_px + 0.5) / self.stride - 0.5

    def to_input(self, points_heatmap_px):
        """Maps points [..., 2] from heatmap pixels to input pixels."""
        return (points_heatmap_px + 0.5) * self.stride - 0.5

    def encode(self, landmarks_px, weights, sigma=None):
        """Draws the maps of a batch.

        Args:
            landmarks_px: [B, K, 2], in input pixels; anything, NaN too, where the weight is 0.
            weights: [B, K], 0 where a landmark is missing.
            sigma: another one than the codec's, in heatmap pixels; a number or a scalar tensor.

        Returns:
            Maps float32 [B, h, w, K] with peaks of up to 1 (1 where a landmark is at a pixel's
            center), and weights float32 [B, K], which are also 0 for landmarks outside.
        """
        weights = ops.cast(weights, "float32")
        landmarks = ops.cast(landmarks_px, "float32")
        inside = (landmarks >= -0.5) & (landmarks <= self.input_size - 0.5)
        weights = weights * ops.cast(ops.all(inside, axis=-1), "float32")
        drawn = weights > 0
        center = self.to_heatmap(landmarks)
        if self.legacy:
            center = ops.maximum(ops.floor(landmarks / self.stride), 0.0)
        offset = (
            ops.arange(self.heatmap_size, dtype="float32")
            - ops.where(drawn[..., None], center, 0.0)[..., None]
        )  # [B, K, 2, side]
        sigma = self._drawn_sigma if sigma is None or self.legacy else sigma
        profile = ops.exp(-0.5 * ops.square(offset / sigma))
        if self.legacy:
            profile = ops.where(ops.abs(offset) <= _LEGACY_RADIUS_PX, profile, 0.0)
        x_profile = profile[:, :, 0] * ops.cast(drawn, "float32")[..., None]
        x_profile = ops.transpose(x_profile, (0, 2, 1))[:, None]
        y_profile = ops.transpose(profile[:, :, 1], (0, 2, 1))[:, :, None]
        return y_profile * x_profile, weights

    def activate(self, maps):
        """Returns a network's maps [B, h, w, K] as what they stand for, in float32."""
        maps = ops.cast(maps, "float32")
        if self.activation == "softmax":
            shape = (-1, self.heatmap_size**2, maps.shape[3])
            flat = ops.softmax(ops.reshape(maps, shape), axis=1)
            return ops.reshape(flat, (-1, *maps.shape[1:]))
        return ops.sigmoid(maps) if self.activation == "sigmoid" else maps

    def locate(self, maps):
        """Finds the landmarks in maps [B, h, w, K] as the network emits them, by the decoder.

        Returns:
            Landmarks float32 [B, K, 2] in heatmap pixels, and the highest values after the
            activation, float32 [B, K].
        """
        flat, highest, column, row = self._highest(self.activate(maps))
        decode = _DECODE[self.decoder]
        found = decode(flat, column, row, self.heatmap_size, self._drawn_sigma)
        shape = (-1, maps.shape[3])
        return ops.reshape(found, (*shape, 2)), ops.reshape(highest, shape)

    def _highest(self, maps):
        """Returns the maps [B K, h w], their highest values [B K, 1], and where, int32 [B K]."""
        side = self.heatmap_size
        if tuple(maps.shape[1:3]) != (side, side):
            raise ValueError(
                f"`maps` must be [B, {side}, {side}, K]. Received: {tuple(maps.shape)}."
            )
        flat = ops.reshape(ops.transpose(ops.cast(maps, "float32"), (0, 3, 1, 2)), (-1, side**2))
        highest = ops.max(flat, axis=-1, keepdims=True)
        # LiteRT has no arg max of floats that Keras would use.
        peak = ops.argmax(ops.cast(flat >= highest, "int32"), axis=-1)
        peak = ops.cast(peak, "int32")
        row = peak // side
        return flat, highest, peak - row * side, row

    def decode(self, maps, residuals=None):
        """Finds the landmarks in maps; of builtin LiteRT operations only.

        Args:
            maps: [B, h, w, K], as the network emits them.
            residuals: [B, K, 2], heatmap pixels, added to what was found.

        Returns:
            Landmarks float32 [B, K, 2] in input pixels, and scores float32 [B, K], the highest
            values after the activation, cut to 0..1; of a softmax in shares of what a true map of
            this sigma has at its peak.
        """
        found, highest = self.locate(maps)
        if residuals is not None:
            found = found + ops.cast(residuals, "float32")
        if self.activation == "softmax":
            # A true map's share at its peak, or the score would be a matter of sigma.
            highest = highest * (2.0 * math.pi * self._drawn_sigma**2)
        return self.to_input(found), ops.clip(highest, 0.0, 1.0)


def _patches(flat, column, row, side, radius):
    """Returns the pixels [N, 2 r + 1, 2 r + 1] round (column, row) [N] of maps [N, side^2].

    Beyond the border the border's pixels are repeated.
    """
    reach = ops.arange(-radius, radius + 1, dtype="int32")
    columns = ops.clip(column[:, None] + reach, 0, side - 1)
    rows = ops.clip(row[:, None] + reach, 0, side - 1)
    first = ops.arange(ops.shape(flat)[0], dtype="int32") * side**2
    index = first[:, None, None] + rows[:, :, None] * side + columns[:, None, :]
    return ops.take(ops.reshape(flat, (-1,)), index, axis=0)


def _quarter(flat, column, row, side, sigma):
    """A quarter of a pixel towards the higher neighbor."""
    del sigma
    patch = _patches(flat, column, row, side, 1)
    slope = ops.stack([patch[:, 1, 2] - patch[:, 1, 0], patch[:, 2, 1] - patch[:, 0, 1]], axis=-1)
    position = ops.stack([column, row], axis=-1)
    has_two = ops.cast((position > 0) & (position < side - 1), "float32")
    return ops.cast(position, "float32") + 0.25 * ops.sign(slope) * has_two


def _dark(flat, column, row, side, sigma):
    """A Newton step on the logarithm, from the highest pixel.

    On the border a pixel has one neighbor, and the second derivative is the drawn Gaussian's.
    """
    patch = _patches(flat, column, row, side, 1)
    highest = ops.max(flat, axis=-1)[:, None, None]
    log = ops.log(ops.maximum(patch, ops.maximum(_FLOOR * highest, _TINY)))
    d_x, d_xx, inner_x = _derivatives(log[:, 1, 0], log[:, 1, 1], log[:, 1, 2], column, side, sigma)
    d_y, d_yy, inner_y = _derivatives(log[:, 0, 1], log[:, 1, 1], log[:, 2, 1], row, side, sigma)
    d_xy = 0.25 * (log[:, 2, 2] - log[:, 2, 0] - log[:, 0, 2] + log[:, 0, 0])
    d_xy = ops.where(inner_x & inner_y, d_xy, 0.0)
    # A hill, not a saddle; else the pixel itself.
    determinant = d_xx * d_yy - d_xy * d_xy
    hill = (determinant > 1e-6) & (d_xx + d_yy < 0)
    scale = ops.where(hill, 1.0, 0.0) / ops.where(hill, determinant, 1.0)
    step_x = (d_xy * d_y - d_yy * d_x) * scale
    step_y = (d_xy * d_x - d_xx * d_y) * scale
    # A round hill's top is within half a pixel; an oblong one's may be a little further.
    step = ops.clip(ops.stack([step_x, step_y], axis=-1), -0.75, 0.75)
    return ops.cast(ops.stack([column, row], axis=-1), "float32") + step


def _derivatives(before, here, after, position, side, sigma):
    """Returns both derivatives along an axis [N], and whether there are two neighbors."""
    first, last = position == 0, position == side - 1
    known = 1.0 / sigma**2
    slope = ops.where(first, after - here + known / 2, 0.5 * (after - before))
    slope = ops.where(last, here - before - known / 2, slope)
    inner = ops.logical_not(first | last)
    return slope, ops.where(inner, after - 2.0 * here + before, -known), inner


def _soft_argmax(flat, column, row, side, sigma):
    """The center of mass of the positive values within 2 sigma; less where the map ends sooner.

    The window stays symmetric about the peak, or the border would push the center inwards.
    """
    radius = max(1, math.ceil(2 * sigma))
    patch = ops.maximum(_patches(flat, column, row, side, radius), 0.0)
    reach = np.arange(-radius, radius + 1, dtype=np.int32)
    distance = ops.convert_to_tensor(np.abs(reach))
    inside = [
        ops.cast(ops.minimum(at, side - 1 - at)[:, None] >= distance, "float32")
        for at in (column, row)
    ]
    patch = patch * inside[1][:, :, None] * inside[0][:, None, :]
    total = ops.maximum(ops.sum(patch, axis=(1, 2)), _TINY)
    reach = ops.convert_to_tensor(reach.astype(np.float32))
    shift_x = ops.sum(patch * reach[None, None, :], axis=(1, 2)) / total
    shift_y = ops.sum(patch * reach[None, :, None], axis=(1, 2)) / total
    position = ops.cast(ops.stack([column, row], axis=-1), "float32")
    return position + ops.stack([shift_x, shift_y], axis=-1)


def _argmax(flat, column, row, side, sigma):
    """The highest pixel."""
    del flat, side, sigma
    return ops.cast(ops.stack([column, row], axis=-1), "float32")


_DECODE = {"dark": _dark, "quarter": _quarter, "soft_argmax": _soft_argmax, "argmax": _argmax}
