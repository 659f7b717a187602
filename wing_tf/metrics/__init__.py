"""Scores of landmark predictions: normalized errors, failure rate, AUC, PCK and intervals."""

from wing_tf.metrics.scores import (
    bootstrap_interval,
    ced_auc,
    ced_curve,
    failure_rate,
    nmde,
    nme,
    normalizing_distance,
    observer_centric,
    paired_bootstrap,
    pck,
    point_errors,
)

__all__ = [
    "bootstrap_interval",
    "ced_auc",
    "ced_curve",
    "failure_rate",
    "nmde",
    "nme",
    "normalizing_distance",
    "observer_centric",
    "paired_bootstrap",
    "pck",
    "point_errors",
]
