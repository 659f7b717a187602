"""Base class of losses of heatmaps, and the mean squared error."""

import abc

import keras
from keras import ops

from wing_tf.losses.base import LandmarkLoss, to_float32


def mask_heatmaps(y_true):
    """Returns targets without NaN, and a float32 mask: 0 for landmarks with a NaN, else 1.

    Targets that are not annotated become 0 before a loss is computed: its gradient would be NaN
    even if its value were masked.

    Args:
        y_true: Heatmaps, float32 [B, h, w, K], or pixels of another shape, each by itself.

    Returns:
        The targets, and the mask [B, 1, 1, K], or of the shape of ``y_true``.
    """
    missing = ops.isnan(y_true)
    if len(y_true.shape) == 4:
        missing = ops.any(missing, axis=(1, 2), keepdims=True)
    return ops.where(missing, 0.0, y_true), ops.cast(ops.logical_not(missing), "float32")


class HeatmapLoss(LandmarkLoss, abc.ABC):
    """Base class of losses of heatmaps.

    The values of the pixels are reduced to one value per landmark [B, K], so that
    ``sample_weight`` [B, K] can exclude landmarks, as NaN in a landmark's heatmap does. Subclasses
    define `pixel_losses`.
    """

    @abc.abstractmethod
    def pixel_losses(self, y_true, y_pred):
        """Returns the loss of each pixel [B, h, w, K] for float32 heatmaps [B, h, w, K]."""

    def call(self, y_true, y_pred):
        """Returns the loss per landmark [B, K] for heatmaps [B, h, w, K]."""
        y_true, y_pred = to_float32(y_true, y_pred, "[B, h, w, K]")
        check_rank(y_true)
        y_true, mask = mask_heatmaps(y_true)
        return self.reduce_pixels(self.pixel_losses(y_true, y_pred)) * mask[:, 0, 0]

    def annotated(self, y_true):
        """Returns a mask [B, K]: 0 where a heatmap holds NaN, else 1."""
        check_rank(y_true)
        return mask_heatmaps(y_true)[1][:, 0, 0]

    def reduce_pixels(self, values):
        """Returns the mean over the pixels [B, K]."""
        return ops.mean(values, axis=(1, 2))


def check_rank(y_true) -> None:
    """Raises ValueError if heatmaps are not of rank 4."""
    if len(y_true.shape) != 4:
        raise ValueError(f"Heatmaps must be [B, h, w, K]. Received: {tuple(y_true.shape)}.")


@keras.saving.register_keras_serializable(package="wing_tf")
class HeatmapSquaredError(HeatmapLoss):
    """Mean squared error of heatmaps, (p - y)^2, per landmark.

    The mean squared error of Keras averages over the last axis, which holds the landmarks.

    Call arguments:
        y_true: Heatmaps [B, h, w, K], NaN where a landmark is not annotated.
        y_pred: Predicted heatmaps [B, h, w, K].
        sample_weight: Weights of the faces [B] or [B, 1], or of the landmarks [B, K].

    Examples:
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
