"""L2, L1 and smooth L1 losses of landmark coordinates, as compared in the Wing paper.

They take landmarks [B, K, 2] in pixels of the network's input and return the mean over x and y, one
value per landmark [B, K]. Flat coordinates [B, 2K] give [B].
"""

import keras
from keras import ops

from wing_tf.losses.base import LandmarkLoss, to_float32


def coordinate_errors(y_true, y_pred):
    """Returns y_pred - y_true in float32, after checking that the shapes are equal."""
    y_true, y_pred = to_float32(y_true, y_pred, "[B, K, 2] or [B, 2K]")
    return y_pred - y_true


@keras.saving.register_keras_serializable(package="wing_tf")
def half_squared_error(y_true, y_pred):
    """Returns the mean of x^2 / 2 over the last axis; see `HalfSquaredError`."""
    error = coordinate_errors(y_true, y_pred)
    return ops.mean(0.5 * error * error, axis=-1)


@keras.saving.register_keras_serializable(package="wing_tf")
class HalfSquaredError(LandmarkLoss):
    """The L2 loss of the papers, x^2 / 2. The mean squared error of Keras lacks the factor 1/2.

    Example:
        >>> float(HalfSquaredError()([[[0.0, 0.0]]], [[[3.0, 1.0]]]))  # (9 / 2 + 1 / 2) / 2
        2.5

    Reference:
        Feng et al., Wing Loss, CVPR 2018, equation 3.
    """

    def call(self, y_true, y_pred):
        """Returns the loss per landmark [B, K]."""
        return half_squared_error(y_true, y_pred)


@keras.saving.register_keras_serializable(package="wing_tf")
class AbsoluteError(LandmarkLoss):
    """The L1 loss, |x|.

    Example:
        >>> float(AbsoluteError()([[[0.0, 0.0]]], [[[3.0, -1.0]]]))
        2.0

    Reference:
        Feng et al., Wing Loss, CVPR 2018, section 4.2.
    """

    def call(self, y_true, y_pred):
        """Returns the loss per landmark [B, K]."""
        return ops.mean(ops.abs(coordinate_errors(y_true, y_pred)), axis=-1)


@keras.saving.register_keras_serializable(package="wing_tf")
class SmoothL1Error(LandmarkLoss):
    """The smooth L1 loss: x^2 / 2 if |x| < 1, else |x| - 1/2 (Huber loss with delta 1).

    Example:
        >>> float(SmoothL1Error()([[[0.0, 0.0]]], [[[3.0, 1.0]]]))  # (2.5 + 0.5) / 2
        1.5

    Reference:
        Girshick, Fast R-CNN, ICCV 2015; Feng et al., Wing Loss, CVPR 2018, equation 4.
    """

    def call(self, y_true, y_pred):
        """Returns the loss per landmark [B, K]."""
        error = coordinate_errors(y_true, y_pred)
        return keras.losses.huber(ops.zeros_like(error), error, delta=1.0)
