"""Weighted loss map of Adaptive Wing loss."""

import math

import keras
from keras import ops

from wing_tf.losses.heatmap import HeatmapLoss

MASK_TYPES = ("dilated", "heatmap")


def loss_weight_map(
    y_true, *, mask_type: str = "dilated", weight: float = 10.0, threshold: float = 0.2
):
    """Returns the weights [B, h, w, K] of the pixels of target heatmaps; see `WeightedLossMap`.

    Raises:
        ValueError: If ``mask_type`` is unknown.
    """
    if mask_type not in MASK_TYPES:
        raise ValueError(
            f"`mask_type` must be one of {', '.join(MASK_TYPES)}. Received: {mask_type!r}."
        )
    if mask_type == "heatmap":
        return weight * y_true + 1.0
    dilated = ops.max_pool(y_true, 3, strides=1, padding="same", data_format="channels_last")
    high = ops.convert_to_tensor(weight + 1.0, "float32")  # Two numbers would be of `floatx`.
    return ops.where(dilated >= threshold, high, 1.0)


@keras.saving.register_keras_serializable(package="wing_tf")
class WeightedLossMap(HeatmapLoss):
    """A heatmap loss with larger weights on landmarks and on the background next to them.

        L(y, p) (W M + 1),   M = 1 where the 3 x 3 gray dilation of y is at least a threshold.

    Args:
        loss: A `HeatmapLoss`, for example `AdaptiveWingLoss()`.
        weight: W. Defaults to 10.
        threshold: Threshold of the dilated target. Defaults to .2.
        mask_type: `"dilated"` for the mask above, or `"heatmap"` for M = y, the paper's baseline
            WM_base (whose formula prints the letter of the prediction, but whose text describes
            a mask from the ground truth). Defaults to `"dilated"`.
        name: Name of the loss. Defaults to `"weighted_loss_map"`.
        **kwargs: `reduction` and `dtype` of `wing_tf.losses.LandmarkLoss`.

    Call arguments:
        y_true: Heatmaps [B, h, w, K] with peaks of 1, NaN where a landmark is not annotated.
        y_pred: What ``loss`` takes, [B, h, w, K].
        sample_weight: Weights of the faces [B] or [B, 1], or of the landmarks [B, K].

    Raises:
        ValueError: If ``weight``, ``threshold`` or ``mask_type`` is invalid.
        TypeError: If ``loss`` is not a `HeatmapLoss`.

    Examples:
        >>> import numpy as np
        >>> target = np.zeros((1, 3, 5, 1)); target[0, 1, 1] = 1.0  # M covers 9 of 15 pixels
        >>> from wing_tf.losses import HeatmapSquaredError
        >>> float(WeightedLossMap(HeatmapSquaredError())(target, target + 1.0))  # (9 * 11 + 6) / 15
        7.0

    Reference:
        Wang, Bo and Li, Adaptive Wing Loss, ICCV 2019, equations 4 and 5; section 7.6.2 and table 7
        for the baseline.
    """

    paper_names = {"W": "weight", "w": "weight"}

    def __init__(
        self,
        loss,
        *,
        weight: float = 10.0,
        threshold: float = 0.2,
        mask_type: str = "dilated",
        name="weighted_loss_map",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if not isinstance(loss, HeatmapLoss):
            raise TypeError(
                f"`loss` must be a HeatmapLoss such as AdaptiveWingLoss(). Received: {loss!r}."
            )
        if not 0 <= weight < math.inf:
            raise ValueError(f"`weight` must be finite and at least 0. Received: weight={weight}.")
        if not 0 < threshold <= 1:
            raise ValueError(f"`threshold` must be in (0, 1]. Received: threshold={threshold}.")
        if mask_type not in MASK_TYPES:
            raise ValueError(
                f"`mask_type` must be one of {', '.join(MASK_TYPES)}. "
                f"Received: mask_type={mask_type!r}."
            )
        self.loss = loss
        self.weight, self.threshold = float(weight), float(threshold)
        self.mask_type = mask_type

    def _parameters(self) -> dict:
        return {key: getattr(self, key) for key in ("mask_type", "weight", "threshold")}

    def pixel_losses(self, y_true, y_pred):
        """Returns the weighted loss of each pixel [B, h, w, K]."""
        weights = loss_weight_map(y_true, **self._parameters())
        return self.loss.pixel_losses(y_true, y_pred) * weights

    def reduce_pixels(self, values):
        """Returns [B, K], reduced as by the inner loss."""
        return self.loss.reduce_pixels(values)

    def check_targets(self, y_true) -> None:
        """Raises ValueError for targets that the inner loss refuses."""
        self.loss.check_targets(y_true)

    def get_config(self):
        """Returns the constructor's arguments."""
        loss = keras.saving.serialize_keras_object(self.loss)
        return super().get_config() | self._parameters() | {"loss": loss}

    @classmethod
    def from_config(cls, config):
        """Returns the loss of a config."""
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**config | {"loss": loss})
