import keras
import numpy as np
import pytest
import tensorflow as tf

from wing_tf.codecs import HeatmapCodec
from wing_tf.losses import (
    BilateralInhibitionCrossEntropy,
    SubpixelResidualLoss,
    UnilateralCrossEntropy,
    WeightedLossMap,
)

UCE, BICE = UnilateralCrossEntropy, BilateralInhibitionCrossEntropy


def _reference(loss, q, z, activation):
    """The formulas in float64, one map [N] at a time."""
    z = z.astype(np.float64)
    if activation == "sigmoid":
        log_p, log_not_p = -np.logaddexp(0, -z), -np.logaddexp(0, z)
    else:
        others = np.array([np.logaddexp.reduce(np.delete(z, i)) for i in range(len(z))])
        total = np.logaddexp.reduce(z)
        log_p, log_not_p = z - total, others - total
    return -np.sum(q * log_p + ((1 - q) * log_not_p if loss is BICE else 0))


def _maps(values):
    """[N] to one map [1, 1, N, 1]."""
    return np.asarray(values, np.float32).reshape(1, 1, -1, 1)


@pytest.mark.parametrize("loss", [UCE, BICE])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("spread", [0.1, 3.0, 40.0, 500.0])
def test_values_equal_the_formula_in_float64(loss, activation, spread):
    """Large spreads: P is 1 within float32, and 1 - P is what the loss is made of."""
    generator = np.random.default_rng(0)
    for _ in range(5):
        q, z = generator.uniform(0, 1, 9), generator.normal(0, spread, 9).astype(np.float32)
        value = float(loss(activation=activation)(_maps(q), _maps(z)))
        assert value == pytest.approx(_reference(loss, q, z, activation), rel=1e-5)


def test_golden_values():
    """Q = (1, .5), z = (ln 3, 0), so P = (3/4, 1/4); worked by hand."""
    q, z = _maps([1, 0.5]), _maps([np.log(3), 0])
    assert float(UCE()(q, z)) == pytest.approx(np.log(4 / 3) + 0.5 * np.log(4))
    # The second pixel's other side: .5 ln(1 - 1/4).
    expected = np.log(4 / 3) + 0.5 * np.log(4) + 0.5 * np.log(4 / 3)
    assert float(BICE()(q, z)) == pytest.approx(expected)


@pytest.mark.parametrize("loss", [UCE, BICE])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("size", [0.0, 1.0, 100.0, 1e4, 1e30])
def test_finite_for_any_logits(loss, activation, size):
    target = tf.constant(np.random.default_rng(0).uniform(0, 1, (2, 3, 4, 2)), tf.float32)
    signs = np.sign(np.random.default_rng(1).normal(size=target.shape))
    one = np.eye(12)[5].reshape(1, 3, 4, 1)
    for pattern in (signs, np.abs(signs), one):
        z = tf.Variable(tf.cast(size * np.broadcast_to(pattern, target.shape), tf.float32))
        with tf.GradientTape() as tape:
            values = loss(activation=activation).call(target, z)
        gradient = tape.gradient(values, z)
        assert values.shape == (2, 2)
        assert np.all(np.isfinite(values))
        assert np.all(np.isfinite(gradient))


def test_gradient_of_uce_equals_the_closed_form():
    """dUCE / dz = P sum Q - Q."""
    q = np.random.default_rng(0).uniform(0, 1, (1, 4, 4, 1))
    z = tf.Variable(np.random.default_rng(1).normal(0, 2, q.shape), dtype=tf.float32)
    with tf.GradientTape() as tape:
        value = UCE()(q, z)
    p = np.exp(z.numpy()) / np.exp(z.numpy()).sum()
    np.testing.assert_allclose(tape.gradient(value, z), p * q.sum() - q, atol=1e-5)


@pytest.mark.parametrize("loss", [UCE, BICE])
def test_gradients_of_saturated_maps(loss):
    """Against differences of the float64 formula, where P of the peak is 1 - 1e-7 and nearer."""
    q = np.array([1.0, 0.6, 0.1, 0.0])
    for z in ([17.0, 0.0, -1.0, 0.5], [60.0, 1.0, 0.0, 2.0], [3.0, 3.0, 0.0, 0.0]):
        x = tf.Variable(_maps(z))
        with tf.GradientTape() as tape:
            value = loss()(_maps(q), x)
        z, h = np.asarray(z), 1e-4
        expected = [
            (_reference(loss, q, z + d, "softmax") - _reference(loss, q, z - d, "softmax"))
            / (2 * h)
            for d in h * np.eye(4)
        ]
        np.testing.assert_allclose(tape.gradient(value, x).numpy().ravel(), expected, atol=2e-5)


def _minimize(loss, q):
    """Returns the probabilities [2] of two pixels after gradient descent on their logits."""
    z = keras.Variable(np.zeros((1, 1, 2, 1)))
    optimizer = keras.optimizers.SGD(0.5, momentum=0.5)
    optimizer.build([z])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(_maps(q), z.value)
        optimizer.apply([tape.gradient(value, z.value)], [z])

    for _ in range(400):
        step()
    return np.exp(z.numpy().ravel()) / np.exp(z.numpy()).sum()


