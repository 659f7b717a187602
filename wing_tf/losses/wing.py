"""Wing loss."""

import math

import keras
from keras import ops

from wing_tf.losses.base import LandmarkLoss, check_positive
from wing_tf.losses.coordinate import coordinate_errors


@keras.saving.register_keras_serializable(package="wing_tf")
def wing_loss(y_true, y_pred, *, width: float = 10.0, curvature: float = 2.0):
    """Returns the Wing loss per landmark; see `WingLoss` for the formula and the shapes."""
    error = ops.abs(coordinate_errors(y_true, y_pred))
    constant = width - width * math.log1p(width / curvature)
    near = width * ops.log1p(error / curvature)
    return ops.mean(ops.where(error < width, near, error - constant), axis=-1)


@keras.saving.register_keras_serializable(package="wing_tf")
class WingLoss(LandmarkLoss):
    """Wing loss of landmark coordinates: logarithmic for small errors, linear for large ones.

    The gradient of L1 has the same magnitude for all errors, so large ones dominate the training.
    Wing loss amplifies small and medium errors. With x the error of one coordinate in pixels of the
    network's input,

        wing(x) = w ln(1 + |x| / epsilon)   if |x| < w,   else |x| - C,
        C = w - w ln(1 + w / epsilon).

    For coordinates scaled to [0, 1] all errors are far below ``width`` and the loss is just a
    scaled L1: multiply targets and predictions by the side of the input first.

    Args:
        width: w, in input pixels, where the logarithm ends. The paper uses 10 for 64 px and 15 for
            128 px inputs. Defaults to 10.
        curvature: epsilon, in input pixels. The paper uses 2 for 64 px and 3 for 128 px inputs.
            Defaults to 2.
        name: Name of the loss. Defaults to `"wing_loss"`.
        **kwargs: `reduction` and `dtype` of `wing_tf.losses.LandmarkLoss`.

    Call arguments:
        y_true: Ground truth [B, K, 2] or flat [B, 2K], in input pixels.
        y_pred: Predictions of the same shape.
        sample_weight: Weights of the landmarks [B, K], or [B] for flat coordinates.

    Raises:
        ValueError: If ``width`` or ``curvature`` is not positive.

    Example:
        >>> loss = WingLoss(width=10, curvature=2)
        >>> round(float(loss([[[0.0, 0.0]]], [[[1.0, 15.0]]])), 6)  # (4.054651 + 22.917595) / 2
        13.486123

    Reference:
        Feng et al., Wing Loss for Robust Facial Landmark Localisation with Convolutional Neural
        Networks, CVPR 2018, equation 5. The first arXiv version prints C = 1 - ln(1 + w/epsilon),
        with which the loss is discontinuous at |x| = w; that is an erratum.
    """

    def __init__(self, *, width: float = 10.0, curvature: float = 2.0, name="wing_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        check_positive(width=width, curvature=curvature)
        self.width = float(width)
        self.curvature = float(curvature)

    def call(self, y_true, y_pred):
        """Returns the loss per landmark [B, K]."""
        return wing_loss(y_true, y_pred, width=self.width, curvature=self.curvature)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"width": self.width, "curvature": self.curvature}
