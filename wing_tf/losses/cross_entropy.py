"""Cross entropies of heatmaps, from logits: unilateral (UCE) and bilateral inhibition (BICE)."""

import abc

import keras
from keras import ops

from wing_tf.losses.heatmap import HeatmapLoss

ACTIVATIONS = ("softmax", "sigmoid")

_NOTHING = -1e9  # exp of it is 0


def log_probabilities(logits, activation: str = "softmax"):
    """Returns ln P and ln(1 - P) of heatmaps, finite and accurate for logits of any size.

    Args:
        logits: float32 [B, h, w, K], of two or more pixels.
        activation: "softmax" over the pixels of each map, or "sigmoid" of each pixel.

    Returns:
        Two tensors like ``logits``.

    Raises:
        ValueError: if a map has less than two pixels: 1 - P would be 0.
    """
    if activation == "sigmoid":
        return ops.log_sigmoid(logits), ops.log_sigmoid(-logits)
    shape = tuple(logits.shape)
    num_pixels = shape[1] * shape[2]
    if num_pixels < 2:
        raise ValueError(f"Heatmaps must have two or more pixels. Received: {shape}.")
    flat = ops.reshape(logits, (-1, num_pixels, shape[3]))
    flat = flat - ops.stop_gradient(ops.max(flat, axis=1, keepdims=True))  # exact near the peak
    log_sum = ops.logsumexp(flat, axis=1, keepdims=True)
    log_p = flat - log_sum
    # The peak's 1 - P is the sum of all others, which 1 - P rounds to 0 when they are small; all
    # others have P <= 1/2. The peak is left out before exp, for the sake of the gradients.
    pixels = ops.arange(num_pixels, dtype="int32")[None, :, None]
    at_peak = pixels == ops.cast(ops.argmax(flat, axis=1, keepdims=True), "int32")
    others = ops.where(at_peak, ops.min(flat, axis=1, keepdims=True), flat)
    second = ops.stop_gradient(ops.max(others, axis=1, keepdims=True))
    others = ops.exp(ops.where(at_peak, _NOTHING, flat - second))
    log_others = second + ops.log(ops.sum(others, axis=1, keepdims=True)) - log_sum
    log_not_p = ops.log1p(-ops.exp(ops.where(at_peak, _NOTHING, log_p)))
    log_not_p = ops.where(at_peak, log_others, log_not_p)
    like = (-1, *shape[1:])
    return ops.reshape(log_p, like), ops.reshape(log_not_p, like)


class _CrossEntropy(HeatmapLoss, abc.ABC):
    """What both have: the activation, and a sum over pixels, as the paper has it, not a mean."""

    def __init__(
        self, *, activation="softmax", reduction="sum_over_batch_size", name=None, dtype="float32"
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"`activation` must be one of {', '.join(ACTIVATIONS)}. "
                f"Received: activation={activation!r}."
            )
        self.activation = activation

    def reduce_pixels(self, values):
        """Returns the sum over pixels [B, K]: each map is one distribution."""
        return ops.sum(values, axis=(1, 2))

    def get_config(self):
        """Returns what `from_config` needs."""
        return super().get_config() | {"activation": self.activation}


@keras.saving.register_keras_serializable(package="wing_tf")
class UnilateralCrossEntropy(_CrossEntropy):
    """UCE: cross entropy whose target need not sum to 1.

        UCE(Q, P) = -sum Q ln P

    over the pixels of a map, with P the spatial softmax of the predicted one. Only pixels where the
    target is not zero count by themselves; its minimum is P = Q / sum Q.

    Args:
        activation: "softmax" over each map (the paper), or "sigmoid" of each pixel; the latter has
            no minimum, for want of the other side.
        reduction: as in every Keras loss. Avoid "mean_with_sample_weight" on several replicas.
        name: the loss's name.
        dtype: what targets and predictions are cast to before the loss is computed.

    Call arguments:
        y_true: heatmaps [B, h, w, K] in 0..1, peaks of 1.
        y_pred: logits [B, h, w, K]. The values per landmark are [B, K], sums over the pixels, and
            ``sample_weight`` is [B, K].

    Raises:
        ValueError: on an unknown activation; when called, on maps of one pixel with softmax.

    Example:
        >>> import numpy as np
        >>> target = np.array([0.75, 0.25]).reshape(1, 1, 2, 1)
        >>> round(float(UnilateralCrossEntropy()(target, np.zeros((1, 1, 2, 1)))), 6)  # ln 2
        0.693147

    Reference:
        Yang et al., Stacked Multi-Target Network for Robust Facial Landmark Localization, CVPR
        Workshops 2019, equations 6 and 9.
    """

    def __init__(
        self,
        *,
        activation="softmax",
        reduction="sum_over_batch_size",
        name="unilateral_cross_entropy",
        dtype="float32",
    ):
        super().__init__(activation=activation, reduction=reduction, name=name, dtype=dtype)

    def pixel_losses(self, y_true, y_pred):
        """Returns [B, h, w, K]."""
        return -y_true * log_probabilities(y_pred, self.activation)[0]


@keras.saving.register_keras_serializable(package="wing_tf")
class BilateralInhibitionCrossEntropy(_CrossEntropy):
    """BICE: cross entropy that also holds down the pixels where the target is zero.

        BICE(Q, P) = -sum (Q ln P + (1 - Q) ln(1 - P))

    over the pixels of a map, with P the spatial softmax of the predicted one. Of two pixels its
    minimum is P1 = (1 + Q1 - Q2) / 2: a margin of |Q1 - Q2|, where UCE has |Q1 - Q2| / (Q1 + Q2).
    Of two pixels the margin is larger wherever Q1 + Q2 > 1; so the paper's argument. Of a whole
    map, whose target sums to far more than 1, both maps are of about the same shape.

    Args:
        activation: "softmax" over each map (the paper), or "sigmoid" of each pixel: the usual
            binary cross entropy.
        reduction: as in every Keras loss. Avoid "mean_with_sample_weight" on several replicas.
        name: the loss's name.
        dtype: what targets and predictions are cast to before the loss is computed.

    Call arguments:
        y_true: heatmaps [B, h, w, K] in 0..1, peaks of 1.
        y_pred: logits [B, h, w, K]. The values per landmark are [B, K], sums over the pixels, and
            ``sample_weight`` is [B, K].

    Raises:
        ValueError: on an unknown activation; when called, on maps of one pixel with softmax.

    Example:
        >>> import numpy as np
        >>> target = np.array([1.0, 0.5]).reshape(1, 1, 2, 1)
        >>> loss = BilateralInhibitionCrossEntropy()
        >>> round(float(loss(target, np.zeros((1, 1, 2, 1)))), 6)  # 2 ln 2
        1.386294

    Reference:
        Yang et al., Stacked Multi-Target Network for Robust Facial Landmark Localization, CVPR
        Workshops 2019, equations 8 and 12 to 14.
    """

    def __init__(
        self,
        *,
        activation="softmax",
        reduction="sum_over_batch_size",
        name="bilateral_inhibition_cross_entropy",
        dtype="float32",
    ):
        super().__init__(activation=activation, reduction=reduction, name=name, dtype=dtype)

    def pixel_losses(self, y_true, y_pred):
        """Returns [B, h, w, K]."""
        log_p, log_not_p = log_probabilities(y_pred, self.activation)
        return -(y_true * log_p + (1.0 - y_true) * log_not_p)