@pytest.mark.parametrize("q", [(0.9, 0.3), (0.2, 0.1), (1.0, 0.9), (0.7, 0.3)])
def test_optimization_finds_the_minimizers_of_two_pixels(q):
    """Equations 10 and 13, and the margins of 11 and 14."""
    assert _minimize(UCE(), q)[0] == pytest.approx(q[0] / sum(q), abs=1e-4)
    assert _minimize(BICE(), q)[0] == pytest.approx((1 + q[0] - q[1]) / 2, abs=1e-4)


def test_half_precision_logits_and_sample_weights():
    target = np.random.default_rng(0).uniform(0, 1, (3, 4, 5, 2)).astype(np.float32)
    z = np.random.default_rng(1).normal(0, 5, target.shape).astype(np.float16)
    weights = np.array([[1, 0], [0, 0], [1, 1]], np.float32)
    for loss in (BICE(), WeightedLossMap(BICE(), weight=0.0)):
        values = loss.call(target, z.astype(np.float32)).numpy()
        expected = np.sum(values * weights) / 6
        assert float(loss(target, z, sample_weight=weights)) == pytest.approx(expected, rel=1e-5)


def test_losses_are_rebuilt_from_config_and_refuse_bad_arguments():
    for loss in (
        UCE(activation="sigmoid"),
        BICE(activation="sigmoid"),
        SubpixelResidualLoss(theta=2),
    ):
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        assert again.get_config() == loss.get_config()
    with pytest.raises(ValueError, match="activation"):
        BICE(activation="relu")
    with pytest.raises(ValueError, match="two or more pixels"):
        BICE()(np.zeros((1, 1, 1, 2)), np.zeros((1, 1, 1, 2)))
    with pytest.raises(ValueError, match="one shape"):
        BICE()(np.zeros((1, 2, 2, 2)), np.zeros((1, 2, 2, 1)))
    with pytest.raises(ValueError, match="theta"):
        SubpixelResidualLoss(theta=-1.0)
    with pytest.raises(ValueError, match="one shape"):
        SubpixelResidualLoss()(np.zeros((1, 2, 2)), np.zeros((1, 4)))


def test_subpixel_residual_loss_values_and_slopes():
    """Values by hand: t - p, then what |p| exceeds theta by; and the slope of each."""
    truth = tf.constant([[[0.25, -0.25], [3.0, 0.0]]])
    predicted = tf.Variable([[[0.25, -0.375], [2.0, -1.0]]])
    with tf.GradientTape() as tape:
        values = SubpixelResidualLoss(theta=0.5).call(truth, predicted)
        total = tf.reduce_sum(values)
    np.testing.assert_allclose(values, [[0.125**2, 1 + 1 + 1.5 + 0.5]])
    slopes = [[[0.0, -0.25], [-2.0 + 1.0, -2.0 - 1.0]]]
    np.testing.assert_allclose(tape.gradient(total, predicted), slopes)


@pytest.mark.parametrize(("trained", "cosine"), [(False, 1.0), (True, 0.995)])
def test_gradients_of_both_losses_over_a_softmax_are_nearly_parallel(trained, cosine):
    rng = np.random.default_rng(0)
    codec = HeatmapCodec(input_size=128, heatmap_size=32, sigma=1.0)
    true, _ = codec.encode(rng.uniform(10, 118, (2, 5, 2)), np.ones((2, 5)))
    true = np.asarray(true)
    logits = rng.normal(0, 0.5, true.shape) + np.log(np.maximum(true, 1e-6)) * trained
    variable = tf.Variable(logits, dtype=tf.float32)
    gradients = []
    for loss in (BICE(), UCE()):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(loss(true, variable))
        gradients.append(tape.gradient(total, variable).numpy().astype(np.float64).ravel())
    first, second = (values / np.linalg.norm(values) for values in gradients)
    assert first @ second == pytest.approx(cosine, abs=1e-3)


@pytest.mark.parametrize("loss", [UCE, BICE])
def test_sizes_may_be_unknown_while_tracing(loss):
    generator = np.random.default_rng(0)
    q = generator.uniform(0, 1, (2, 5, 4, 3)).astype(np.float32)
    z = generator.normal(size=q.shape).astype(np.float32)
    unknown = tf.TensorSpec((None, None, None, 3))
    traced = tf.function(loss(), input_signature=[unknown, unknown])
    assert float(traced(q, z)) == pytest.approx(float(loss()(q, z)))


@pytest.mark.parametrize("loss", [UCE, BICE])
def test_an_empty_batch_has_a_loss_of_zero(loss):
    assert float(loss()(np.zeros((0, 8, 8, 7)), np.zeros((0, 8, 8, 7)))) == 0
