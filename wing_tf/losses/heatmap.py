"""Base class of losses of heatmaps, and the mean squared error."""

import abc

import keras
from keras import ops

from wing_tf.losses.base import LandmarkLoss, to_float32


class HeatmapLoss(LandmarkLoss, abc.ABC):
    """Base class of losses of heatmaps.

    The values of the pixels are reduced to one value per landmark [B, K], so that
    ``sample_weight`` [B, K] can exclude landmarks that are not annotated. Subclasses define
    `pixel_losses`.
    """

    @abc.abstractmethod
    def pixel_losses(self, y_true, y_pred):
        """Returns the loss of each pixel [B, h, w, K] for float32 heatmaps [B, h, w, K]."""

    def call(self, y_true, y_pred):
        """Returns the loss per landmark [B, K] for heatmaps [B, h, w, K]."""
        y_true, y_pred = to_float32(y_true, y_pred, "[B, h, w, K]")
        if len(y_true.shape) != 4:
            raise ValueError(f"Heatmaps must be [B, h, w, K]. Received: {tuple(y_true.shape)}.")
        return self.reduce_pixels(self.pixel_losses(y_true, y_pred))

    def reduce_pixels(self, values):
        """Returns the mean over the pixels [B, K]."""
        return ops.mean(values, axis=(1, 2))


@keras.saving.register_keras_serializable(package="wing_tf")
class HeatmapSquaredError(HeatmapLoss):
    """Mean squared error of heatmaps, (p - y)^2, per landmark.

    The mean squared error of Keras averages over the last axis, which holds the landmarks.

    Example:
        >>> import numpy as np
        >>> float(HeatmapSquaredError()(np.zeros((1, 2, 2, 1)), np.full((1, 2, 2, 1), 3.0)))
        9.0

    Reference:
        Newell et al., Stacked Hourglass Networks for Human Pose Estimation, ECCV 2016; the
        baseline of Wang et al., Adaptive Wing Loss, ICCV 2019, table 7.
    """

    def __init__(self, *, name="heatmap_mse", **kwargs):
        super().__init__(name=name, **kwargs)

    def pixel_losses(self, y_true, y_pred):
        """Returns the squared errors [B, h, w, K]."""
        return ops.square(y_pred - y_true)
