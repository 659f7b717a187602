"""The loss of sub-pixel residuals: squared error, and a hinge that keeps them small."""

import math

import keras
from keras import ops

from wing_tf.losses.coordinate import CoordinateLoss, float32_difference


def hinge(residuals, theta: float):
    """Returns max(0, |p| - theta) of each coordinate, in float32."""
    return ops.maximum(ops.abs(ops.cast(residuals, "float32")) - theta, 0.0)


@keras.saving.register_keras_serializable(package="wing_tf")
class SubpixelResidualLoss(CoordinateLoss):
    """The squared error of predicted residuals, and what they exceed a limit by.

        sum over x and y of (t - p)^2 + max(0, |p| - theta)

    The residual is what the answer of a heatmap, in the paper its arg max, leaves over. Without the
    limit the network would learn to correct the heatmap's coarse errors here, and neglect the
    heatmap.

    The target is not clipped: far ones still pull with the squared error.

    Args:
        theta: the limit, in heatmap pixels: half a pixel is what the arg max can't say.
        reduction: as in every Keras loss. Avoid "mean_with_sample_weight" on several replicas.
        name: the loss's name.
        dtype: what targets and predictions are cast to before the loss is computed.

    Call arguments:
        y_true, y_pred: [B, K, 2], heatmap pixels; the values per landmark are [B, K], and
            ``sample_weight`` is [B, K].

    Raises:
        ValueError: if ``theta`` is negative or not finite; when called, if the shapes differ.

    Example:
        >>> float(SubpixelResidualLoss()([[[0.5, 0.0]]], [[[1.0, 0.25]]]))  # .25 + .5 + .0625
        0.8125

    Reference:
        Yang et al., Stacked Multi-Target Network for Robust Facial Landmark Localization, CVPR
        Workshops 2019, equations 4 and 5. # The paper is silent on what "L2" is: x^2.
    """

    def __init__(
        self,
        *,
        theta: float = 0.5,
        reduction="sum_over_batch_size",
        name="subpixel_residual_loss",
        dtype="float32",
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        if not 0 <= theta < math.inf:
            raise ValueError(f"`theta` can't be negative or infinite. Received: theta={theta}.")
        self.theta = float(theta)

    def call(self, y_true, y_pred):
        """Returns [B, K] for [B, K, 2]."""
        difference = float32_difference(y_true, y_pred)
        return ops.sum(ops.square(difference) + hinge(y_pred, self.theta), axis=-1)

    def get_config(self):
        """Returns what `from_config` needs."""
        return super().get_config() | {"theta": self.theta}
