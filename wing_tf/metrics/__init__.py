"""Scores: exact ones in NumPy (`functional`) and streaming ones for `fit` (`keras_metrics`).

`functional` is imported without Keras; take the streaming metrics from
``wing_tf.metrics.keras_metrics``.
"""

from wing_tf.metrics.functional import (
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
