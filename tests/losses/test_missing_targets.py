"""Targets with NaN are not annotated, infinite targets are refused, NaN predictions are seen."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from wing_tf.losses import (
    COORDINATE_LOSSES,
    HEATMAP_LOSSES,
    AbsoluteError,
    SubpixelResidualLoss,
    WeightedLossMap,
    adaptive_wing_loss,
    half_squared_error,
    wing_loss,
)

COORDINATES = {**COORDINATE_LOSSES, "residual": SubpixelResidualLoss}
WEIGHTED = {
    f"{mask}_{name}": lambda loss=loss, mask=mask, **kwargs: WeightedLossMap(
        loss(), mask_type=mask, **kwargs
    )
    for mask in ("dilated", "heatmap")
    for name, loss in HEATMAP_LOSSES.items()
}
HEATMAPS = {**HEATMAP_LOSSES, **WEIGHTED}
LOSSES = {**COORDINATES, **HEATMAPS}
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "none", "mean_with_sample_weight")
# Landmark 2 of face 0 lacks x or one pixel only; face 3 lacks all landmarks.
MISSING = np.zeros((4, 5), bool)
MISSING[0, 1] = MISSING[0, 2] = MISSING[3] = True


def _example(name):
    """Targets with NaN, the same with other finite values there, and predictions."""
    generator = np.random.default_rng(0)
    if name in COORDINATES:
        true, predicted = generator.uniform(0, 64, (2, 4, 5, 2)).astype(np.float32)
        holes = true.copy()
        holes[MISSING] = np.nan
        holes[0, 2, 1] = true[0, 2, 1]
        true[MISSING] = 0
    else:
        true, predicted = generator.uniform(0, 1, (2, 4, 6, 3, 5)).astype(np.float32)
        holes = np.moveaxis(true.copy(), 3, 1)  # A view: [B, K, h, w]
        holes[MISSING] = np.nan
        holes[0, 2] = true[0, :, :, 2]
        holes[0, 2, 1, 1] = np.nan
        holes = np.moveaxis(holes, 1, 3).copy()
        true = true * ~MISSING[:, None, None]
    return holes, true, predicted


def _value_and_gradient(loss, true, predicted, weights=None, compiled=False):
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(true, x) if weights is None else loss(true, x, sample_weight=weights)
        return value, tape.gradient(value, x)

    step = tf.function(step, jit_compile=True, autograph=False) if compiled else step
    return [x.numpy() for x in step(tf.constant(predicted))]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", LOSSES)
def test_nan_targets_equal_the_mask_as_sample_weight(name, reduction):
    holes, true, predicted = _example(name)
    loss = LOSSES[name](reduction=reduction)
    masked = _value_and_gradient(loss, true, predicted, np.float32(~MISSING))
    for weights in (None, np.float32(~MISSING), np.ones((4, 5), np.float32)):
        value, gradient = _value_and_gradient(loss, holes, predicted, weights)
        np.testing.assert_array_equal(value, masked[0])
        np.testing.assert_array_equal(gradient, masked[1])
    assert np.isfinite(value).all()
    assert np.any(gradient)
    landmarks = gradient if name in COORDINATES else np.moveaxis(gradient, 3, 1)
    assert not landmarks[MISSING].any()


@pytest.mark.parametrize("name", ["smooth_l1", "wing", "dilated_adaptive_wing", "bice"])
def test_nan_targets_in_a_compiled_step(name):
    holes, true, predicted = _example(name)
    loss = LOSSES[name]()
    masked = _value_and_gradient(loss, true, predicted, np.float32(~MISSING), compiled=True)
    found = _value_and_gradient(loss, holes, predicted, compiled=True)
    np.testing.assert_allclose(found[0], masked[0], rtol=1e-6)
    np.testing.assert_allclose(found[1], masked[1], rtol=1e-5, atol=1e-8)
    predicted[3, 0] = np.nan  # not annotated
    assert np.isnan(_value_and_gradient(loss, holes, predicted, compiled=True)[0])


@pytest.mark.parametrize("name", LOSSES)
def test_nan_predictions_are_seen_everywhere(name):
    holes, _, predicted = _example(name)
    for face in (1, 3):  # annotated, and not
        broken = predicted.copy()
        broken[face, 0] = np.nan
        assert np.isnan(LOSSES[name]()(holes, broken))
        assert np.isnan(LOSSES[name]()(holes, broken, sample_weight=np.zeros((4, 5))))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", COORDINATE_LOSSES)
def test_flat_coordinates_with_nan(name, reduction):
    """The values of landmarks [B, K, 2]; a face without any equals one of weight 0 exactly."""
    holes, true, predicted = _example(name)
    loss = COORDINATES[name](reduction=reduction)
    flat = [x.reshape(4, 10) for x in (holes, true, predicted)]
    value, gradient = _value_and_gradient(loss, flat[0], flat[2])
    expected = _value_and_gradient(loss, holes, predicted)
    if reduction == "none":
        expected[0] = expected[0].mean(axis=1)
        expected[1] = expected[1] / 5
    if reduction == "sum":
        expected = [x / 5 for x in expected]
    np.testing.assert_allclose(value, expected[0], rtol=1e-6)
    np.testing.assert_allclose(gradient.reshape(4, 5, 2), expected[1], rtol=1e-6)
    faces = np.array([1, 0, 1, 0], np.float32)
    absent = np.where(faces[:, None] > 0, flat[1], np.nan)
    for found, weighted in zip(
        _value_and_gradient(loss, absent, flat[2]),
        _value_and_gradient(loss, flat[1], flat[2], faces),
        strict=True,
    ):
        np.testing.assert_array_equal(found, weighted)


def test_golden_mean_with_nan():
    """|x| of 3 and 1 over two landmarks of which one counts: ((3 + 1) / 2 + 0) / 2."""
    true = np.array([[[0.0, 0.0], [np.nan, 5.0]]])
    predicted = np.array([[[3.0, 1.0], [7.0, 7.0]]])
    assert float(AbsoluteError()(true, predicted)) == 1
    assert float(AbsoluteError()(true.reshape(1, 4), predicted.reshape(1, 4))) == 1
    weighted = AbsoluteError(reduction="mean_with_sample_weight")
    assert float(weighted(true, predicted)) == 2
    assert float(weighted(true.reshape(1, 4), predicted.reshape(1, 4))) == 2


@pytest.mark.parametrize("function", [wing_loss, half_squared_error, adaptive_wing_loss])
def test_functions_give_no_loss_and_no_gradient_for_nan(function):
    holes, true, predicted = _example("adaptive_wing" if function is adaptive_wing_loss else "wing")
    value, gradient = _value_and_gradient(function, holes, predicted)
    full = function(true, predicted).numpy()
    if function is adaptive_wing_loss:
        gradient = np.moveaxis(gradient, 3, 1)
    np.testing.assert_array_equal(value[~MISSING], full[~MISSING])
    assert not value[MISSING].any()
    assert not gradient[MISSING].any()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_targets_are_refused(name, value):
    _, true, predicted = _example(name)
    true[1, 0, 1] = value
    with pytest.raises(ValueError, match=r"`y_true` must be finite.* at \[1, 0, 1(, 0)?\]"):
        LOSSES[name]()(true, predicted)


@pytest.mark.parametrize("name", ["uce", "bice", "dilated_bice"])
@pytest.mark.parametrize("value", [-1.0, 255.0])
def test_cross_entropy_refuses_targets_outside_0_to_1(name, value):
    """On 32b3c5a the loss of such targets went down to -948."""
    _, true, predicted = _example(name)
    LOSSES[name]()(np.clip(true, 0, 1) * 1.0005, predicted)  # rounding
    true[1, 2, 1, 0] = value
    with pytest.raises(ValueError, match=rf"must be in \[0, 1\].* {value} at \[1, 2, 1, 0\]"):
        LOSSES[name]()(true, predicted)
    compiled = tf.function(LOSSES[name](), autograph=False)
    clipped = LOSSES[name]()(np.clip(true, 0, 1), predicted)
    np.testing.assert_allclose(compiled(true, predicted), clipped, rtol=1e-6)


def _fit(true, weights=None, *, policy="float32", **options):
    """Returns the weights and the losses of two epochs of a small network."""
    keras.utils.set_random_seed(0)
    shape = true.shape[1:]
    dense = keras.layers.Dense(int(np.prod(shape)), dtype=policy)
    model = keras.Sequential([keras.Input((3,)), dense, keras.layers.Reshape(shape, dtype=policy)])
    model.compile(keras.optimizers.Adam(0.1), **options)
    images = np.random.default_rng(1).normal(size=(len(true), 3)).astype(np.float32)
    history = model.fit(images, true, sample_weight=weights, batch_size=2, epochs=2, verbose=0)
    return model.get_weights(), history.history["loss"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dilated_heatmap_mse", {}),
        ("wing", {"jit_compile": True}),
        ("wing", {"policy": "mixed_float16"}),
    ],
)
def test_weights_stay_finite_when_fitting_targets_with_nan(name, options):
    """On more backends and with more options: tests/integration/backend_features.py."""
    holes, true, _ = _example(name)
    found = _fit(holes, loss=LOSSES[name](), **options)
    expected = _fit(true, np.float32(~MISSING), loss=LOSSES[name](), **options)
    for a, b in zip(found[0], expected[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5)
    assert np.isfinite(found[1]).all()
