import keras
import numpy as np
import pytest

from wing_tf.metrics import (
    HeatmapMeanSquaredError,
    NormalizedMeanError,
    nme,
    normalizing_distance,
)


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
    with pytest.raises(ValueError, match="must have one shape"):
        HeatmapMeanSquaredError().update_state(np.zeros((1, 2, 2, 3)), np.zeros((1, 2, 2, 4)))
    with pytest.raises(ValueError, match="must be in"):
        HeatmapMeanSquaredError(foreground=1.5)
    assert isinstance(HeatmapMeanSquaredError(), keras.metrics.Metric)


def test_heatmaps_without_ground_truth_are_left_out():
    target = np.zeros((3, 2, 2, 2), np.float32)
    target[0, 0, 0, 0] = np.nan
    target[1] = -1.0
    predicted = np.zeros_like(target)
    metric = HeatmapMeanSquaredError()
    metric.update_state(target, predicted, np.array([1.0, 1.0, 0.0]))
    assert float(metric.result()) == pytest.approx(2 / 3)  # of three heatmaps two are -1
    with pytest.raises(ValueError, match="sample_weight"):
        metric.update_state(target, predicted, np.ones((3, 3)))


def _faces():
    random = np.random.default_rng(0)
    true = random.uniform(0, 64, (6, 68, 2)).astype(np.float32)
    predicted = true + random.normal(size=true.shape).astype(np.float32)
    true[0, 3] = np.nan  # a landmark
    true[1, 36, 0] = np.nan  # an outer eye corner: the face has no score
    return true, predicted


def test_nme_equals_that_of_numpy():
    true, predicted = _faces()
    for normalizer in ("inter_ocular", "inter_pupil"):
        distance = normalizing_distance(true, "ibug_68", normalizer)
        expected = nme(true, predicted, distance)
        metric = NormalizedMeanError("ibug_68", normalizer=normalizer)
        for faces in (slice(0, 2), slice(2, 6)):  # batches of two sizes
            metric.update_state(true[faces], predicted[faces])
        assert float(metric.result()) == pytest.approx(np.nanmean(expected), rel=1e-5)
    flat = NormalizedMeanError("ibug_68")
    flat.update_state(true.reshape(6, -1), predicted.reshape(6, -1))
    expected = nme(true, predicted, normalizing_distance(true, "ibug_68"))
    assert float(flat.result()) == pytest.approx(np.nanmean(expected), rel=1e-5)


def test_nme_with_weights():
    true, predicted = _faces()
    expected = nme(true, predicted, normalizing_distance(true, "ibug_68"))
    weights = np.array([1.0, 1.0, 2.0, 0.0, 1.0, 0.5])
    counted = ~np.isnan(expected)
    mean = np.average(expected[counted], weights=weights[counted])
    for shape in ((6,), (6, 1)):
        metric = NormalizedMeanError("ibug_68")
        metric.update_state(true, predicted, weights.reshape(shape))
        assert float(metric.result()) == pytest.approx(mean, rel=1e-5)
    inner = np.zeros((6, 68))
    inner[:, 17:] = 1.0
    metric = NormalizedMeanError("ibug_68")
    metric.update_state(true, predicted, inner)
    of_51 = nme(true, predicted, normalizing_distance(true, "ibug_68"), range(17, 68))
    assert float(metric.result()) == pytest.approx(np.nanmean(of_51), rel=1e-5)


def test_nme_in_fit_of_a_model_of_ones_own():
    true, predicted = _faces()
    model = keras.Sequential([keras.Input((136,)), keras.layers.Activation("linear")])
    model.compile(loss="mse", metrics=[NormalizedMeanError("ibug_68")])
    logs = model.evaluate(
        predicted.reshape(6, -1), true.reshape(6, -1), verbose=0, return_dict=True
    )
    expected = nme(true, predicted, normalizing_distance(true, "ibug_68"))
    assert logs["nme"] == pytest.approx(np.nanmean(expected), rel=1e-5)
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(
            NormalizedMeanError("wflw_98", normalizer="inter_pupil")
        )
    )
    assert (copy.scheme.name, copy.normalizer) == ("wflw_98", "inter_pupil")


def test_diverged_predictions_are_seen():
    true, predicted = _faces()
    predicted[4, 5] = np.nan
    metric = NormalizedMeanError("ibug_68")
    metric.update_state(true, predicted)
    assert np.isnan(float(metric.result()))


def test_invalid_landmarks_raise():
    with pytest.raises(ValueError, match="must be one of inter_ocular"):
        NormalizedMeanError("ibug_68", normalizer="box")
    metric = NormalizedMeanError("ibug_68")
    for true, predicted in (
        ((2, 68, 2), (2, 136)),
        ((2, 98, 2), (2, 98, 2)),
        ((68, 2), (68, 2)),
        ((1, 68, 2), (2, 68, 2)),  # would broadcast
    ):
        with pytest.raises(ValueError, match="68, 2"):
            metric.update_state(np.zeros(true), np.zeros(predicted))
    faces = np.zeros((2, 68, 2))
    with pytest.raises(ValueError, match="`sample_weight` must be"):
        metric.update_state(faces, faces, np.ones(1))
