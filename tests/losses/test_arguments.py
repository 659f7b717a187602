"""Arguments, shapes and the scale of targets: each mistake has one clear line."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from wing_tf.losses import (
    COORDINATE_LOSSES,
    HEATMAP_LOSSES,
    AdaptiveWingLoss,
    HeatmapSquaredError,
    SubpixelResidualLoss,
    WeightedLossMap,
    WingLoss,
    half_squared_error,
    warn_if_normalized,
    wing_loss,
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WingLoss(w=10, epsilon=2), "WingLoss has no argument 'w'. Did you mean 'width'?"),
        (lambda: WingLoss(epsilon=2), "no argument 'epsilon'. Did you mean 'curvature'?"),
        (lambda: WingLoss(widht=2), "no argument 'widht'. Did you mean 'width'?"),
        (lambda: WingLoss(10, 2), "takes keyword arguments: width, curvature, name, reduction"),
        (lambda: WingLoss(10, 2), "Received: WingLoss(10, 2)."),
        (lambda: AdaptiveWingLoss(2.1), "takes keyword arguments: alpha, omega, epsilon, theta"),
        (lambda: HeatmapSquaredError(reducton="sum"), "Did you mean 'reduction'?"),
        (lambda: WeightedLossMap(HeatmapSquaredError(), W=10), "Did you mean 'weight'?"),
        (lambda: WeightedLossMap(HeatmapSquaredError(), 10), "takes keyword arguments: weight"),
    ],
)
def test_unknown_arguments_are_named(make, message):
    with pytest.raises(TypeError) as error:
        make()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", {**COORDINATE_LOSSES, **HEATMAP_LOSSES})
def test_losses_can_be_copied_and_pickled(name):
    loss = {**COORDINATE_LOSSES, **HEATMAP_LOSSES}[name](reduction="sum")
    for again in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert again.get_config() == loss.get_config()


SHAPES = [(4,), (4, 137), (4, 68, 3), (4, 68, 1), (4, 68, 2, 1), ()]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "loss",
    [*[loss() for loss in COORDINATE_LOSSES.values()], SubpixelResidualLoss(), wing_loss,
     half_squared_error],
    ids=lambda loss: getattr(loss, "name", None) or loss.__name__,
)  # fmt: skip
def test_shapes_that_are_no_landmarks_are_refused(loss, shape):
    with pytest.raises(ValueError, match=r"must be \[B, K, 2\] or \[B, 2K\]"):
        loss(np.zeros(shape, np.float32), np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(None,), (None, 137), (None, 68, 3), (None, None, 3)])
def test_shapes_that_are_no_landmarks_are_refused_at_trace_time(shape):
    step = tf.function(WingLoss(), autograph=False)
    with pytest.raises(ValueError, match=r"must be \[B, K, 2\] or \[B, 2K\]"):
        step.get_concrete_function(tf.TensorSpec(shape), tf.TensorSpec(shape))


@pytest.mark.parametrize("shape", [(None, 10), (None, None), (None, 5, 2), (None, None, None)])
def test_unknown_dimensions_are_accepted(shape):
    step = tf.function(WingLoss(), autograph=False)
    step = step.get_concrete_function(tf.TensorSpec(shape), tf.TensorSpec(shape))
    true = np.zeros((3, 10) if len(shape) == 2 else (3, 5, 2), np.float32)
    np.testing.assert_allclose(step(tf.constant(true), tf.constant(true + 1)), 4.054651, rtol=1e-6)


@pytest.mark.parametrize("name", COORDINATE_LOSSES)
@pytest.mark.parametrize("layout", [(16, 5, 2), (16, 10)])
def test_normalized_targets_warn_once(name, layout):
    true = np.random.default_rng(0).uniform(0, 1, (16, 5, 2)).astype(np.float32)
    true[0, 0] = np.nan
    true = true.reshape(layout)
    loss = COORDINATE_LOSSES[name]()
    with pytest.warns(UserWarning, match="look normalized to"):
        loss(true, true)
    loss(true, true)  # A second warning would be an error.
    loss = COORDINATE_LOSSES[name]()
    loss(np.zeros_like(true), true)  # Tells nothing.
    with pytest.warns(UserWarning, match="look normalized to"):
        loss(true, true)
    COORDINATE_LOSSES[name]()(64 * true, true)
    SubpixelResidualLoss()(true, true)


def test_normalized_targets_warn_in_eager_fit():
    true = np.random.default_rng(0).uniform(0, 1, (16, 10)).astype(np.float32)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(10)])
    model.compile("sgd", loss=WingLoss(), run_eagerly=True)
    with pytest.warns(UserWarning, match="look normalized to") as warnings:
        model.fit(np.ones((16, 3)), true, batch_size=4, epochs=2, verbose=0)
    assert len(warnings) == 1


def test_scale_of_an_array_of_targets():
    shapes = np.random.default_rng(0).uniform(0, 1, (10, 68, 2))
    with pytest.warns(UserWarning, match="only a scaled L1"):
        assert warn_if_normalized(shapes - [3, 27])
    shapes[0] = np.nan
    assert not warn_if_normalized(shapes * 64)
    assert not warn_if_normalized(shapes[:1])
    assert not warn_if_normalized(shapes[:, :1])  # One landmark has no extent.
