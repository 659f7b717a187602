import keras
import numpy as np
import pytest

from wing_tf.metrics.heatmap_error import HeatmapMeanSquaredError


def test_error_of_all_pixels_and_of_the_foreground():
    target = np.zeros((2, 2, 2, 1), np.float32)
    target[0, 1, 1] = 1.0
    predicted = target + np.array([0.5, 2.0], np.float32)[:, None, None, None]
    every = HeatmapMeanSquaredError()
    every.update_state(target, predicted)
    assert float(every.result()) == pytest.approx((0.25 + 4.0) / 2)
    # The second face's only heatmap has no ground truth.
    every.reset_state()
    every.update_state(target, predicted, np.array([[0.3], [0.0]]))
    assert float(every.result()) == pytest.approx(0.25)
    foreground = HeatmapMeanSquaredError(foreground=0.5)
    assert float(foreground.result()) == 0.0
    foreground.update_state(target, predicted * 0.5)
    assert float(foreground.result()) == pytest.approx((1 - 0.75) ** 2)
    copy = HeatmapMeanSquaredError.from_config(foreground.get_config())
    assert copy.foreground == 0.5


def test_invalid_heatmaps_raise():
    with pytest.raises(ValueError, match="Heatmaps must both be"):
        HeatmapMeanSquaredError().update_state(np.zeros((1, 2, 2, 3)), np.zeros((1, 2, 2, 4)))
    with pytest.raises(ValueError, match="must be in"):
        HeatmapMeanSquaredError(foreground=1.5)
    assert isinstance(HeatmapMeanSquaredError(), keras.metrics.Metric)
