"""Errors and scores of landmark predictions, in NumPy, and two metrics for Keras' `compile`.

The Keras metrics are imported at their first use.
"""

from typing import TYPE_CHECKING, Any

from wing_tf.metrics.bootstrap import bootstrap_interval, paired_bootstrap
from wing_tf.metrics.errors import (
    landmark_errors,
    nme,
    normalizing_distance,
    observer_centric,
    pck,
)
from wing_tf.metrics.reliability import format_reliability, reliability
from wing_tf.metrics.scores import (
    THRESHOLDS,
    ced_auc,
    ced_curve,
    failure_rate,
    format_difference,
    format_interval,
    format_percent,
    format_scores,
    nmde,
    recall_at_precision,
    score_title,
    summarize_errors,
)

if TYPE_CHECKING:
    from wing_tf.metrics.keras_metrics import (
        HeatmapMeanSquaredError as HeatmapMeanSquaredError,
    )
    from wing_tf.metrics.keras_metrics import NormalizedMeanError as NormalizedMeanError

__all__ = [
    "HeatmapMeanSquaredError",
    "NormalizedMeanError",
    "THRESHOLDS",
    "bootstrap_interval",
    "ced_auc",
    "ced_curve",
    "failure_rate",
    "format_difference",
    "format_interval",
    "format_percent",
    "format_reliability",
    "format_scores",
    "landmark_errors",
    "nmde",
    "nme",
    "normalizing_distance",
    "observer_centric",
    "paired_bootstrap",
    "pck",
    "recall_at_precision",
    "reliability",
    "score_title",
    "summarize_errors",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in ("HeatmapMeanSquaredError", "NormalizedMeanError"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from wing_tf.metrics import keras_metrics

        return getattr(keras_metrics, name)
