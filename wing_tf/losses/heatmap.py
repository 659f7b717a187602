"""What losses on heatmaps share, and the squared error that Adaptive Wing loss is compared with.

All of them take heatmaps [B, h, w, K] and return the mean over pixels (cross entropies: the sum),
one value per landmark [B, K], so that ``sample_weight`` can leave out landmarks that a face does
not have. Inputs of half precision are computed in float32.
"""

import abc

import keras
from keras import ops

from wing_tf.losses.coordinate import check_shapes


class HeatmapLoss(keras.losses.Loss, abc.ABC):
    """Base of the losses on heatmaps: a mean, or a sum, of what each pixel costs.

    Computes in float32 whatever the policy: Keras casts targets and predictions to the loss's
    ``dtype`` before `call`.
    """

    def __init__(self, *, reduction="sum_over_batch_size", name=None, dtype="float32"):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    @abc.abstractmethod
    def pixel_losses(self, y_true, y_pred):
        """Returns [B, h, w, K] for float32 tensors [B, h, w, K]."""

    def call(self, y_true, y_pred):
        """Returns [B, K] for [B, h, w, K]."""
        y_true, y_pred = float32_maps(y_true, y_pred)
        return self.reduce_pixels(self.pixel_losses(y_true, y_pred))

    def reduce_pixels(self, values):
        """Returns the mean over pixels [B, K]."""
        return ops.mean(values, axis=(1, 2))


def float32_maps(y_true, y_pred):
    """Returns both heatmaps in float32, after checking that nothing broadcasts.

    Raises:
        ValueError: if they are not both [B, h, w, K], with the same known sizes.
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    check_shapes(y_true, y_pred, "[B, h, w, K]")
    if len(y_true.shape) != 4:
        raise ValueError(f"Heatmaps must be [B, h, w, K]. Received: {tuple(y_true.shape)}.")
    return ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")


@keras.saving.register_keras_serializable(package="wing_tf")
class HeatmapSquaredError(HeatmapLoss):
    """The mean squared error of heatmaps, (p - y)^2.

    Keras' own averages over the last axis, which are the landmarks here.

    Example:
        >>> import numpy as np
        >>> float(HeatmapSquaredError()(np.zeros((1, 2, 2, 1)), np.full((1, 2, 2, 1), 3.0)))
        9.0

    Reference:
        Newell et al., Stacked Hourglass Networks for Human Pose Estimation, ECCV 2016; the
        baseline of Wang et al., Adaptive Wing Loss, ICCV 2019, table 7.
    """

    def __init__(self, *, reduction="sum_over_batch_size", name="heatmap_mse", dtype="float32"):
        super().__init__(reduction=reduction, name=name, dtype=dtype)

    def pixel_losses(self, y_true, y_pred):
        """Returns [B, h, w, K]."""
        return ops.square(y_pred - y_true)
