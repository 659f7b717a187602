import keras
import numpy as np
import pytest
import tensorflow as tf
from dots import centroids, dot_network
from keras import ops

from wing_tf.model_spec import ModelSpec
from wing_tf.models import cnn6, correction, two_stage
from wing_tf.models.saving import load_network, save_network
from wing_tf.models.two_stage import reference_in_crop

SHAPE = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.2, 1.0], [0.8, 1.0]])
REFERENCE = reference_in_crop(SHAPE, 128, 1.2)
MARGINS = {"first_margin": 1.2, "second_margin": 1.2}


def _constant(landmarks_px, side=64):
    """A first stage that emits the same landmarks for every image."""
    image = keras.Input((side, side, 3))
    nothing = 0.0 * ops.mean(image, axis=(1, 2, 3))[:, None, None]
    return keras.Model(image, nothing + ops.convert_to_tensor(landmarks_px, "float32")[None])


def _dots(places, side=208, sigma=4.0):
    rows, columns = np.mgrid[:side, :side]
    x, y = np.asarray(places, float).T[..., None, None]
    dots = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat(dots[..., None], 3, axis=3).astype(np.float32)


def test_reference_shape_is_centered_in_its_crop():
    np.testing.assert_allclose(REFERENCE.min(axis=0), 63.5 - 128 / 1.2 / 2)
    np.testing.assert_allclose(REFERENCE.max(axis=0), 63.5 + 128 / 1.2 / 2)


@pytest.mark.parametrize(
    "rough",
    [
        16 + 32 * SHAPE,
        20 + 25 * SHAPE @ np.array([[0.8, 0.6], [-0.6, 0.8]]),  # rotated
        np.full((5, 2), 31.5),  # degenerate: the centered crop
        np.full((5, 2), np.nan),
    ],
)
def test_a_dot_is_located_in_image_pixels(rough):
    network = two_stage(_constant(rough), dot_network(128), REFERENCE, **MARGINS)
    places = [[103.5, 103.5], [95.3, 108.9], [105.2, 101.4]]
    found = network(_dots(places, sigma=2.5))
    np.testing.assert_allclose(found[:, 0], places, atol=0.05)


def test_the_first_stage_is_aligned_to_the_reference():
    """Dots at the first landmarks 0 and 4 are at the reference's landmarks in the second crop."""
    rotation = np.array([[0.96, 0.28], [-0.28, 0.96]])
    rough = 18 + 26 * SHAPE @ rotation
    network = two_stage(_constant(rough), dot_network(128), REFERENCE, **MARGINS)
    span = 208 * 1.2 / 1.6
    in_context = (rough + 0.5) * span / 64 - 0.5 + (208 - span) / 2
    seen = keras.Model(network.input, network.get_layer("second_crop").output)
    for number in (0, 4):
        crop = seen(_dots(in_context[[number]], sigma=2.0))
        np.testing.assert_allclose(centroids(crop)[0], REFERENCE[number], atol=0.05)
    # The fallback for degenerate landmarks is the centered crop.
    plain = two_stage(_constant(rough * np.nan), dot_network(128), REFERENCE, **MARGINS)
    seen = keras.Model(plain.input, plain.get_layer("second_crop").output)
    np.testing.assert_allclose(centroids(seen(_dots([[103.5, 103.5]])))[0], 63.5, atol=0.05)


@pytest.mark.parametrize("joint", [False, True])
def test_gradient_reaches_the_first_stage_only_if_joint(joint):
    keras.utils.set_random_seed(0)
    first = cnn6(5, width=0.1)
    first.get_layer("output").bias.assign((16 + 32 * SHAPE).ravel())
    second = cnn6(5, width=0.1, input_size=128, name="second")
    network = two_stage(first, second, REFERENCE, joint=joint, **MARGINS)
    image = np.random.default_rng(0).uniform(0, 255, (2, 208, 208, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(network(image) ** 2)
    gradients = tape.gradient(loss, [w.value for w in first.trainable_variables])
    assert [g is not None for g in gradients] == [joint] * len(gradients)
    assert all(np.isfinite(g).all() for g in gradients if g is not None)


def test_a_correction_starts_at_the_first_landmarks_and_is_saved(tmp_path):
    keras.utils.set_random_seed(0)
    first = cnn6(5, width=0.1)
    first.get_layer("output").bias.assign((16 + 32 * SHAPE).ravel())
    second = cnn6(5, width=0.1, input_size=128, name="second")
    second.get_layer("output").kernel.assign(np.zeros_like(second.get_layer("output").kernel))
    second.get_layer("output").bias.assign(REFERENCE.ravel())
    network = two_stage(first, correction(second, REFERENCE), REFERENCE, **MARGINS)
    image = np.random.default_rng(0).uniform(0, 255, (2, 208, 208, 3)).astype(np.float32)
    rough = keras.Model(network.input, network.get_layer("first_landmarks").output)(image)
    np.testing.assert_allclose(network(image), rough, atol=1e-3)
    spec = ModelSpec(scheme="celeba_5", input_size=208, margin=1.6)
    save_network(network, tmp_path / "model.keras", spec)
    again, _ = load_network(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(image), network(image))


def test_stages_that_do_not_fit_are_refused():
    first, second = _constant(SHAPE), dot_network(128)
    with pytest.raises(ValueError, match="must fit"):
        two_stage(first, second, REFERENCE, first_margin=1.7, second_margin=1.2)
    with pytest.raises(ValueError, match="must emit"):
        two_stage(cnn6(7, width=0.1), second, REFERENCE, **MARGINS)
