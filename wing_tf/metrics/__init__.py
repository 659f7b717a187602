"""Errors and scores of landmark predictions, in NumPy."""

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

__all__ = [
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
