"""Adaptive Wing loss."""

import math

import keras
from keras import ops

from wing_tf.losses.base import check_positive, to_float32
from wing_tf.losses.heatmap import HeatmapLoss, mask_heatmaps

# An error of 0 has no logarithm; the slope at this one is 1e-3 of that at .5 where y = 1.
_TINY = 1e-30


@keras.saving.register_keras_serializable(package="wing_tf")
def adaptive_wing_loss(
    y_true,
    y_pred,
    *,
    alpha: float = 2.1,
    omega: float = 14.0,
    epsilon: float = 1.0,
    theta: float = 0.5,
):
    """Returns the Adaptive Wing loss per landmark in float32; see `AdaptiveWingLoss`.

    A landmark whose heatmap [h, w] holds NaN has a loss of 0.

    Args:
        y_true: Heatmaps [B, h, w, K], or pixels of another shape, each by itself.
        y_pred: Predictions of the same shape.
        alpha: As of `AdaptiveWingLoss`, like the other arguments.
        omega: Scale of the loss.
        epsilon: Curvature.
        theta: Error at which the linear part begins.

    Returns:
        The mean over the pixels [B, K] of heatmaps [B, h, w, K]; else the loss of each pixel.

    Raises:
        ValueError: If the shapes differ, or an argument is not positive.
    """
    check_positive(alpha=alpha, omega=omega, epsilon=epsilon, theta=theta)
    y_true, y_pred = to_float32(y_true, y_pred, "[B, h, w, K]")
    y_true, mask = mask_heatmaps(y_true)
    values = mask * _adaptive_wing(
        y_true, y_pred, alpha=alpha, omega=omega, epsilon=epsilon, theta=theta
    )
    return ops.mean(values, axis=(1, 2)) if len(y_true.shape) == 4 else values


def _adaptive_wing(y_true, y_pred, *, alpha: float, omega: float, epsilon: float, theta: float):
    # Targets are constants: the exponent has no gradient.
    exponent = alpha - ops.clip(ops.stop_gradient(y_true), 0.0, 1.0)
    error = ops.abs(y_pred - y_true)
    # The power is computed for errors up to theta only: it would overflow for an error of 1e30. It
    # is written as exp and log, which are vectorized on CPUs.
    near_error = ops.maximum(ops.where(error <= theta, error, theta), _TINY) / epsilon
    near = omega * ops.log1p(ops.exp(exponent * ops.log(near_error)))
    knee = ops.exp(exponent * math.log(theta / epsilon))  # (theta / epsilon)^k
    slope = omega * exponent * (knee * (epsilon / theta)) / (epsilon * (1.0 + knee))  # A
    # Beyond theta the first term is omega ln(1 + knee) = theta A - C. A selection keeps NaN.
    return near + slope * ops.where(error <= theta, 0.0, error - theta)


@keras.saving.register_keras_serializable(package="wing_tf")
class AdaptiveWingLoss(HeatmapLoss):
    """Adaptive Wing loss of heatmaps: Wing loss on landmarks, squared error on the background.

    With d = |y - p| the error of one pixel and k = alpha - y,

        AWing(y, p) = omega ln(1 + (d / epsilon)^k)   if d < theta,   else A d - C,
        A = omega k (theta / epsilon)^(k - 1) / (epsilon (1 + (theta / epsilon)^k)),
        C = theta A - omega ln(1 + (theta / epsilon)^k).

    Near a landmark (y = 1, k = 1.1) small errors are amplified as in Wing loss. On the background
    (y = 0, k = 2.1) they count as little as in the squared error, so that thousands of background
    pixels don't dominate the few pixels that locate the landmark.

    Args:
        alpha: Slightly more than 2, so that the loss is smooth at d = 0 for all y in [0, 1].
            Defaults to 2.1.
        omega: Scale of the loss. Defaults to 14.
        epsilon: Curvature, in units of the heatmap. Defaults to 1.
        theta: Error at which the linear part begins, in units of the heatmap. Defaults to .5.
        name: Name of the loss. Defaults to `"adaptive_wing_loss"`.
        **kwargs: `reduction` and `dtype` of `wing_tf.losses.LandmarkLoss`.

    Call arguments:
        y_true: Heatmaps [B, h, w, K] with peaks of 1, NaN where a landmark is not annotated.
        y_pred: Predicted heatmaps [B, h, w, K].
        sample_weight: Weights of the faces [B] or [B, 1], or of the landmarks [B, K].

    Raises:
        ValueError: If ``alpha`` is not above 2, or another argument is not positive.

    Examples:
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
        name="adaptive_wing_loss",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        check_positive(alpha=alpha, omega=omega, epsilon=epsilon, theta=theta)
        if not alpha > 2:
            raise ValueError(f"`alpha` must be above 2. Received: alpha={alpha}.")
        self.alpha, self.omega = float(alpha), float(omega)
        self.epsilon, self.theta = float(epsilon), float(theta)

    def pixel_losses(self, y_true, y_pred):
        """Returns the loss of each pixel [B, h, w, K]."""
        return _adaptive_wing(y_true, y_pred, **self._parameters())

    def _parameters(self) -> dict[str, float]:
        return {key: getattr(self, key) for key in ("alpha", "omega", "epsilon", "theta")}

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | self._parameters()
