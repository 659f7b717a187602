import keras
import numpy as np
import pytest
import tensorflow as tf

from wing_tf.losses import (
    HEATMAP_LOSSES,
    AdaptiveWingLoss,
    HeatmapSquaredError,
    WeightedLossMap,
    WingLoss,
    adaptive_wing_loss,
    loss_weight_map,
)

# f(d) of the target value y, with alpha 2.1, omega 14, epsilon 1, theta .5; made in Python floats.
ERRORS = (0.01, 0.1, 0.25, 0.5, 1.0)
GOLDEN = {
    0.0: (0.000883, 0.110767, 0.741731, 2.935235, 8.495946),
    0.5: (0.008831, 0.347320, 1.446135, 3.991210, 9.547547),
    1.0: (0.088057, 1.070100, 2.756777, 5.360458, 10.259383),
}
SLOPES = {0.0: 11.121422, 0.5: 11.112673, 1.0: 9.797850}  # A


def _pixel(loss, y, p):
    return float(loss(np.full((1, 1, 1, 1), y), np.full((1, 1, 1, 1), p)))


@pytest.mark.parametrize("y", GOLDEN)
@pytest.mark.parametrize("sign", [1, -1])
def test_adaptive_wing_golden(y, sign):
    values = [_pixel(AdaptiveWingLoss(), y, y + sign * error) for error in ERRORS]
    np.testing.assert_allclose(values, GOLDEN[y], atol=2e-6, rtol=2e-5)


def test_adaptive_wing_with_another_curvature():
    # d = .3 < theta = .4, k = 2.1 - .5: 10 ln(1 + (.3 / 2)^1.6); .9 is beyond: A (d - theta) + ...
    loss = AdaptiveWingLoss(omega=10, epsilon=2, theta=0.4)
    assert _pixel(loss, 0.5, 0.8) == pytest.approx(0.469359, rel=1e-4)
    k, r = 1.6, 0.4 / 2
    slope = 10 * k * r ** (k - 1) / (2 * (1 + r**k))
    assert _pixel(loss, 0.5, 1.4) == pytest.approx(slope * 0.5 + 10 * np.log1p(r**k), rel=1e-5)


