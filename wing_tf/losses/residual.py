"""Loss of subpixel residuals."""

import math

import keras
from keras import ops

from wing_tf.losses.coordinate import CoordinateLoss


@keras.saving.register_keras_serializable(package="wing_tf")
class SubpixelResidualLoss(CoordinateLoss):
    """Squared error of predicted residuals, plus a penalty on residuals beyond a limit.

        sum over x and y of (t - p)^2 + max(0, |p| - theta)

    A residual is the difference between a landmark and its position as decoded from a heatmap, in
    the paper its arg max. Without the penalty, the network would correct the coarse errors of the
    heatmap by large residuals instead of improving the heatmap. Targets are not clipped.

    Args:
        theta: Limit in heatmap pixels. Half a pixel is the rounding error of the arg max. Defaults
            to .5.
        name: Name of the loss. Defaults to `"subpixel_residual_loss"`.
        **kwargs: `reduction` and `dtype` of `wing_tf.losses.LandmarkLoss`.

    Call arguments:
        y_true: Residuals [B, K, 2] in heatmap pixels, NaN where a landmark is not annotated.
        y_pred: Predicted residuals [B, K, 2] in heatmap pixels.
        sample_weight: Weights of the faces [B] or [B, 1], or of the landmarks [B, K].

    Raises:
        ValueError: If ``theta`` is negative or not finite, or, in the call, if the shapes differ.

    Examples:
        >>> float(SubpixelResidualLoss()([[[0.5, 0.0]]], [[[1.0, 0.25]]]))  # .25 + .5 + .0625
        0.8125

    Reference:
        Yang et al., Stacked Multi-Target Network for Robust Facial Landmark Localisation, CVPR
        Workshops 2019, equations 4 and 5. # The paper is silent on what "L2" is: x^2.
    """

    expects_pixels = False

    def __init__(self, *, theta: float = 0.5, name="subpixel_residual_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        if not 0 <= theta < math.inf:
            raise ValueError(f"`theta` must be finite and at least 0. Received: theta={theta}.")
        self.theta = float(theta)

    def coordinate_losses(self, y_true, y_pred):
        """Returns the loss of each coordinate."""
        excess = ops.maximum(ops.abs(y_pred) - self.theta, 0.0)
        return ops.square(y_pred - y_true) + excess

    def reduce_coordinates(self, values):
        """Returns the sum over the last axis."""
        return ops.sum(values, axis=-1)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"theta": self.theta}
