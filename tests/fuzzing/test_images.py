"""Damaged images are refused in one line, or read as images."""

import cv2
import numpy as np
import pillow_heif
import pytest
from fuzzed import check_reader, damaged_bytes
from PIL import Image

from wing_tf.utils.image_files import load_image

pytestmark = pytest.mark.slow  # 300 inputs for each format

SUFFIXES = [".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".jp2", ".avif", ".ppm", ".heic"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_images_are_refused_or_read(suffix, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    path = tmp_path / f"a{suffix}"
    if suffix == ".heic":
        pillow_heif.from_pillow(Image.fromarray(image)).save(path)
    else:
        assert cv2.imwrite(str(path), image)
    assert load_image(path).shape == image.shape

    def read():
        found = load_image(path)
        assert found.dtype == np.uint8
        assert found.ndim == 3
        assert found.shape[2] == 3
        assert found.size

    valid = path.read_bytes()
    check_reader(path, valid, read, damaged_bytes(valid))
