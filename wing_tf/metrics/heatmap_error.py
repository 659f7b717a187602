"""The squared error of heatmaps, streamed: how Adaptive Wing loss is compared with others."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="wing_tf")
class HeatmapMeanSquaredError(keras.metrics.Metric):
    """The mean squared error over the pixels of heatmaps, or over those of the foreground.

    One figure for trainings with different losses. ``sample_weight`` [B, K] says which maps have a
    truth (above 0); it does not weight them.

    Args:
        foreground: count only pixels whose target is at least this; 0: all. # The paper is silent
            on where its foreground ends: .05 is the lowest value in its patch of 7 x 7 pixels.
        name: shown in logs.
        dtype: as in every Keras metric.

    Raises:
        ValueError: if ``foreground`` is not in [0, 1).

    Example:
        >>> import numpy as np
        >>> target = np.array([0.0, 0.0, 0.0, 1.0]).reshape(1, 2, 2, 1)
        >>> float(HeatmapMeanSquaredError(foreground=0.5)(target, target / 2))
        0.25

    Reference:
        Wang, Bo and Li, Adaptive Wing Loss, ICCV 2019, table 10.
    """

    def __init__(self, *, foreground: float = 0.0, name="heatmap_mse", dtype=None):
        super().__init__(name=name, dtype=dtype)
        if not 0 <= foreground < 1:
            raise ValueError(f"`foreground` must be in [0, 1). Received: foreground={foreground}.")
        self.foreground = float(foreground)
        self.total = self.add_weight(name="total", initializer="zeros", dtype="float32")
        self.count = self.add_weight(name="count", initializer="zeros", dtype="float32")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: [B, h, w, K] targets and predictions, optional [B, K] weights."""
        y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        if len(y_true.shape) != 4 or tuple(y_true.shape[1:]) != tuple(y_pred.shape[1:]):
            raise ValueError(
                f"Maps must both be [B, h, w, K]. Received: {y_true.shape} and {y_pred.shape}."
            )
        counted = ops.cast(y_true >= self.foreground, "float32")
        if sample_weight is not None:
            present = ops.cast(ops.convert_to_tensor(sample_weight) > 0, "float32")
            counted = counted * present[:, None, None, :]
        self.total.assign_add(ops.sum(counted * ops.square(y_pred - y_true)))
        self.count.assign_add(ops.sum(counted))

    def result(self):
        """Returns the mean since the last reset; 0 before the first pixel."""
        return self.total / ops.maximum(self.count, 1.0)

    def get_config(self):
        """Returns what `from_config` needs."""
        return {**super().get_config(), "foreground": self.foreground}
