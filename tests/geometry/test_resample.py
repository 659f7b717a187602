"""Crops compared with their definition in float64 and with OpenCV."""

import cv2
import numpy as np
import pytest

from wing_tf.geometry import crop_matrix
from wing_tf.geometry.resample import crop_and_resize


def _smooth(height, width, sigma=3.0):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), sigma).astype(float)
    return np.clip((image - 127) * 6 + 127, 0, 255).astype(np.uint8)


def _by_definition(image, box, size_hw):
    """Averages linear samples in float64; black outside of the image."""
    height, width = size_hw
    factor = int(np.ceil(max((box[2] - box[0]) / width, (box[3] - box[1]) / height) - 1e-6))
    factor = max(factor, 1)
    padded = np.pad(image.astype(float), ((2, 2), (2, 2), (0, 0)))
    y = box[1] + (np.arange(height * factor) + 0.5) * (box[3] - box[1]) / (height * factor)
    x = box[0] + (np.arange(width * factor) + 0.5) * (box[2] - box[0]) / (width * factor)
    y = np.clip(y, -1, image.shape[0]) + 2
    x = np.clip(x, -1, image.shape[1]) + 2
    row, column = np.floor(y).astype(int), np.floor(x).astype(int)
    row, column = np.minimum(row, image.shape[0] + 2), np.minimum(column, image.shape[1] + 2)
    v, u = (y - row)[:, None, None], (x - column)[None, :, None]
    fine = (1 - v) * ((1 - u) * padded[row][:, column] + u * padded[row][:, column + 1]) + v * (
        (1 - u) * padded[row + 1][:, column] + u * padded[row + 1][:, column + 1]
    )
    return fine.reshape(height, factor, width, factor, 3).mean(axis=(1, 3))


def _by_opencv(image, box, size_hw):
    height, width = size_hw
    factor = max(1, int(np.ceil(max((box[2:] - box[:2]) / (width, height)))))
    size = (width * factor, height * factor)
    fine = cv2.warpAffine(image, crop_matrix(box, size[::-1]), size, flags=cv2.INTER_LINEAR)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)


BOXES = {
    "enlarged": ([20.3, 30.8, 61.1, 70.2], (64, 64)),
    "shrunk slightly": ([10.0, 12.4, 160.7, 155.0], (96, 96)),
    "shrunk strongly": ([-30.2, -20.0, 230.0, 260.5], (16, 24)),
    "stretched": ([33.3, 8.1, 60.0, 170.9], (40, 33)),
    "across a corner": ([150.5, 140.2, 260.0, 230.0], (51, 49)),
    "wider than the image": ([-400.0, 60.0, 700.0, 64.0], (20, 20)),
}


@pytest.mark.parametrize("case", BOXES)
def test_crop_equals_the_definition_in_float64(case):
    box, size = BOXES[case]
    image = np.random.default_rng(1).integers(0, 256, (180, 200, 3), np.uint8)
    crop, matrix = crop_and_resize(image, np.array(box), size)
    assert crop.shape == (*size, 3)
    assert crop.dtype == np.uint8
    # Rounded once: half a gray level, and what float32 leaves.
    assert np.abs(crop - _by_definition(image, box, size)).max() <= 0.501
    np.testing.assert_array_equal(matrix, crop_matrix(np.array(box), size))


@pytest.mark.parametrize("side", [60.0, 150.0, 333.3, 520.7])
def test_crop_equals_opencv_within_rounding(side):
    image = _smooth(600, 640)
    box = np.array([40.3, 17.7, 40.3 + side, 17.7 + side])
    crop, _ = crop_and_resize(image, box, (128, 128))
    assert np.ptp(crop) > 150
    assert np.abs(crop.astype(int) - _by_opencv(image, box, (128, 128))).max() <= 2


def test_views_and_gray_images_are_cropped_alike():
    image, box = _smooth(90, 80), np.array([10.2, 12.0, 71.0, 85.5])
    crop, _ = crop_and_resize(image, box, (32, 32))
    swapped, _ = crop_and_resize(image[..., ::-1], box, (32, 32))
    np.testing.assert_array_equal(swapped, crop[..., ::-1])
    gray, _ = crop_and_resize(image[..., 1], box, (32, 32))
    np.testing.assert_array_equal(gray, crop[..., 1])
    transposed, _ = crop_and_resize(image.transpose(1, 0, 2), box[[1, 0, 3, 2]], (32, 32))
    np.testing.assert_array_equal(transposed, crop.transpose(1, 0, 2))


@pytest.mark.parametrize("box", [[300, 0, 340, 40], [-90, -90, -50, -50], [0, 99, 40, 140]])
def test_box_outside_the_image_is_black(box):
    crop, _ = crop_and_resize(np.full((90, 80, 3), 255, np.uint8), np.array(box, float), (16, 16))
    assert not crop.any()


def test_constant_image_stays_constant():
    for side in np.linspace(20, 300, 40):
        crop, _ = crop_and_resize(
            np.full((400, 400, 3), 255, np.uint8),
            np.array([50, 50, 50 + side, 50 + side]),
            (64, 64),
        )
        assert crop.min() == 255
