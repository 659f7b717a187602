"""Losses for landmark localization, as `keras.losses.Loss` classes on any Keras backend."""

from wing_tf.losses.adaptive_wing import AdaptiveWingLoss, adaptive_wing_loss
from wing_tf.losses.coordinate import (
    AbsoluteError,
    HalfSquaredError,
    SmoothL1Error,
    half_squared_error,
)
from wing_tf.losses.cross_entropy import (
    BilateralInhibitionCrossEntropy,
    UnilateralCrossEntropy,
)
from wing_tf.losses.heatmap import HeatmapSquaredError
from wing_tf.losses.residual import SubpixelResidualLoss
from wing_tf.losses.weighted_map import WeightedLossMap, loss_weight_map
from wing_tf.losses.wing import WingLoss, wing_loss

COORDINATE_LOSSES = {
    "l2": HalfSquaredError,
    "l1": AbsoluteError,
    "smooth_l1": SmoothL1Error,
    "wing": WingLoss,
}

# Of logits: the network's maps are not yet probabilities.
CROSS_ENTROPY_LOSSES = {"uce": UnilateralCrossEntropy, "bice": BilateralInhibitionCrossEntropy}
HEATMAP_LOSSES = {
    "heatmap_mse": HeatmapSquaredError,
    "adaptive_wing": AdaptiveWingLoss,
    **CROSS_ENTROPY_LOSSES,
}

__all__ = [
    "COORDINATE_LOSSES",
    "CROSS_ENTROPY_LOSSES",
    "HEATMAP_LOSSES",
    "AbsoluteError",
    "AdaptiveWingLoss",
    "BilateralInhibitionCrossEntropy",
    "HalfSquaredError",
    "HeatmapSquaredError",
    "SmoothL1Error",
    "SubpixelResidualLoss",
    "UnilateralCrossEntropy",
    "WeightedLossMap",
    "WingLoss",
    "adaptive_wing_loss",
    "half_squared_error",
    "loss_weight_map",
    "wing_loss",
]
