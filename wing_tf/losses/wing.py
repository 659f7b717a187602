"""Wing loss."""

import math

import keras
from keras import ops

from wing_tf.losses.base import check_positive
from wing_tf.losses.coordinate import CoordinateLoss, mask_coordinates


@keras.saving.register_keras_serializable(package="wing_tf")
def wing_loss(y_true, y_pred, *, width: float = 10.0, curvature: float = 2.0):
    """Returns the Wing loss per landmark; see `WingLoss` for the formula and the shapes.

    A landmark whose target holds NaN has a loss of 0.

    Raises:
        ValueError: If ``width`` or ``curvature`` is not positive, or if the shapes differ.
    """
    check_positive(width=width, curvature=curvature)
    y_true, y_pred, mask = mask_coordinates(y_true, y_pred)
    return ops.mean(_wing(y_pred - y_true, width, curvature) * mask, axis=-1)


def _wing(error, width: float, curvature: float):
    error = ops.abs(error)
    constant = width - width * math.log1p(width / curvature)
    near = width * ops.log1p(error / curvature)
    return ops.where(error < width, near, error - constant)


@keras.saving.register_keras_serializable(package="wing_tf")
class WingLoss(CoordinateLoss):
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
        y_true: Ground truth [B, K, 2] or flat [B, 2K] in the order x0, y0, x1, ..., in input
            pixels. NaN where a landmark is not annotated.
        y_pred: Predictions of the same shape.
        sample_weight: Weights of the faces [B] or [B, 1], or of the landmarks [B, K]; flat
            coordinates take weights of the faces only.

    Raises:
        ValueError: If ``width`` or ``curvature`` is not positive, or, in the call, as in
            `LandmarkLoss`.

    Examples:
        >>> loss = WingLoss(width=10, curvature=2)
        >>> round(float(loss([[[0.0, 0.0]]], [[[1.0, 15.0]]])), 6)  # (4.054651 + 22.917595) / 2
        13.486123

    Reference:
        Feng et al., Wing Loss for Robust Facial Landmark Localisation with Convolutional Neural
        Networks, CVPR 2018, equation 5. The first arXiv version prints C = 1 - ln(1 + w/epsilon),
        with which the loss is discontinuous at |x| = w; that is an erratum.
    """

    paper_names = {"w": "width", "epsilon": "curvature"}

    def __init__(self, *, width: float = 10.0, curvature: float = 2.0, name="wing_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        check_positive(width=width, curvature=curvature)
        self.width = float(width)
        self.curvature = float(curvature)

    def coordinate_losses(self, y_true, y_pred):
        """Returns the Wing loss of each coordinate."""
        return _wing(y_pred - y_true, self.width, self.curvature)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"width": self.width, "curvature": self.curvature}
