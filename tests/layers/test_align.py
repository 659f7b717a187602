import keras
import numpy as np
import pytest
import tensorflow as tf
from dots import centroids

from wing_tf.geometry import apply_affine, crop_matrix, crop_square, invert, similarity_matrix
from wing_tf.layers import AffineCrop, AlignToShape, InverseAffine, ResizedCenterCrop, warp_affine


def _dot(x, y, side=208, sigma=5.0):
    rows, columns = np.mgrid[:side, :side]
    dot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat(dot[None, ..., None], 3, axis=3).astype(np.float32)


@pytest.mark.parametrize("size", [96, 64, 24])  # sampled as it is, halved, quartered
@pytest.mark.parametrize("span", [143.0, 146.7])
def test_resized_center_crop_keeps_the_dot_position(size, span):
    image = _dot(95.3, 120.8)
    crop = ResizedCenterCrop(span, size)(image)
    box = crop_square(np.array([-0.5, -0.5, 207.5, 207.5]), span / 208)
    expected = apply_affine(crop_matrix(box, (size, size)), np.array([[95.3, 120.8]]))
    np.testing.assert_allclose(centroids(crop), expected, atol=0.05)


def test_resized_center_crop_equals_the_warp():
    image = np.random.default_rng(0).uniform(0, 255, (2, 40, 40, 3)).astype(np.float32)
    matrix = crop_matrix(np.array([4.2, 4.2, 34.8, 34.8]), (30, 30))
    expected = warp_affine(image, np.tile(invert(matrix)[None], (2, 1, 1)), (30, 30))
    np.testing.assert_allclose(ResizedCenterCrop(30.6, 30)(image), expected, atol=2e-2)
    with pytest.raises(ValueError, match="must fit"):
        ResizedCenterCrop(41, 30)(image)


def test_affine_crop_is_exact_and_differentiable():
    turn = similarity_matrix(np.array([[104.0, 104.0]]), np.array([0.4]), np.array([0.7]),
                             np.array([[-35.0, -42.0]])).astype(np.float32)  # fmt: skip
    image = tf.constant(_dot(95.3, 120.8))
    layer = AffineCrop(128)
    with tf.GradientTape() as tape:
        tape.watch(image)
        crop = layer(image, turn)
        total = tf.reduce_sum(crop[:, 60:64, 60:64])
    expected = apply_affine(turn, np.array([[[95.3, 120.8]]]))[:, 0]
    np.testing.assert_allclose(centroids(crop), expected, atol=0.05)
    gradient = tape.gradient(total, image).numpy()
    # Linear in the image: the gradient is what the sum takes of each pixel.
    np.testing.assert_allclose(np.sum(gradient * image), total, rtol=1e-4)
    assert np.count_nonzero(gradient) < 300


def test_inverse_affine_maps_points_back():
    points = np.random.default_rng(0).uniform(0, 100, (3, 5, 2)).astype(np.float32)
    matrix = similarity_matrix(np.zeros((3, 2)), np.array([0.1, 2.0, -1.0]),
                               np.array([2.0, 0.5, 1.0]),
                               np.full((3, 2), 7.0)).astype(np.float32)  # fmt: skip
    there = apply_affine(matrix, points)
    np.testing.assert_allclose(InverseAffine()(there, matrix), points, atol=1e-3)


def test_align_to_shape_has_finite_gradients_for_any_landmarks():
    reference = np.random.default_rng(0).uniform(20, 100, (5, 2))
    layer = AlignToShape(reference, np.array([[0.5, 0, 1], [0, 0.5, 1]]))
    landmarks = np.stack([reference * 2, np.full((5, 2), 9.0), np.full((5, 2), np.nan)])
    landmarks = tf.constant(landmarks, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(landmarks)
        matrix, aligned = layer(landmarks)
        total = tf.reduce_sum(matrix) + tf.reduce_sum(aligned)
    np.testing.assert_allclose(matrix[0], [[0.5, 0, 0], [0, 0.5, 0]], atol=1e-4)
    np.testing.assert_allclose(matrix[1:], [layer.fallback] * 2)
    np.testing.assert_allclose(aligned, [layer.reference_shape] * 3, atol=1e-3)
    assert np.isfinite(tape.gradient(total, landmarks)).all()


@pytest.mark.parametrize(
    "layer",
    [ResizedCenterCrop(20, 10), AffineCrop(8), InverseAffine(),
     AlignToShape(np.ones((5, 2)), np.eye(2, 3))],
)  # fmt: skip
def test_layers_are_rebuilt_from_their_config(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
