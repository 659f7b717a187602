"""Losses for landmark localization, for any Keras backend."""

from wing_tf.losses.adaptive_wing import AdaptiveWingLoss, adaptive_wing_loss
from wing_tf.losses.base import LandmarkLoss
from wing_tf.losses.coordinate import (
    AbsoluteError,
    CoordinateLoss,
    HalfSquaredError,
    SmoothL1Error,
    half_squared_error,
    warn_if_normalized,
)
from wing_tf.losses.cross_entropy import (
    BilateralInhibitionCrossEntropy,
    UnilateralCrossEntropy,
)
from wing_tf.losses.heatmap import HeatmapLoss, HeatmapSquaredError
from wing_tf.losses.residual import SubpixelResidualLoss
from wing_tf.losses.weighted_map import WeightedLossMap, loss_weight_map
from wing_tf.losses.wing import WingLoss, wing_loss

COORDINATE_LOSSES = {
    "l2": HalfSquaredError,
    "l1": AbsoluteError,
    "smooth_l1": SmoothL1Error,
    "wing": WingLoss,
}

# Losses of logits: the network's maps are not probabilities.
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
    "CoordinateLoss",
    "HalfSquaredError",
    "HeatmapLoss",
    "HeatmapSquaredError",
    "LandmarkLoss",
    "SmoothL1Error",
    "SubpixelResidualLoss",
    "UnilateralCrossEntropy",
    "WeightedLossMap",
    "WingLoss",
    "adaptive_wing_loss",
    "half_squared_error",
    "loss_weight_map",
    "warn_if_normalized",
    "wing_loss",
]
