"""Streaming scores for ``model.compile(metrics=[...])`` and ``model.fit``."""

import keras
from keras import ops

from wing_tf.landmarks import custom_scheme_json, get_scheme, scheme_from_json


class _FaceMetric(keras.metrics.Metric):
    """The mean over faces of a function of each face's NME.

    ``sample_weight`` [B, K] (or [B, 1]) says which landmarks have a truth (above 0); it does not
    weight them, so that a training's balancing weights don't change a score. A face without a
    truth, or without those that its normalizer needs, is left out, as in `wing_tf.metrics`.
    """

    def __init__(self, *, scheme="ibug_68", normalizer=None, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        text = isinstance(scheme, str) and scheme.startswith("{")
        self.scheme = scheme_from_json(scheme) if text else get_scheme(scheme)
        self.normalizer = normalizer or self.scheme.default_normalizer
        known = [*self.scheme.normalizers, "box", "box_width", "diagonal"]
        if self.normalizer not in known:
            raise ValueError(
                f"`normalizer` must be one of {known} for {self.scheme.name}. "
                f"Received: {normalizer!r}."
            )
        self.total = self.add_weight(name="total", initializer="zeros", dtype="float32")
        self.count = self.add_weight(name="count", initializer="zeros", dtype="float32")

    def _distance(self, y_true, present):
        """Returns [B], 0 where it can't be measured."""
        if self.normalizer in self.scheme.normalizers:
            groups = [list(group) for group in self.scheme.normalizers[self.normalizer]]
            left, right = (ops.mean(ops.take(y_true, g, axis=1), axis=1) for g in groups)
            known = ops.all(ops.take(present, groups[0] + groups[1], axis=1), axis=1)
            return ops.where(known, ops.norm(left - right, axis=-1), 0.0)
        far = ops.where(present, 0.0, 1e9)[..., None]
        size = ops.max(y_true - far, axis=1) - ops.min(y_true + far, axis=1)
        if self.normalizer == "box_width":
            return size[:, 0]
        if self.normalizer == "diagonal":
            return ops.norm(size, axis=-1)
        return ops.sqrt(size[:, 0] * size[:, 1])

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: [B, K, 2] truths and predictions, optional [B, K] weights."""
        y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        shape = (self.scheme.num_landmarks, 2)
        if tuple(y_true.shape[1:]) != shape or tuple(y_pred.shape[1:]) != shape:
            raise ValueError(
                f"Expected [B, {shape[0]}, 2] for {self.scheme.name}. "
                f"Received: {y_true.shape} and {y_pred.shape}."
            )
        present = ops.ones_like(y_true[..., 0], dtype="bool")
        if sample_weight is not None:
            sample_weight = ops.convert_to_tensor(sample_weight)
            if len(sample_weight.shape) != 2:
                raise ValueError(
                    "`sample_weight` must be [B, K] or [B, 1]. "
                    f"Received: shape={tuple(sample_weight.shape)}."
                )
            present = ops.logical_and(present, sample_weight > 0)
        y_true = ops.where(present[..., None], y_true, 0.0)
        number = ops.sum(ops.cast(present, "float32"), axis=1)
        distance = ops.where(number > 0, self._distance(y_true, present), 0.0)
        scored = distance > 0
        errors = ops.where(present, ops.norm(y_pred - y_true, axis=-1), 0.0)
        nme = ops.sum(errors, axis=1) / ops.maximum(number, 1.0)
        nme = nme / ops.where(scored, distance, 1.0)
        counts = ops.cast(scored, "float32")
        self.total.assign_add(ops.sum(counts * self._value(nme)))
        self.count.assign_add(ops.sum(counts))

    def _value(self, nme):
        return nme

    def result(self):
        """Returns the score over all faces since the last reset; 0 before the first face."""
        return self.total / ops.maximum(self.count, 1.0)

    def get_config(self):
        """Returns what `from_config` needs."""
        return {
            **super().get_config(),
            "scheme": custom_scheme_json(self.scheme) or self.scheme.name,
            "normalizer": self.normalizer,
        }


@keras.saving.register_keras_serializable(package="wing_tf")
class NormalizedMeanError(_FaceMetric):
    """The mean NME over faces, a fraction; `wing_tf.metrics.nme` streamed.

    Args:
        scheme: a name in `wing_tf.landmarks.SCHEMES`, or a scheme.
        normalizer: one of the scheme's, or "box", "box_width", "diagonal"; its default if None.
        name: shown in logs.
        dtype: as in every Keras metric.
    """

    def __init__(self, *, scheme="ibug_68", normalizer=None, name="nme", dtype=None):
        super().__init__(scheme=scheme, normalizer=normalizer, name=name, dtype=dtype)


class _ThresholdMetric(_FaceMetric):
    def __init__(self, *, threshold, scheme, normalizer, name, dtype):
        super().__init__(scheme=scheme, normalizer=normalizer, name=name, dtype=dtype)
        if not threshold > 0:
            raise ValueError(f"`threshold` must be positive. Received: threshold={threshold}.")
        self.threshold = float(threshold)

    def get_config(self):
        """Returns what `from_config` needs."""
        return {**super().get_config(), "threshold": self.threshold}


@keras.saving.register_keras_serializable(package="wing_tf")
class FailureRate(_ThresholdMetric):
    """The share of faces whose NME is above ``threshold``; `wing_tf.metrics.failure_rate`."""

    def __init__(self, *, threshold=0.08, scheme="ibug_68", normalizer=None, name="fr", dtype=None):
        super().__init__(
            threshold=threshold, scheme=scheme, normalizer=normalizer, name=name, dtype=dtype
        )

    def _value(self, nme):
        return ops.cast(nme > self.threshold, "float32")


@keras.saving.register_keras_serializable(package="wing_tf")
class CEDAreaUnderCurve(_ThresholdMetric):
    """The exact area below the CED curve up to ``threshold``; `wing_tf.metrics.ced_auc`."""

    def __init__(
        self, *, threshold=0.08, scheme="ibug_68", normalizer=None, name="auc", dtype=None
    ):
        super().__init__(
            threshold=threshold, scheme=scheme, normalizer=normalizer, name=name, dtype=dtype
        )

    def _value(self, nme):
        return 1.0 - ops.minimum(nme, self.threshold) / self.threshold
