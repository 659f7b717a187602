"""Wing loss."""

import math

import keras
from keras import ops

from wing_tf.losses.coordinate import CoordinateLoss, float32_difference


def wing_loss(y_true, y_pred, *, width: float = 10.0, curvature: float = 2.0):
    """Returns Wing loss per landmark; see `WingLoss` for the formula and the shapes."""
    error = ops.abs(float32_difference(y_true, y_pred))
    constant = width - width * math.log1p(width / curvature)
    near = width * ops.log1p(error / curvature)
    return ops.mean(ops.where(error < width, near, error - constant), axis=-1)


@keras.saving.register_keras_serializable(package="wing_tf")
class WingLoss(CoordinateLoss):
    """Logarithmic for small errors, linear for large ones: small errors count more than in L1.

    With x the error of one coordinate in **pixels of the network's input**,

        wing(x) = w ln(1 + |x| / epsilon)   if |x| < w,   else |x| - C,
        C = w - w ln(1 + w / epsilon).

    On coordinates scaled to [0, 1] every error lies far below ``width`` and the loss is no more
    than a scaled L1: multiply targets and predictions by the input's side first.

    Args:
        width: w, in pixels, where the logarithm ends. The paper: 10 for 64 px, 15 for 128 px.
        curvature: epsilon, in pixels. The paper: 2 for 64 px, 3 for 128 px.
        reduction: as in every Keras loss. Avoid "mean_with_sample_weight" on several replicas.
        name: the loss's name.
        dtype: what targets and predictions are cast to before the loss is computed.

    Call arguments:
        y_true, y_pred: [B, K, 2], pixels; the values per landmark are [B, K] (the mean over x and
            y), and ``sample_weight`` is [B, K]. Flat coordinates [B, 2K] give [B].

    Raises:
        ValueError: if ``width`` or ``curvature`` is not positive.

    Example:
        >>> loss = WingLoss(width=10, curvature=2)
        >>> round(float(loss([[[0.0, 0.0]]], [[[1.0, 15.0]]])), 6)  # (4.054651 + 22.917595) / 2
        13.486123

    Reference:
        Feng et al., Wing Loss for Robust Facial Landmark Localization with Convolutional Neural
        Networks, CVPR 2018, equation 5. The first arXiv version prints C = 1 - ln(1 + w/epsilon),
        with which the loss jumps at |x| = w; that is an erratum.
    """

    def __init__(
        self,
        *,
        width: float = 10.0,
        curvature: float = 2.0,
        reduction="sum_over_batch_size",
        name="wing_loss",
        dtype="float32",
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        for key, value in (("width", width), ("curvature", curvature)):
            if not value > 0 or not math.isfinite(value):
                raise ValueError(f"`{key}` must be positive and finite. Received: {key}={value}.")
        self.width = float(width)
        self.curvature = float(curvature)

    def call(self, y_true, y_pred):
        """Returns [B, K] for [B, K, 2]."""
        return wing_loss(y_true, y_pred, width=self.width, curvature=self.curvature)

    def get_config(self):
        """Returns what `from_config` needs."""
        return {**super().get_config(), "width": self.width, "curvature": self.curvature}
