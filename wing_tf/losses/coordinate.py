"""The L2, L1 and smooth L1 losses that the Wing paper compares (its section 4.2).

All of them take landmarks [B, K, 2] and return one value per landmark [B, K] (the mean over x and
y); flat coordinates [B, 2K] give [B]. Keras reduces what they return. Errors are in pixels of the
network's input. Inputs of half precision are computed in float32.
"""

import keras
from keras import ops


def float32_difference(y_true, y_pred):
    """Returns y_pred - y_true in float32, after checking that nothing broadcasts."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true)
    check_shapes(y_true, y_pred, "[B, K, 2] or [B, 2K]")
    return ops.cast(y_pred, "float32") - ops.cast(y_true, "float32")


def check_shapes(y_true, y_pred, layout: str) -> None:
    """Raises ValueError where the known parts of two tensors' shapes differ.

    A [B, K, 2] target beside a [B, 2K] prediction would broadcast, or fail far from here.
    """
    shapes = tuple(y_true.shape), tuple(y_pred.shape)
    same_rank = len(shapes[0]) == len(shapes[1])
    if not same_rank or any(
        a is not None and b is not None and a != b for a, b in zip(*shapes, strict=True)
    ):
        raise ValueError(
            f"`y_true` and `y_pred` must have one shape, {layout}. "
            f"Received: y_true.shape={shapes[0]}, y_pred.shape={shapes[1]}."
        )


def half_squared_error(y_true, y_pred):
    """Returns the mean of x^2 / 2 over the last axis; see `HalfSquaredError`."""
    difference = float32_difference(y_true, y_pred)
    return ops.mean(0.5 * difference * difference, axis=-1)


class CoordinateLoss(keras.losses.Loss):
    """Base of the losses on coordinates.

    Computes in float32 whatever the policy, so that half precision can't overflow
    or underflow: Keras casts targets and predictions to the loss's ``dtype`` before `call`.
    """

    def __init__(self, *, reduction="sum_over_batch_size", name=None, dtype="float32"):
        super().__init__(name=name, reduction=reduction, dtype=dtype)


@keras.saving.register_keras_serializable(package="wing_tf")
class HalfSquaredError(CoordinateLoss):
    """The papers' L2 loss, x^2 / 2 (Keras' mean squared error has no 1/2).

    Example:
        >>> float(HalfSquaredError()([[[0.0, 0.0]]], [[[3.0, 1.0]]]))  # (9 / 2 + 1 / 2) / 2
        2.5

    Reference:
        Feng et al., Wing Loss, CVPR 2018, equation 3.
    """

    def call(self, y_true, y_pred):
        """Returns [B, K] for [B, K, 2]."""
        return half_squared_error(y_true, y_pred)


@keras.saving.register_keras_serializable(package="wing_tf")
class AbsoluteError(CoordinateLoss):
    """The L1 loss, |x|.

    Example:
        >>> float(AbsoluteError()([[[0.0, 0.0]]], [[[3.0, -1.0]]]))
        2.0

    Reference:
        Feng et al., Wing Loss, CVPR 2018, section 4.2.
    """

    def call(self, y_true, y_pred):
        """Returns [B, K] for [B, K, 2]."""
        return ops.mean(ops.abs(float32_difference(y_true, y_pred)), axis=-1)


@keras.saving.register_keras_serializable(package="wing_tf")
class SmoothL1Error(CoordinateLoss):
    """The smooth L1 loss: x^2 / 2 where |x| < 1, else |x| - 1/2 (Huber with delta 1).

    Example:
        >>> float(SmoothL1Error()([[[0.0, 0.0]]], [[[3.0, 1.0]]]))  # (2.5 + 0.5) / 2
        1.5

    Reference:
        Girshick, Fast R-CNN, ICCV 2015; Feng et al., Wing Loss, CVPR 2018, equation 4.
    """

    def call(self, y_true, y_pred):
        """Returns [B, K] for [B, K, 2]."""
        difference = float32_difference(y_true, y_pred)
        return keras.losses.huber(ops.zeros_like(difference), difference, delta=1.0)
