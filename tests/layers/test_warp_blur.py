import pathlib

import numpy as np
import pytest
import tensorflow as tf

from wing_tf.layers import gaussian_blur, warp_affine

GOLDEN = np.load(pathlib.Path(__file__).parents[1] / "golden" / "addons_warp_blur.npz")
image = GOLDEN["image"]


def test_warp_equals_tensorflow_addons():
    ours = warp_affine(image, GOLDEN["matrices"], GOLDEN["warped"].shape[1:3])
    np.testing.assert_allclose(ours, GOLDEN["warped"], atol=5e-3)


def test_rotation_equals_tensorflow_addons():
    ours = warp_affine(image, GOLDEN["rotation_matrices"], image.shape[1:3])
    np.testing.assert_allclose(ours, GOLDEN["rotated"], atol=5e-3)


@pytest.mark.parametrize(("sigma", "radius"), [(1, 3), (2, 6)])
def test_blur_equals_tensorflow_addons(sigma, radius):
    ours = gaussian_blur(image, np.full(len(image), sigma, np.float32), radius=radius)
    np.testing.assert_allclose(ours, GOLDEN[f"blurred_sigma{sigma}"], atol=1e-3)


def test_blur_has_one_sigma_per_image_and_sigma_zero_is_the_identity():
    ours = gaussian_blur(image, np.array([0.0, 1.0, 0.0], np.float32)[: len(image)], radius=3)
    np.testing.assert_array_equal(ours[0], image[0])
    np.testing.assert_allclose(ours[1], GOLDEN["blurred_sigma1"][1], atol=1e-3)


def test_identity_is_exact_for_uint8():
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 7, 3), np.uint8)
    identity = np.tile(np.eye(2, 3, dtype=np.float32), (2, 1, 1))
    np.testing.assert_array_equal(warp_affine(images, identity, (9, 7)), images)


def test_extreme_matrices_give_black_images():
    wild = np.array([[[1e12, 0, 1e12], [0, 1, 0]], [[0, 0, -5], [0, 0, -5]]], np.float32)
    out = np.asarray(warp_affine(image[:2], wild, (4, 4)))
    np.testing.assert_array_equal(out, np.zeros_like(out))


def test_warp_compiles_with_xla():
    run = tf.function(lambda x, m: warp_affine(x, m, (32, 36)), jit_compile=True)
    compiled = run(tf.constant(image), tf.constant(GOLDEN["matrices"]))
    np.testing.assert_allclose(compiled, GOLDEN["warped"], atol=0.02)


def test_blur_refuses_a_radius_beyond_the_image():
    with pytest.raises(ValueError, match="`radius` must be below"):
        gaussian_blur(np.zeros((1, 4, 4, 3), np.float32), np.ones(1, np.float32), radius=4)