@pytest.mark.parametrize("y", GOLDEN)
def test_adaptive_wing_is_smooth_at_the_knee_and_at_zero(y):
    errors = tf.constant([0.0, 0.4999, 0.5001, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(errors)
        values = adaptive_wing_loss(tf.fill([4], y), y + errors)
    slopes = tape.gradient(values, errors).numpy()
    assert slopes[0] == 0
    np.testing.assert_allclose(slopes[1:], SLOPES[y], rtol=1e-3)
    assert float(values[2] - values[1]) == pytest.approx(0.0002 * SLOPES[y], rel=0.02)


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
@pytest.mark.parametrize("kind", ["", "dilated", "heatmap"])
def test_gradients_against_finite_differences(name, kind):
    loss = HEATMAP_LOSSES[name]()
    loss = WeightedLossMap(loss, mask_type=kind) if kind else loss
    generator = np.random.default_rng(0)
    y = generator.uniform(0, 1, (1, 6, 6, 2))
    p = y + generator.uniform(-0.9, 0.9, y.shape)
    p = np.where(np.abs(np.abs(p - y) - 0.5) < 0.01, p + 0.03, p)  # not across the knee
    x = tf.constant(p, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(loss.pixel_losses(tf.constant(y, tf.float32), x))
    slopes = tape.gradient(total, x).numpy()

    def value(moved):
        pixels = loss.pixel_losses(tf.constant(y, tf.float32), tf.constant(moved, tf.float32))
        return np.sum(pixels.numpy(), dtype=np.float64)

    step = 2e-3
    pixels = [(0, i, j, k) for i in (0, 2, 5) for j in (1, 5) for k in (0, 1)]
    for pixel in pixels:
        moved = [p.copy(), p.copy()]
        moved[0][pixel] += step
        moved[1][pixel] -= step
        expected = (value(moved[0]) - value(moved[1])) / (2 * step)
        assert slopes[pixel] == pytest.approx(expected, rel=0.02, abs=0.02)


@pytest.mark.parametrize("predicted", [0.0, 1.0, -1e30, 1e30, 1e36])
@pytest.mark.parametrize("y", [0.0, 1.0, -0.2, 1.3])
def test_adaptive_wing_is_finite_everywhere(y, predicted):
    target, x = tf.fill([1, 2, 2, 1], y), tf.Variable(tf.fill([1, 2, 2, 1], predicted))
    with tf.GradientTape() as tape:
        value = AdaptiveWingLoss(theta=0.5)(target, x)
    assert np.isfinite(value)
    assert np.isfinite(tape.gradient(value, x)).all()


def test_half_precision_is_computed_in_float32():
    y, p = np.full((1, 1, 1, 1), 1.0, np.float16), np.full((1, 1, 1, 1), 300.0, np.float16)
    # 299^2 = 89401 is more than float16 holds
    assert float(HeatmapSquaredError()(tf.constant(y), tf.constant(p))) == 299.0**2
    value = AdaptiveWingLoss()(tf.constant(y, tf.bfloat16), tf.constant(p, tf.bfloat16))
    assert value.dtype == tf.float32
    half = tf.Variable(tf.ones((3,), tf.float16))
    with tf.GradientTape() as tape:
        values = adaptive_wing_loss(tf.ones((3,), tf.float16), half)
    assert values.dtype == tf.float32
    assert not np.asarray(tape.gradient(values, half)).any()  # NaN is


def test_loss_weight_map_covers_a_landmark_and_its_neighbors():
    y = np.zeros((1, 7, 7, 2), np.float32)
    y[0, 0, 3, 0], y[0, 3, 3, 1], y[0, 3, 4, 1] = 1.0, 0.2, 0.19
    weights = np.asarray(loss_weight_map(y, weight=10, threshold=0.2))
    expected = np.ones_like(y)
    expected[0, 0:2, 2:5, 0] = 11  # at the border
    expected[0, 2:5, 2:5, 1] = 11  # .2 counts, .19 does not
    np.testing.assert_array_equal(weights, expected)
    np.testing.assert_allclose(np.asarray(loss_weight_map(y, mask_type="heatmap")), 10 * y + 1)


def test_sample_weights_exclude_landmarks():
    generator = np.random.default_rng(0)
    y, p = generator.uniform(0, 1, (2, 2, 5, 4, 3)).astype(np.float32)
    loss = WeightedLossMap(AdaptiveWingLoss())
    values = np.asarray(loss.call(y, p))
    assert values.shape == (2, 3)
    weights = np.array([[1, 0, 1], [0, 0, 2.0]])
    assert float(loss(y, p, sample_weight=weights)) == pytest.approx((values * weights).mean())
    pixels = np.asarray(AdaptiveWingLoss().pixel_losses(y, p)) * np.asarray(loss_weight_map(y))
    np.testing.assert_allclose(values, pixels.mean(axis=(1, 2)), rtol=1e-5)


def test_function_as_loss_takes_weights_of_landmarks_not_of_columns():
    """Of eight faces and heatmaps of eight columns, only the first face has an error."""
    y = np.zeros((8, 8, 8, 5), np.float32)
    p, y[0] = np.zeros_like(y), 1.0
    np.testing.assert_allclose(adaptive_wing_loss(y, p), AdaptiveWingLoss().call(y, p), rtol=1e-6)
    inputs = keras.Input((8, 8, 5))
    model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    model.compile(loss=adaptive_wing_loss)
    weights = np.ones((8, 5), np.float32)
    whole = model.evaluate(p, y, sample_weight=weights, batch_size=8, verbose=0)
    assert whole == pytest.approx(float(AdaptiveWingLoss()(y, p)))
    weights[0] = 0
    assert model.evaluate(p, y, sample_weight=weights, batch_size=8, verbose=0) == 0


def test_weighted_loss_map_is_rebuilt_from_its_config():
    loss = WeightedLossMap(AdaptiveWingLoss(omega=10, theta=0.4), weight=3, mask_type="heatmap")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    y, p = np.random.default_rng(0).uniform(0, 1, (2, 2, 5, 4, 3)).astype(np.float32)
    assert float(again(y, p)) == float(loss(y, p))
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: AdaptiveWingLoss(alpha=2.0), ValueError, "above 2"),
        (lambda: AdaptiveWingLoss(omega=0), ValueError, "`omega` must be positive"),
        (lambda: AdaptiveWingLoss(theta=float("nan")), ValueError, "`theta` must be positive"),
        (lambda: AdaptiveWingLoss(dtype="float16"), ValueError, "float32"),
        (lambda: loss_weight_map(np.zeros((1, 4, 4, 1)), mask_type="x"), ValueError, "`mask_type`"),
        (lambda: WeightedLossMap(WingLoss()), TypeError, "WingLoss"),
        (lambda: WeightedLossMap(HeatmapSquaredError(), weight=-1), ValueError, "`weight`"),
        (lambda: WeightedLossMap(HeatmapSquaredError(), threshold=0), ValueError, "`threshold`"),
        (lambda: WeightedLossMap(HeatmapSquaredError(), mask_type="x"), ValueError, "`mask_type`"),
        (
            lambda: AdaptiveWingLoss()(np.zeros((1, 4, 4, 3)), np.zeros((1, 4, 4, 1))),
            ValueError,
            "one shape",
        ),
        (lambda: adaptive_wing_loss(np.zeros((4, 3)), np.zeros((4, 1))), ValueError, "one shape"),
        (
            lambda: AdaptiveWingLoss()(np.zeros((1, 4, 4)), np.zeros((1, 4, 4))),
            ValueError,
            r"\[B, h, w, K\]",
        ),
    ],
)
def test_bad_arguments_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_adaptive_wing_of_a_prediction_that_is_not_finite_is_not_finite(value):
    """Otherwise a training that diverged would go on."""
    loss = AdaptiveWingLoss()(np.zeros((1, 1, 1, 1)), np.full((1, 1, 1, 1), value))
    assert not np.isfinite(float(loss))
