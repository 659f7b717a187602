"""Gaussian heatmaps with subpixel centers, and four decoders."""

import math

from keras import ops

from wing_tf.codecs.decoders import DECODE

DECODERS = tuple(DECODE)
ACTIVATIONS = ("linear", "softmax", "sigmoid")

_LEGACY_SIGMA_PX, _LEGACY_RADIUS_PX = 1.75, 3


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
            weights: Weights [B, K], or [B, 1] for all landmarks of a face; 0 where a landmark is
                not annotated.
            sigma: A number or scalar tensor that replaces the sigma of the codec, in heatmap
                pixels. Defaults to None.

        Returns:
            Heatmaps, float32 [B, h, w, K], and weights, float32 [B, K], which are also 0 for
            landmarks outside of the image. The highest pixel is 1 for a landmark at a pixel center
            only: .78 to 1 for sigma 1 (on average .92), .37 to 1 for sigma .5 (.73). The exponent
            alpha - y of `wing_tf.losses.AdaptiveWingLoss` is larger there accordingly: up to 1.32
            and 1.73 instead of 1.1, as at the peaks of `legacy`.

        Raises:
            ValueError: If a shape is another one, or if ``sigma`` is a number that is not positive.
        """
        weights = ops.cast(weights, "float32")
        landmarks = ops.cast(landmarks_px, "float32")
        shape, of_weights = tuple(landmarks.shape), tuple(weights.shape)
        valid = len(shape) == 3 and shape[2] == 2 and len(of_weights) == 2
        if valid:  # sizes may be unknown while tracing
            valid = None in (shape[0], of_weights[0]) or shape[0] == of_weights[0]
            valid = valid and (None in (shape[1], of_weights[1]) or of_weights[1] in (1, shape[1]))
        if not valid:
            raise ValueError(
                "`landmarks_px` must be [B, K, 2] and `weights` [B, K]. "
                f"Received: {shape} and {of_weights}."
            )
        if isinstance(sigma, (int, float)) and not 0 < sigma < math.inf:
            raise ValueError(f"`sigma` must be positive. Received: sigma={sigma}.")
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
        if maps.shape[0] == 0:  # without faces there is no maximum
            return ops.zeros((0, maps.shape[3], 2)), ops.zeros((0, maps.shape[3]))
        flat, highest, column, row = self._highest(self.activate(maps))
        decode = DECODE[self.decoder]
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
            if tuple(residuals.shape[1:]) != (maps.shape[3], 2):
                raise ValueError(
                    f"`residuals` must be [B, {maps.shape[3]}, 2]. Received: {residuals.shape}."
                )
            found = found + ops.cast(residuals, "float32")
        if self.activation == "softmax":
            # Divided by the peak of an ideal map, so that the score does not depend on sigma.
            highest = highest * (2.0 * math.pi * self._encoded_sigma**2)
        return self.to_input(found), ops.clip(highest, 0.0, 1.0)
