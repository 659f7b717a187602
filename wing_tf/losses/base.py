"""Base class and argument checks of the losses."""

import math

import keras
from keras import ops


class LandmarkLoss(keras.losses.Loss):
    """Base class of losses that return one value per landmark.

    The loss is computed in float32 whatever the dtype policy, so that half precision neither
    overflows nor underflows.

    Args:
        name: Name of the loss. Defaults to None.
        reduction: Reduction of the values, as in every Keras loss. With several replicas avoid
            `"mean_with_sample_weight"`, which averages per replica. Defaults to
            `"sum_over_batch_size"`.
        dtype: Dtype that Keras casts targets and predictions to. Defaults to `"float32"`.
    """

    def __init__(self, *, name=None, reduction="sum_over_batch_size", dtype="float32"):
        super().__init__(name=name, reduction=reduction, dtype=dtype)


def to_float32(y_true, y_pred, layout: str):
    """Returns targets and predictions as float32 tensors.

    Raises:
        ValueError: If their known dimensions differ. A target [B, K, 2] and a prediction [B, 2K]
            would broadcast, or fail far from here.
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    true, predicted = tuple(y_true.shape), tuple(y_pred.shape)
    if len(true) != len(predicted) or any(
        None not in (a, b) and a != b for a, b in zip(true, predicted, strict=True)
    ):
        raise ValueError(
            f"`y_true` and `y_pred` must have one shape, {layout}. "
            f"Received: y_true.shape={true}, y_pred.shape={predicted}."
        )
    return ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")


def check_positive(**arguments: float) -> None:
    """Raises ValueError if an argument is not positive and finite."""
    for name, value in arguments.items():
        if not 0 < value < math.inf:
            raise ValueError(f"`{name}` must be positive and finite. Received: {name}={value}.")
