import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from wing_tf import geometry as g
from wing_tf.geometry.resample import crop_and_resize

finite = st.floats(-50, 50, allow_nan=False)
matrices = (
    st.lists(finite, min_size=6, max_size=6)
    .map(lambda v: np.array(v).reshape(2, 3))
    .filter(lambda m: abs(m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]) > 1)
)
points = st.lists(finite, min_size=4, max_size=4).map(lambda v: np.array(v).reshape(2, 2))


@given(matrices, points)
def test_inverse_maps_points_back(matrix, some):
    back = g.apply_affine(g.invert(matrix), g.apply_affine(matrix, some))
    np.testing.assert_allclose(back, some, atol=1e-6 * (1 + np.abs(matrix).max() ** 2))


@given(matrices, matrices, points)
def test_compose_applies_inner_first(outer, inner, some):
    np.testing.assert_allclose(
        g.apply_affine(g.compose(outer, inner), some),
        g.apply_affine(outer, g.apply_affine(inner, some)),
        rtol=1e-9,
        atol=1e-6,
    )


@given(matrices, points)
def test_numpy_and_keras_agree(matrix, some):
    on_device = g.apply_affine(
        ops.convert_to_tensor(matrix, "float32"), ops.convert_to_tensor(some, "float32"), xp=ops
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(on_device), g.apply_affine(matrix, some), rtol=1e-4, atol=0.05
    )


def test_crop_matrix_of_the_whole_image_aligns_edges():
    matrix = g.crop_matrix(np.array([-0.5, -0.5, 99.5, 49.5]), (25, 50))
    np.testing.assert_allclose(matrix, [[0.5, 0, -0.25], [0, 0.5, -0.25]])
    corners = np.array([[-0.5, -0.5], [99.5, 49.5]])
    np.testing.assert_allclose(g.apply_affine(matrix, corners), [[-0.5, -0.5], [49.5, 24.5]])


def test_flip_is_an_involution_that_moves_the_first_pixel_to_the_last():
    flip = g.flip_matrix(10)
    np.testing.assert_array_equal(g.apply_affine(flip, np.array([[0.0, 3.0]])), [[9.0, 3.0]])
    np.testing.assert_array_equal(g.compose(flip, flip), [[1, 0, 0], [0, 1, 0]])


def test_similarity_matrix_keeps_the_center_and_rotates_clockwise():
    center = np.array([5.0, 7.0])
    matrix = g.similarity_matrix(center, np.pi / 2, 2.0, np.zeros(2))
    np.testing.assert_allclose(g.apply_affine(matrix, center[None]), center[None])
    right_of_it = g.apply_affine(matrix, np.array([[6.0, 7.0]]))
    np.testing.assert_allclose(right_of_it, [[5.0, 9.0]])  # now below, twice as far


def test_crop_square_takes_the_longer_side():
    np.testing.assert_allclose(
        g.crop_square(np.array([[0.0, 0, 10, 20]]), 1.5), [[-10.0, -5, 20, 25]]
    )


def test_iou():
    box = np.array([0.0, 0, 10, 10])
    others = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    np.testing.assert_allclose(g.box_iou(others, box), [1, 50 / 150, 0])


def test_perturbed_boxes_stay_within_the_amount():
    boxes = np.tile([[10.0, 20, 50, 100]], (500, 1))
    moved = g.perturb_box(boxes, 0.1, np.random.default_rng(0))
    center = (moved[:, :2] + moved[:, 2:]) / 2 - [30, 60]
    assert np.abs(center).max() <= 8
    assert np.abs(center).max() > 7
    ratio = (moved[:, 2] - moved[:, 0]) / 40
    assert 0.9 <= ratio.min() < 0.91
    assert 1.09 < ratio.max() <= 1.1


def test_mean_shape_is_placed_back_in_its_box():
    shape = np.random.default_rng(0).uniform(0, 9, (1, 5, 2))
    box = np.array([[0.0, 0, 9, 12]])
    np.testing.assert_allclose(g.place_shape_in_boxes(g.mean_shape(shape, box), box), shape)


def _dot(height, width, x, y, sigma=1.5):
    rows, columns = np.mgrid[:height, :width]
    weight = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat((255 * weight)[..., None], 3, axis=2).round().astype(np.uint8)


def _centroid(image):
    weight = image[..., 0].astype(float)
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("side", [32, 64, 96, 200])
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_crop_keeps_the_dot_position_at_any_scale(side, offset):
    image = _dot(240, 320, 150.25, 110.5, sigma=6)
    crop, matrix = crop_and_resize(image, np.array([70, 30, 230, 190.0]) + offset, (side, side))
    expected = g.apply_affine(matrix, np.array([[150.25, 110.5]]))[0]
    np.testing.assert_allclose(_centroid(crop), expected, atol=0.03)


def test_crop_averages_when_shrinking():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    crop, _ = crop_and_resize(stripes, np.array([-0.5, -0.5, 255.5, 255.5]), (64, 64))
    assert np.ptp(crop[4:-4, 4:-4].astype(int)) <= 1
    assert abs(crop.mean() - 127.5) < 1


def test_crop_is_black_outside_the_image():
    crop, _ = crop_and_resize(
        np.full((8, 8, 3), 200, np.uint8), np.array([-8.5, -0.5, -0.5, 7.5]), (8, 8)
    )
    assert crop[:, :-1].max() == 0


def test_same_size_crop_is_the_image():
    image = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8), (3, 3), 0
    )
    crop, matrix = crop_and_resize(image, np.array([-0.5, -0.5, 29.5, 19.5]), (20, 30))
    np.testing.assert_array_equal(crop, image)
    np.testing.assert_allclose(matrix, [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("box", [[0, 0, 0, 5], [0, 0, float("nan"), 5], [5, 5, 1, 9]])
def test_crop_refuses_an_empty_box(box):
    with pytest.raises(ValueError, match="finite, with x0 < x1"):
        crop_and_resize(np.zeros((9, 9, 3), np.uint8), np.array(box, float), (8, 8))
