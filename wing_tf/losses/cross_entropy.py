"""Unilateral (UCE) and bilateral inhibition (BICE) cross entropy of heatmaps."""

import abc

import keras
from keras import ops

from wing_tf.losses.base import refuse_targets
from wing_tf.losses.heatmap import HeatmapLoss

ACTIVATIONS = ("softmax", "sigmoid")

_LOG_ZERO = -1e9  # Its exponential is 0.
_ROUNDING = 1e-3  # Of heatmaps in half precision, or resized.


def log_probabilities(logits, activation: str = "softmax"):
    """Returns ln P and ln(1 - P) of heatmaps, finite and accurate for logits of any size.

    Args:
        logits: Logits, float32 [B, h, w, K].
        activation: `"softmax"` over the pixels of each map, or `"sigmoid"` of each pixel. Defaults
            to `"softmax"`.

    Returns:
        Two tensors of the shape of ``logits``.

    Raises:
        ValueError: If a softmax map has fewer than two pixels, for which 1 - P is 0.
    """
    if activation == "sigmoid":
        return ops.log_sigmoid(logits), ops.log_sigmoid(-logits)
    shape = ops.shape(logits)  # a trace may know the sizes only when it runs
    num_pixels = shape[1] * shape[2]
    if isinstance(num_pixels, int) and num_pixels < 2:
        raise ValueError(f"Heatmaps must have two or more pixels. Received: {shape}.")
    if logits.shape[0] == 0:
        return logits, logits
    flat = ops.reshape(logits, (-1, num_pixels, shape[3]))
    flat = flat - ops.stop_gradient(ops.max(flat, axis=1, keepdims=True))  # Exact near the peak.
    log_sum = ops.logsumexp(flat, axis=1, keepdims=True)
    log_p = flat - log_sum
    # At the peak, 1 - P is computed as the sum of all other probabilities, because the subtraction
    # would round it to 0 if they are small. All others have P <= 1/2. The peak is excluded before
    # the exponential, so that its gradient is finite.
    pixels = ops.arange(num_pixels, dtype="int32")[None, :, None]
    at_peak = pixels == ops.cast(ops.argmax(flat, axis=1, keepdims=True), "int32")
    others = ops.where(at_peak, ops.min(flat, axis=1, keepdims=True), flat)
    second = ops.stop_gradient(ops.max(others, axis=1, keepdims=True))
    others = ops.exp(ops.where(at_peak, _LOG_ZERO, flat - second))
    log_others = second + ops.log(ops.sum(others, axis=1, keepdims=True)) - log_sum
    log_not_p = ops.log1p(-ops.exp(ops.where(at_peak, _LOG_ZERO, log_p)))
    log_not_p = ops.where(at_peak, log_others, log_not_p)
    like = (-1, *shape[1:])
    return ops.reshape(log_p, like), ops.reshape(log_not_p, like)


class _CrossEntropy(HeatmapLoss, abc.ABC):
    """Base class of both losses. As in the paper, pixels are summed and not averaged."""

    def __init__(self, *, activation="softmax", **kwargs):
        super().__init__(**kwargs)
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"`activation` must be one of {', '.join(ACTIVATIONS)}. "
                f"Received: activation={activation!r}."
            )
        self.activation = activation

    @abc.abstractmethod
    def pixel_entropies(self, y_true, y_pred):
        """Returns the loss of each pixel [B, h, w, K] for targets in [0, 1]."""

    def pixel_losses(self, y_true, y_pred):
        """Returns the loss of each pixel [B, h, w, K]; targets are clipped to [0, 1]."""
        return self.pixel_entropies(ops.clip(y_true, 0.0, 1.0), y_pred)

    def check_targets(self, y_true) -> None:
        """Raises ValueError if targets are infinite or outside [0, 1]."""
        super().check_targets(y_true)
        outside = ops.logical_or(y_true < -_ROUNDING, y_true > 1 + _ROUNDING)
        refuse_targets(outside, y_true, "in [0, 1], or NaN where not annotated")

    def reduce_pixels(self, values):
        """Returns the sum over the pixels [B, K]: each map is one distribution."""
        return ops.sum(values, axis=(1, 2))

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"activation": self.activation}


