import keras
import numpy as np
import pytest
import tensorflow as tf

from wing_tf.losses import (
    COORDINATE_LOSSES,
    AbsoluteError,
    HalfSquaredError,
    SmoothL1Error,
    WingLoss,
)

ERRORS = (0.1, 1, 2, 5, 10, 15, 20)
# w ln(1 + x / epsilon) below w, x - C from there on; C = w - w ln(1 + w / epsilon)
GOLDEN = {
    (10, 2): (0.487902, 4.054651, 6.931472, 12.527630, 17.917595, 22.917595, 27.917595),
    (15, 3): (0.491847, 4.315231, 7.662384, 14.712439, 21.995056, 26.876392, 31.876392),
}


def _per_landmark(loss, errors):
    """The loss of one landmark whose x is wrong by each error and whose y is right, times 2."""
    errors = np.asarray(errors, np.float32)
    predicted = np.stack([errors, np.zeros_like(errors)], axis=-1)[None]
    return 2 * np.asarray(loss.call(tf.zeros_like(predicted), tf.constant(predicted)))[0]


@pytest.mark.parametrize("key", GOLDEN)
@pytest.mark.parametrize("sign", [1, -1])
def test_wing_golden(key, sign):
    loss = WingLoss(width=key[0], curvature=key[1])
    np.testing.assert_allclose(_per_landmark(loss, sign * np.array(ERRORS)), GOLDEN[key], rtol=2e-6)


def test_l2_l1_and_smooth_l1_golden():
    np.testing.assert_allclose(_per_landmark(HalfSquaredError(), [0.5, -3]), [0.125, 4.5])
    np.testing.assert_allclose(_per_landmark(AbsoluteError(), [0.5, -3]), [0.5, 3])
    np.testing.assert_allclose(_per_landmark(SmoothL1Error(), [0.5, -3]), [0.125, 2.5])


def test_wing_is_continuous_with_correct_slopes_at_the_knee():
    loss = WingLoss(width=10, curvature=2)
    x = tf.constant([[[9.999, 0.0], [10.001, 0.0]]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        values = 2 * loss.call(tf.zeros_like(x), x)
    slopes = tape.gradient(values, x).numpy()[0, :, 0]
    assert abs(float(values[0, 1] - values[0, 0])) < 0.003
    np.testing.assert_allclose(slopes, [10 / (2 + 9.999), 1.0], rtol=1e-4)


@pytest.mark.parametrize("name", COORDINATE_LOSSES)
def test_gradients_against_finite_differences(name):
    loss = COORDINATE_LOSSES[name]()
    generator = np.random.default_rng(1)
    x = generator.uniform(-20, 20, (2, 6, 2))
    x = x[np.abs(np.abs(x) - 10).min(axis=(1, 2)) > 0.01]
    x32 = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x32)
        total = tf.reduce_sum(loss.call(tf.zeros_like(x32), x32))
    step = 1e-2

    def values(shift):
        return np.asarray(loss.call(np.zeros_like(x, np.float32), (x + shift).astype(np.float32)))

    difference = np.zeros_like(x)
    for axis in range(2):
        shift = np.zeros(2)
        shift[axis] = step
        difference[..., axis] = (values(shift) - values(-shift)) / (2 * step)
    np.testing.assert_allclose(tape.gradient(total, x32), difference, rtol=0.02, atol=2e-3)


@pytest.mark.parametrize("name", COORDINATE_LOSSES)
def test_gradient_is_zero_at_error_zero(name):
    x = tf.zeros((1, 3, 2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = COORDINATE_LOSSES[name]()(tf.zeros_like(x), x)
    assert float(value) == 0
    np.testing.assert_array_equal(tape.gradient(value, x), np.zeros((1, 3, 2)))


@pytest.mark.parametrize("name", COORDINATE_LOSSES)
def test_half_precision_is_computed_in_float32(name):
    # 400^2 / 2 = 80,000 and a sum of 136 errors of 500 are both beyond float16.
    true = np.zeros((1, 68, 2), np.float16)
    predicted = np.full((1, 68, 2), 400, np.float16)
    half = COORDINATE_LOSSES[name]()(true, predicted)
    assert keras.backend.standardize_dtype(half.dtype) == "float32"
    single = COORDINATE_LOSSES[name]()(true.astype(np.float32), predicted.astype(np.float32))
    np.testing.assert_allclose(half, single)
    assert np.isfinite(float(half))


@pytest.mark.parametrize("name", COORDINATE_LOSSES)
def test_values_per_landmark_sample_weights_and_config(name):
    loss = COORDINATE_LOSSES[name](reduction="none")
    generator = np.random.default_rng(0)
    true, predicted = generator.normal(size=(2, 4, 5, 2)).astype(np.float32)
    values = loss(true, predicted)
    assert values.shape == (4, 5)
    assert loss(true.reshape(4, 10), predicted.reshape(4, 10)).shape == (4,)
    weights = np.zeros((4, 5), np.float32)
    weights[1, 2] = 3
    weighted = np.asarray(loss(true, predicted, sample_weight=weights))
    np.testing.assert_allclose(weighted, np.asarray(values) * weights, rtol=1e-6)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    np.testing.assert_allclose(again(true, predicted), values)


@pytest.mark.parametrize("name", COORDINATE_LOSSES)
def test_different_shapes_are_refused(name):
    with pytest.raises(ValueError, match="must have one shape"):
        COORDINATE_LOSSES[name]().call(
            np.zeros((4, 5, 2), np.float32), np.zeros((4, 1, 2), np.float32)
        )
    with pytest.raises(ValueError, match="must have one shape"):
        COORDINATE_LOSSES[name]().call(
            np.zeros((4, 5, 2), np.float32), np.zeros((4, 10), np.float32)
        )


@pytest.mark.parametrize("bad", [{"width": -1}, {"width": 0}, {"curvature": float("nan")}])
def test_wing_refuses_bad_parameters(bad):
    with pytest.raises(ValueError, match="must be positive"):
        WingLoss(**bad)


def test_wing_docstring_example():
    value = WingLoss(width=10, curvature=2)([[[0.0, 0.0]]], [[[1.0, 15.0]]])
    assert round(float(value), 4) == 13.4861
