"""Arguments, shapes and the scale of targets: each mistake has one clear line."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from wing_tf.losses import (
    COORDINATE_LOSSES,
    CROSS_ENTROPY_LOSSES,
    HEATMAP_LOSSES,
    AdaptiveWingLoss,
    HalfSquaredError,
    HeatmapSquaredError,
    SubpixelResidualLoss,
    WeightedLossMap,
    WingLoss,
    half_squared_error,
    warn_if_normalized,
    wing_loss,
)

LOSSES = {**COORDINATE_LOSSES, **HEATMAP_LOSSES}


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


@pytest.mark.parametrize("width", [0, float("nan"), "10", None])
def test_arguments_that_are_not_positive_numbers_are_refused(width):
    with pytest.raises(ValueError, match=f"`width` must be positive .* width={width!r}"):
        WingLoss(width=width)


def test_subclasses_may_have_any_constructor():
    class Scaled(WingLoss):
        def __init__(self, *scales, **kwargs):
            self.scales, self.unit = scales, kwargs.pop("unit")
            super().__init__(**kwargs)

    loss = Scaled(2.0, 3.0, unit="px", width=5)
    assert (loss.scales, loss.unit, loss.width) == ((2.0, 3.0), "px", 5.0)
    with pytest.raises(TypeError, match="Scaled has no argument 'w'. Did you mean 'width'?"):
        Scaled(unit="px", w=5)


def test_inner_loss_that_is_not_an_object_is_named():
    with pytest.raises(TypeError, match=r"such as AdaptiveWingLoss\(\). Received: <class .*Adapt"):
        WeightedLossMap(AdaptiveWingLoss)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_can_be_copied_and_pickled(name):
    loss = LOSSES[name](reduction="sum")
    for again in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert again.get_config() == loss.get_config()


def test_config_of_a_weighted_loss_can_be_used_twice():
    config = WeightedLossMap(AdaptiveWingLoss(), weight=3).get_config()
    for _ in range(2):
        assert WeightedLossMap.from_config(config).get_config() == config


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


@pytest.mark.parametrize("name", LOSSES)
def test_unknown_dimensions_do_not_broadcast(name):
    targets, predictions = {
        True: ((3, 1, 2), (3, 5, 2)), False: ((3, 1, 1, 2), (3, 4, 4, 2)),
    }[name in COORDINATE_LOSSES]  # fmt: skip
    unknown = tf.TensorSpec([None] * len(targets))
    # The number of pixels of a softmax must be known.
    options = {"activation": "sigmoid"} if name in CROSS_ENTROPY_LOSSES else {}
    loss = LOSSES[name](**options)
    step = tf.function(loss, autograph=False, input_signature=[unknown, unknown])
    with pytest.raises(tf.errors.InvalidArgumentError, match="requested shape"):
        step(tf.zeros(targets), tf.zeros(predictions))


@pytest.mark.parametrize("name", LOSSES)
def test_unknown_number_of_dimensions_has_one_line(name):
    shape = (None, 5, 2) if name in COORDINATE_LOSSES else (None, 4, 4, 2)
    known, unknown = tf.TensorSpec(shape), tf.TensorSpec(None)
    for signature, argument in (
        ((unknown, known), "y_true"), ((known, known, unknown), "sample_weight"),
    ):  # fmt: skip
        step = tf.function(LOSSES[name](), autograph=False, input_signature=signature)
        with pytest.raises(ValueError, match=f"`{argument}` must have a known .* call `set_shape`"):
            step.get_concrete_function()


def test_batch_without_faces_has_no_loss():
    for loss in (WingLoss(), HalfSquaredError()):
        np.testing.assert_array_equal(loss(np.zeros((0, 5, 2)), np.zeros((0, 5, 2))), 0)


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


@pytest.mark.parametrize("name", {**COORDINATE_LOSSES, **HEATMAP_LOSSES})
def test_trace_may_capture_concrete_targets(name):
    """A constant that a `tf.function` captures has values, but operations on it are symbolic."""
    loss = {**COORDINATE_LOSSES, **HEATMAP_LOSSES}[name]()
    shape = (4, 5, 2) if name in COORDINATE_LOSSES else (4, 8, 8, 5)
    true = tf.constant(np.random.default_rng(0).uniform(0, 1, shape), tf.float32)
    predicted = true * 0.5 + 0.25
    step = tf.function(lambda: loss(true, predicted, sample_weight=tf.ones((4, 5))))
    np.testing.assert_allclose(step(), tf.function(loss)(true, predicted), rtol=1e-6)
