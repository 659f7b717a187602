"""Losses for landmark localisation, as `keras.losses.Loss` classes on any Keras backend."""

from wing_tf.losses.coordinate import (
    AbsoluteError,
    HalfSquaredError,
    SmoothL1Error,
    half_squared_error,
)
from wing_tf.losses.wing import WingLoss, wing_loss

LOSSES = {
    "l2": HalfSquaredError,
    "l1": AbsoluteError,
    "smooth_l1": SmoothL1Error,
    "wing": WingLoss,
}

__all__ = [
    "LOSSES",
    "AbsoluteError",
    "HalfSquaredError",
    "SmoothL1Error",
    "WingLoss",
    "half_squared_error",
    "wing_loss",
]
