"""A Keras metric: the squared error of heatmaps, comparable between losses."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="wing_tf")
class HeatmapMeanSquaredError(keras.metrics.Metric):
    """Mean squared error over the pixels of heatmaps, or over their foreground pixels.

    ``sample_weight`` [B, K] says which heatmaps have a ground truth (above 0); it does not weight
    them.

    Args:
        foreground: Only pixels whose target is at least this value are counted. Defaults to 0, all.
            # The paper is silent: .05 is the lowest value in its patch of 7 x 7 pixels.
        name: Name in the logs.
        dtype: As of every Keras metric.

    Raises:
        ValueError: If `foreground` is not in [0, 1).

    Examples:
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
        """Adds a batch of targets and predictions [B, h, w, K] and optional weights [B, K]."""
        y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        if len(y_true.shape) != 4 or tuple(y_true.shape[1:]) != tuple(y_pred.shape[1:]):
            raise ValueError(
                f"Heatmaps must both be [B, h, w, K]. Received: {y_true.shape} and {y_pred.shape}."
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
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "foreground": self.foreground}