@keras.saving.register_keras_serializable(package="wing_tf")
class UnilateralCrossEntropy(_CrossEntropy):
    """Unilateral cross entropy (UCE): cross entropy of a target that does not sum to 1.

        UCE(Q, P) = -sum Q ln P

    over the pixels of a heatmap, where P is the spatial softmax of the predicted map. Only pixels
    with a nonzero target contribute. The minimum is at P = Q / sum Q.

    Args:
        activation: `"softmax"` over each map as in the paper, or `"sigmoid"` of each pixel, with
            which the loss has no minimum. Defaults to `"softmax"`.
        name: Name of the loss. Defaults to `"unilateral_cross_entropy"`.
        **kwargs: `reduction` and `dtype` of `wing_tf.losses.LandmarkLoss`.

    Call arguments:
        y_true: Heatmaps [B, h, w, K] from 0 to 1 with peaks of 1, NaN where a landmark is not
            annotated.
        y_pred: Logits [B, h, w, K].
        sample_weight: Weights of the faces [B] or [B, 1], or of the landmarks [B, K].

    Raises:
        ValueError: If ``activation`` is unknown, or, in the call, if a softmax map has one pixel,
            or if a target is outside [0, 1] in eager execution. In a compiled step, where values
            are not known, targets are clipped: outside [0, 1] the loss has no minimum.

    Examples:
        >>> import numpy as np
        >>> target = np.array([0.75, 0.25]).reshape(1, 1, 2, 1)
        >>> round(float(UnilateralCrossEntropy()(target, np.zeros((1, 1, 2, 1)))), 6)  # ln 2
        0.693147

    Reference:
        Yang et al., Stacked Multi-Target Network for Robust Facial Landmark Localisation, CVPR
        Workshops 2019, equations 6 and 9.
    """

    def __init__(self, *, activation="softmax", name="unilateral_cross_entropy", **kwargs):
        super().__init__(activation=activation, name=name, **kwargs)

    def pixel_entropies(self, y_true, y_pred):
        """Returns the loss of each pixel [B, h, w, K]."""
        return -y_true * log_probabilities(y_pred, self.activation)[0]


@keras.saving.register_keras_serializable(package="wing_tf")
class BilateralInhibitionCrossEntropy(_CrossEntropy):
    """Bilateral inhibition cross entropy (BICE): cross entropy that also inhibits the background.

        BICE(Q, P) = -sum (Q ln P + (1 - Q) ln(1 - P))

    over the pixels of a heatmap, where P is the spatial softmax of the predicted map. For two
    pixels the minimum is at P1 = (1 + Q1 - Q2) / 2, a margin of |Q1 - Q2|, while UCE has the margin
    |Q1 - Q2| / (Q1 + Q2). If Q1 + Q2 > 1, the margin of BICE is larger, which is the paper's
    argument. For whole heatmaps, whose targets sum to far more than 1, both losses are nearly one:
    1 - P is close to 1, the second term then close to P, whose sum is 1 for a softmax. The cosine
    of their gradients is 1 for the maps of an untrained network and .995 for maps close to their
    targets (32 px, sigma 1); only the sigmoid form of BICE differs from UCE.

    Args:
        activation: `"softmax"` over each map as in the paper, or `"sigmoid"` of each pixel, which
            is the usual binary cross entropy. Defaults to `"softmax"`.
        name: Name of the loss. Defaults to `"bilateral_inhibition_cross_entropy"`.
        **kwargs: `reduction` and `dtype` of `wing_tf.losses.LandmarkLoss`.

    Call arguments:
        y_true: Heatmaps [B, h, w, K] from 0 to 1 with peaks of 1, NaN where a landmark is not
            annotated.
        y_pred: Logits [B, h, w, K].
        sample_weight: Weights of the faces [B] or [B, 1], or of the landmarks [B, K].

    Raises:
        ValueError: If ``activation`` is unknown, or, in the call, if a softmax map has one pixel,
            or if a target is outside [0, 1] in eager execution. In a compiled step, where values
            are not known, targets are clipped: outside [0, 1] the loss has no minimum.

    Examples:
        >>> import numpy as np
        >>> target = np.array([1.0, 0.5]).reshape(1, 1, 2, 1)
        >>> loss = BilateralInhibitionCrossEntropy()
        >>> round(float(loss(target, np.zeros((1, 1, 2, 1)))), 6)  # 2 ln 2
        1.386294

    Reference:
        Yang et al., Stacked Multi-Target Network for Robust Facial Landmark Localisation, CVPR
        Workshops 2019, equations 8 and 12 to 14.
    """

    def __init__(
        self, *, activation="softmax", name="bilateral_inhibition_cross_entropy", **kwargs
    ):
        super().__init__(activation=activation, name=name, **kwargs)

    def pixel_entropies(self, y_true, y_pred):
        """Returns the loss of each pixel [B, h, w, K]."""
        log_p, log_not_p = log_probabilities(y_pred, self.activation)
        return -(y_true * log_p + (1.0 - y_true) * log_not_p)
