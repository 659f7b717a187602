"""Weights of faces and of landmarks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from wing_tf.losses import AdaptiveWingLoss, WeightedLossMap, WingLoss

GENERATOR = np.random.default_rng(0)
COORDINATES = GENERATOR.uniform(0, 64, (2, 5, 5, 2)).astype(np.float32)
HEATMAPS = GENERATOR.uniform(0, 1, (2, 5, 6, 4, 5)).astype(np.float32)
EXAMPLES = [(WingLoss, COORDINATES), (AdaptiveWingLoss, HEATMAPS)]
FACES = np.array([0, 1, 0.5, 2, 0], np.float32)


@pytest.mark.parametrize(("loss", "example"), EXAMPLES)
@pytest.mark.parametrize("weights", [FACES, FACES[:, None], np.repeat(FACES[:, None], 5, axis=1)])
def test_one_weight_per_face_is_not_taken_for_landmarks(loss, example, weights):
    """Five faces of five landmarks: [B] and [K] have one shape."""
    values = np.asarray(loss(reduction="none")(*example))
    found = loss(reduction="none")(*example, sample_weight=weights)
    np.testing.assert_array_equal(found, values * FACES[:, None])
    mean = loss(reduction="mean_with_sample_weight")(*example, sample_weight=weights)
    np.testing.assert_allclose(mean, np.average(values.mean(1), weights=FACES), rtol=1e-6)


def test_only_the_wrong_face_has_weight_zero():
    """On 32b3c5a the loss was 2.867."""
    true = np.zeros((5, 5, 2), np.float32)
    predicted = true.copy()
    predicted[0] = 10
    assert float(WingLoss()(true, predicted, sample_weight=np.float32([0, 1, 1, 1, 1]))) == 0


def test_weights_of_landmarks_stay_as_they_are():
    weights = GENERATOR.uniform(0, 2, (5, 5)).astype(np.float32)
    for loss, example in EXAMPLES:
        values = np.asarray(loss(reduction="none")(*example))
        found = loss(reduction="none")(*example, sample_weight=weights)
        np.testing.assert_array_equal(found, values * weights)


@pytest.mark.parametrize("weights", [FACES, FACES[:, None]])
def test_flat_coordinates_take_weights_of_faces(weights):
    true, predicted = COORDINATES.reshape(2, 5, 10)
    values = np.asarray(WingLoss(reduction="none")(true, predicted))
    found = WingLoss(reduction="none")(true, predicted, sample_weight=weights)
    np.testing.assert_array_equal(found, values * FACES)


@pytest.mark.parametrize("shape", [(), (4,), (1, 5), (5, 4), (5, 5, 2), (5, 5, 1), (5, 6, 4, 5)])
@pytest.mark.parametrize(
    ("loss", "example"),
    [*EXAMPLES, (WingLoss, COORDINATES.reshape(2, 5, 10))],
    ids=["coordinates", "heatmaps", "flat"],
)
def test_other_shapes_are_refused(loss, example, shape):
    with pytest.raises(ValueError, match=r"`sample_weight` must be \[B\] or \[B, 1\]") as error:
        loss()(*example, sample_weight=np.ones(shape))
    assert f"Received: sample_weight.shape={shape}, y_true.shape={example[0].shape}." in str(
        error.value
    )
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(None, 4), (None, 5, 2), (None, 5, 1)])
def test_other_shapes_are_refused_at_trace_time(shape):
    landmarks = tf.TensorSpec((None, 5, 2))
    step = tf.function(WingLoss(), autograph=False)
    with pytest.raises(ValueError, match="`sample_weight` must be"):
        step.get_concrete_function(landmarks, landmarks, tf.TensorSpec(shape))


@pytest.mark.parametrize("compiled", [False, True])
def test_one_weight_per_face_in_fit(compiled):
    """Keras passes weights of arrays as [B], and of data sets as they are."""
    true = COORDINATES[0]
    images = GENERATOR.normal(size=(5, 3)).astype(np.float32)
    results = []
    for weights in (FACES, FACES[:, None], np.repeat(FACES[:, None], 5, axis=1)):
        data = tf.data.Dataset.from_tensor_slices((images, true, weights)).batch(5)
        for arguments in ((images, true, 5, weights), (data,)):
            keras.utils.set_random_seed(0)
            model = keras.Sequential(
                [keras.Input((3,)), keras.layers.Dense(10), keras.layers.Reshape((5, 2))]
            )
            model.compile("sgd", loss=WingLoss(), jit_compile=compiled)
            if len(arguments) == 1:
                model.fit(*arguments, shuffle=False, verbose=0)
            else:
                model.fit(
                    images, true, batch_size=5, sample_weight=weights, shuffle=False, verbose=0
                )
            results.append(model.get_weights())
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_class_weight_of_heatmaps_is_refused():
    """Keras makes weights [B, h, w] of it."""
    true, images = HEATMAPS[0], np.ones((5, 3), np.float32)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(120), keras.layers.Reshape((6, 4, 5))]
    )
    model.compile("sgd", loss=WeightedLossMap(AdaptiveWingLoss()))
    data = tf.data.Dataset.from_tensor_slices((images, true)).batch(5)
    with pytest.raises(ValueError, match="`class_weight` does not apply to landmarks"):
        model.fit(data, shuffle=False, class_weight={0: 1.0, 1: 2.0}, verbose=0)
