import keras
import numpy as np
import pytest

from wing_tf.layers import CoordinateChannels


def test_appends_x_y_and_radius():
    maps = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)
    out = np.asarray(CoordinateChannels()(maps))
    assert out.shape == (2, 3, 5, 7)
    np.testing.assert_array_equal(out[..., :4], maps)
    np.testing.assert_allclose(out[1, 0, :, 4], [-1, -0.5, 0, 0.5, 1])  # x runs along the width
    np.testing.assert_allclose(out[0, :, 2, 5], [-1, 0, 1])
    np.testing.assert_allclose(out[0, :, :, 6][[0, 0, 2, 2], [0, 4, 0, 4]], 1)  # the corners
    assert out[0, 1, 2, 6] == 0


def test_boundary_channels_are_zero_off_the_boundary():
    maps, boundary = np.zeros((1, 2, 3, 1)), np.zeros((1, 2, 3, 1))
    boundary[0, 0, 0], boundary[0, 1, 2], boundary[0, 0, 2] = 0.05, 0.9, 0.049
    out = np.asarray(CoordinateChannels()(maps, boundary))
    np.testing.assert_allclose(out[0, :, :, 4], [[-1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(out[0, :, :, 5], [[-1, 0, 0], [0, 0, 1]])
    stricter = np.asarray(CoordinateChannels(threshold=0.5)(maps, boundary))
    np.testing.assert_allclose(stricter[0, :, :, 4], [[0, 0, 0], [0, 0, 1]])


def test_zeroed_channels_keep_the_shape_through_a_config():
    maps, boundary = np.ones((1, 4, 4, 2)), np.ones((1, 4, 4, 1))
    layer = CoordinateChannels.from_config(CoordinateChannels(zeroed=True).get_config())
    out = np.asarray(layer(maps, boundary))
    assert out.shape == (1, 4, 4, 7)
    np.testing.assert_array_equal(out[..., :2], maps)
    np.testing.assert_array_equal(out[..., 2:], 0)


@pytest.mark.parametrize("with_boundary", [False, True])
def test_output_shape_of_symbolic_inputs(with_boundary):
    maps = keras.Input((8, 8, 6))
    inputs = [maps, keras.Input((8, 8, 1))] if with_boundary else [maps]
    assert CoordinateChannels()(*inputs).shape == (None, 8, 8, 11 if with_boundary else 9)
