"""The weighted loss map: pixels near a landmark count more."""

import keras
from keras import ops

from wing_tf.losses.heatmap import HeatmapLoss

MASK_TYPES = ("dilated", "heatmap")


def loss_weight_map(
    y_true, *, mask_type: str = "dilated", weight: float = 10.0, threshold: float = 0.2
):
    """Returns the weights [B, h, w, K] of the pixels of targets; see `WeightedLossMap`."""
    if mask_type == "heatmap":
        return weight * y_true + 1.0
    dilated = ops.max_pool(y_true, 3, strides=1, padding="same", data_format="channels_last")
    return ops.where(dilated >= threshold, weight + 1.0, 1.0)


@keras.saving.register_keras_serializable(package="wing_tf")
class WeightedLossMap(HeatmapLoss):
    """Any heatmap loss with more weight on landmarks and on the background that borders on them.

        L(y, p) (W M + 1),   M = 1 where the 3 x 3 gray dilation of y is at least a threshold.

    Args:
        loss: a `HeatmapLoss`, for example `AdaptiveWingLoss()`.
        weight: W.
        threshold: of the dilated target.
        mask_type: "dilated" as above; "heatmap" is the paper's baseline WM_base with M = y. (It
            prints the letter that elsewhere is the prediction; "a naive weight mask" made of the
            ground truth is meant.)
        reduction: as in every Keras loss. Avoid "mean_with_sample_weight" on several replicas.
        name: the loss's name.
        dtype: what targets and predictions are cast to before the loss is computed.

    Call arguments:
        y_true, y_pred: [B, h, w, K]; the values per landmark are [B, K], means over the pixels, and
            ``sample_weight`` is [B, K].

    Raises:
        ValueError: on a negative weight, a threshold outside of (0, 1] or an unknown mask_type.
        TypeError: if ``loss`` is not a heatmap loss.

    Example:
        >>> import numpy as np
        >>> target = np.zeros((1, 3, 5, 1)); target[0, 1, 1] = 1.0  # M covers 9 of 15 pixels
        >>> from wing_tf.losses import HeatmapSquaredError
        >>> float(WeightedLossMap(HeatmapSquaredError())(target, target + 1.0))  # (9 * 11 + 6) / 15
        7.0

    Reference:
        Wang, Bo and Li, Adaptive Wing Loss, ICCV 2019, equations 4 and 5; the baseline of table 7
        in section 7.6.2.
    """

    def __init__(
        self,
        loss,
        *,
        weight: float = 10.0,
        threshold: float = 0.2,
        mask_type: str = "dilated",
        reduction="sum_over_batch_size",
        name="weighted_loss_map",
        dtype="float32",
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        if not isinstance(loss, HeatmapLoss):
            raise TypeError(f"`loss` must be a heatmap loss. Received: {type(loss).__name__}.")
        if not 0 <= weight < float("inf"):
            raise ValueError(f"`weight` can't be negative or infinite. Received: weight={weight}.")
        if not 0 < threshold <= 1:
            raise ValueError(f"`threshold` must be in (0, 1]. Received: threshold={threshold}.")
        if mask_type not in MASK_TYPES:
            raise ValueError(
                f"`mask_type` must be one of {', '.join(MASK_TYPES)}. "
                f"Received: mask_type={mask_type!r}."
            )
        self.loss = loss
        self._weighting = {
            "mask_type": mask_type,
            "weight": float(weight),
            "threshold": float(threshold),
        }

    def pixel_losses(self, y_true, y_pred):
        """Returns [B, h, w, K]."""
        return self.loss.pixel_losses(y_true, y_pred) * loss_weight_map(y_true, **self._weighting)

    def reduce_pixels(self, values):
        """Returns [B, K], as the inner loss."""
        return self.loss.reduce_pixels(values)

    def get_config(self):
        """Returns what `from_config` needs."""
        loss = keras.saving.serialize_keras_object(self.loss)
        return super().get_config() | self._weighting | {"loss": loss}

    @classmethod
    def from_config(cls, config):
        """Rebuilds the inner loss."""
        loss = keras.saving.deserialize_keras_object(config.pop("loss"))
        return cls(loss, **config)
