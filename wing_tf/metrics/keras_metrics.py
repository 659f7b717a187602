"""Metrics for `compile`: the NME of landmarks and the squared error of heatmaps."""

import math
from typing import Any

import keras
from keras import ops

from wing_tf.landmarks import LandmarkScheme, get_scheme, scheme_from_dict, scheme_to_dict
from wing_tf.losses.base import fit_weights, to_float32
from wing_tf.losses.heatmap import check_rank, mask_heatmaps


class _Mean(keras.metrics.Metric):
    """A sum and what it is divided by."""

    def __init__(self, *, name: str, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_weight(name="total", initializer="zeros", dtype="float32")
        self.count = self.add_weight(name="count", initializer="zeros", dtype="float32")

    def _add(self, values, weights) -> None:
        """Adds values, float32, with weights of the same shape; values of weight 0 may be NaN."""
        self.total.assign_add(ops.sum(ops.where(weights > 0, weights * values, 0.0)))
        self.count.assign_add(ops.sum(weights))

    def result(self):
        """Returns the mean since the last reset; 0 before the first value."""
        return self.total / ops.where(self.count > 0, self.count, 1.0)


def _landmark_weights(sample_weight, values):
    """Returns weights [B, K] of the values [B, K] of landmarks; see `fit_weights`."""
    ones = ops.ones_like(values)
    return ones if sample_weight is None else ones * fit_weights(sample_weight, values, values)


@keras.saving.register_keras_serializable(package="wing_tf")
class NormalizedMeanError(_Mean):
    """Normalized mean error (NME) of landmarks: the mean over the faces of `wing_tf.metrics.nme`.

    A landmark whose target holds NaN is not annotated and left out, as in the losses. A face is
    left out if a landmark that its normalizer needs is not annotated. A prediction that is NaN
    gives NaN.

    Args:
        scheme: The scheme of the landmarks, or its name.
        normalizer: One of the scheme's normalizers. Defaults to the scheme's own.
        name: Name in the logs. Defaults to `"nme"`.
        dtype: As of every Keras metric.

    Call arguments:
        y_true: Ground truth [B, K, 2] or flat [B, 2K] in the order x0, y0, x1, ..., in any unit.
        y_pred: Predictions of the same shape.
        sample_weight: Weights of the faces [B] or [B, 1], or of the landmarks [B, K]: those with 0
            are left out, and a face counts as its largest weight. Keras passes them to
            ``weighted_metrics`` only.

    Raises:
        ValueError: If a name is unknown, or, in the call, if a shape is invalid.

    Examples:
        >>> import numpy as np
        >>> true = np.random.default_rng(0).uniform(0, 64, (1, 68, 2))
        >>> true[0, 36], true[0, 45] = (10, 30), (50, 30)  # outer eye corners, 40 pixels apart
        >>> round(float(NormalizedMeanError("ibug_68")(true, true + [0, 2])), 4)
        0.05
    """

    def __init__(
        self,
        scheme: LandmarkScheme | str,
        *,
        normalizer: str | None = None,
        name: str = "nme",
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.scheme = get_scheme(scheme)
        self.normalizer = normalizer or self.scheme.default_normalizer
        if self.normalizer not in self.scheme.normalizers:
            raise ValueError(
                f"`normalizer` must be one of {', '.join(self.scheme.normalizers)} for "
                f"{self.scheme.name}. Received: normalizer={normalizer!r}."
            )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch of ground truth and predictions."""
        count = self.scheme.num_landmarks
        layout = f"[B, {count}, 2] or [B, {2 * count}]"
        y_true, y_pred = to_float32(y_true, y_pred, layout)
        if tuple(y_pred.shape[1:]) not in ((count, 2), (2 * count,)):
            raise ValueError(f"Landmarks must be {layout}. Received: {tuple(y_pred.shape)}.")
        y_true, y_pred = (ops.reshape(y, (-1, count, 2)) for y in (y_true, y_pred))
        left, right = (
            ops.mean(ops.take(y_true, list(group), axis=1), axis=1)
            for group in self.scheme.normalizers[self.normalizer]
        )
        distance = ops.sqrt(ops.sum(ops.square(left - right), axis=-1))
        annotated = ops.logical_not(ops.any(ops.isnan(y_true), axis=-1))
        errors = ops.sqrt(ops.sum(ops.square(y_pred - y_true), axis=-1))
        weights = _landmark_weights(sample_weight, errors)
        counted = ops.cast(ops.logical_and(annotated, weights > 0), "float32")
        total = ops.sum(ops.where(counted > 0, errors, 0.0), axis=-1)
        num = ops.sum(counted, axis=-1)
        has_score = ops.logical_and(distance > 0, num > 0)
        nme = total / ops.where(num > 0, num, 1.0) / ops.where(distance > 0, distance, 1.0)
        self._add(nme, ops.cast(has_score, "float32") * ops.max(weights, axis=-1))

    def get_config(self):
        """Returns the constructor's arguments."""
        own = {"scheme": scheme_to_dict(self.scheme), "normalizer": self.normalizer}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config):
        """Returns the metric of a config."""
        return cls(**{**config, "scheme": scheme_from_dict(config["scheme"])})


@keras.saving.register_keras_serializable(package="wing_tf")
class HeatmapMeanSquaredError(_Mean):
    """Mean squared error over the pixels of heatmaps, or over their foreground pixels.

    Args:
        foreground: Only pixels whose target is at least this value are counted. Defaults to 0, all.
            # The paper is silent: .05 is the lowest value in its patch of 7 x 7 pixels.
        name: Name in the logs. Defaults to `"heatmap_mse"`.
        dtype: As of every Keras metric.

    Call arguments:
        y_true: Heatmaps [B, h, w, K], NaN where a landmark is not annotated.
        y_pred: Predicted heatmaps [B, h, w, K].
        sample_weight: Weights of the faces [B] or [B, 1], or of the landmarks [B, K]. Heatmaps of
            weight 0 are left out, the others count the same.

    Raises:
        ValueError: If `foreground` is not in [0, 1), or, in the call, if a shape is invalid.

    Examples:
        >>> import numpy as np
        >>> target = np.array([0.0, 0.0, 0.0, 1.0]).reshape(1, 2, 2, 1)
        >>> float(HeatmapMeanSquaredError(foreground=0.5)(target, target / 2))
        0.25

    Reference:
        Wang, Bo and Li, Adaptive Wing Loss, ICCV 2019, table 10.
    """

    def __init__(self, *, foreground: float = 0.0, name: str = "heatmap_mse", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        if not 0 <= foreground < 1:
            raise ValueError(f"`foreground` must be in [0, 1). Received: foreground={foreground}.")
        self.foreground = float(foreground)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch of targets and predictions."""
        y_true, y_pred = to_float32(y_true, y_pred, "[B, h, w, K]")
        check_rank(y_true)
        y_true, present = mask_heatmaps(y_true)
        weights = _landmark_weights(sample_weight, present[:, 0, 0])[:, None, None, :]
        counted = ops.logical_and(present * weights > 0, y_true >= (self.foreground or -math.inf))
        self._add(ops.square(y_pred - y_true), ops.cast(counted, "float32"))

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "foreground": self.foreground}
