"""Adaptive Wing loss."""

import math

import keras
from keras import ops

from wing_tf.losses.coordinate import check_shapes
from wing_tf.losses.heatmap import HeatmapLoss

# An error of 0 has no logarithm; the slope at this one is 1e-3 of that at .5 where y = 1.
_TINY = 1e-30


def adaptive_wing_loss(
    y_true,
    y_pred,
    *,
    alpha: float = 2.1,
    omega: float = 14.0,
    epsilon: float = 1.0,
    theta: float = 0.5,
):
    """Returns Adaptive Wing loss of each pixel, in the inputs' shape, in float32.

    See `AdaptiveWingLoss` for the formula.

    Raises:
        ValueError: if the shapes differ.
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    check_shapes(y_true, y_pred, "that of the pixels")
    y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
    # Targets are constants: no gradient runs into the exponent.
    exponent = alpha - ops.clip(ops.stop_gradient(y_true), 0.0, 1.0)
    error = ops.abs(y_pred - y_true)
    # Each branch sees only the errors that it is chosen for: an error of 1e30 would overflow in
    # the power, and its gradient be 0 times infinity. Powers by exp and log: vectorised on CPUs.
    near_error = ops.clip(error, _TINY, theta) / epsilon
    near = omega * ops.log1p(ops.exp(exponent * ops.log(near_error)))
    knee = ops.exp(exponent * math.log(theta / epsilon))  # (theta / epsilon)^k
    slope = omega * exponent * (knee * (epsilon / theta)) / (epsilon * (1.0 + knee))  # A
    # A d - C with C = theta A - omega ln(1 + knee)
    return ops.where(error < theta, near, slope * (error - theta) + omega * ops.log1p(knee))


@keras.saving.register_keras_serializable(package="wing_tf")
class AdaptiveWingLoss(HeatmapLoss):
    """Wing loss for heatmaps: sharp where the target is 1, as mild as the squared error where 0.

    With d = |y - p| the error of one pixel and k = alpha - y,

        AWing(y, p) = omega ln(1 + (d / epsilon)^k)   if d < theta,   else A d - C,
        A = omega k (theta / epsilon)^(k - 1) / (epsilon (1 + (theta / epsilon)^k)),
        C = theta A - omega ln(1 + (theta / epsilon)^k).

    Near a landmark (y = 1, k = 1.1) small errors count as in Wing loss; on the background (k = 2.1)
    they count as in the squared error, so that thousands of pixels don't drown the few that matter.

    Args:
        alpha: a little more than 2, so that the loss is smooth at d = 0 for every y in [0, 1].
        omega: the loss's scale.
        epsilon: its curvature, in units of the heatmap.
        theta: where the straight line begins, in units of the heatmap.
        reduction: as in every Keras loss. Avoid "mean_with_sample_weight" on several replicas.
        name: the loss's name.
        dtype: what targets and predictions are cast to before the loss is computed.

    Call arguments:
        y_true, y_pred: [B, h, w, K]; targets with peaks of 1. The values per landmark are [B, K],
            means over the pixels, and ``sample_weight`` is [B, K].

    Raises:
        ValueError: if ``alpha`` is not above 2, or another argument is not positive.

    Example:
        >>> import numpy as np
        >>> loss = AdaptiveWingLoss()
        >>> round(float(loss(np.ones((1, 1, 1, 1)), np.full((1, 1, 1, 1), 0.75))), 5)
        2.75678

    Reference:
        Wang, Bo and Li, Adaptive Wing Loss for Robust Face Alignment via Heatmap Regression,
        ICCV 2019, equation 3. A and C depend on y and on theta / epsilon.
    """

    def __init__(
        self,
        *,
        alpha: float = 2.1,
        omega: float = 14.0,
        epsilon: float = 1.0,
        theta: float = 0.5,
        reduction="sum_over_batch_size",
        name="adaptive_wing_loss",
        dtype="float32",
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        values = {"alpha": alpha, "omega": omega, "epsilon": epsilon, "theta": theta}
        for key, value in values.items():
            if not value > 0 or not math.isfinite(value):
                raise ValueError(f"`{key}` must be positive and finite. Received: {key}={value}.")
        if not alpha > 2:
            raise ValueError(f"`alpha` must be above 2. Received: alpha={alpha}.")
        self._shape = {key: float(value) for key, value in values.items()}

    def pixel_losses(self, y_true, y_pred):
        """Returns [B, h, w, K]."""
        return adaptive_wing_loss(y_true, y_pred, **self._shape)

    def get_config(self):
        """Returns what `from_config` needs."""
        return super().get_config() | self._shape
