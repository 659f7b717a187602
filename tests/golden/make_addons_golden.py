"""Make `addons_warp_blur.npz`: warps and blurs by tensorflow-addons 0.23.0, which isn't ours.

Why: our warp and blur replace `tfa.image.transform`, `rotate` and `gaussian_filter2d`. Images
made by the original show that pixel centers, direction of the matrix, border and kernel agree.
tensorflow-addons doesn't import beside Keras 3, so the arrays are made once and kept.
`transform` and `rotate` only wrap `tf.raw_ops.ImageProjectiveTransformV3`: their images check a
warp written without that op, and only the wrapping of one written with it.

Environment (CPU, about a minute) and run; the npz is written beside this file, and two runs on one
machine give the same bytes:

    python3.11 -m venv /tmp/tfa_env
    /tmp/tfa_env/bin/pip install tensorflow-cpu==2.15.1 tensorflow-addons==0.23.0 'numpy<2'
    /tmp/tfa_env/bin/python tests/golden/make_addons_golden.py

Conventions: every matrix [2, 3] maps an OUTPUT pixel (x, y) to an INPUT pixel (x, y); pixel centers
are integers. Bilinear, and each of the four taps outside of the image counts as 0, so the border
fades over one pixel. Blur: weights exp(-k^2 / 2 sigma^2), normalized over the window;
REFLECT does not repeat the edge pixel.

Arrays, float32 (images 0..255):
    image             [3, 40, 48, 3]
    matrices          [3, 2, 3]       sub-pixel shift; rotation and scale; affine with a flip
    warped            [3, 32, 36, 3]  `transform` of image by matrices
    blurred_sigma1    [3, 40, 48, 3]  window 7
    blurred_sigma2    [3, 40, 48, 3]  window 13
    rotation_angles   [3]             radians
    rotation_matrices [3, 2, 3]       what `rotate` builds from the angles
    rotated           [3, 40, 48, 3]
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

HEIGHT, WIDTH = 40, 48
OUTPUT_HEIGHT, OUTPUT_WIDTH = 32, 36


def make_image(rng: np.random.Generator) -> np.ndarray:
    """Return smooth noise with three hard-edged rectangles an image; whole gray levels."""
    coarse = rng.uniform(0, 255, (3, 6, 7, 3))
    rows, columns = np.linspace(0, 5, HEIGHT), np.linspace(0, 6, WIDTH)
    # A tent over the coarse grid is linear interpolation.
    tent_y = np.maximum(0, 1 - np.abs(rows[:, None] - np.arange(6)))
    tent_x = np.maximum(0, 1 - np.abs(columns[:, None] - np.arange(7)))
    image = np.einsum("yi,xj,bijc->byxc", tent_y, tent_x, coarse)
    for one in image:
        for _ in range(3):
            top, left = rng.integers(0, HEIGHT - 8), rng.integers(0, WIDTH - 8)
            height, width = rng.integers(4, 14, 2)
            one[top : top + height, left : left + width] = rng.uniform(0, 255, 3)
    return np.round(image).astype(np.float32)


def make_matrices() -> np.ndarray:
    """Return the three output -> input maps; each reaches outside of the image."""
    shift = [[1, 0, -0.4], [0, 1, -0.7]]

    # 1.3 input pixels for one output pixel, the output's center on the input's center.
    cos, sin = 1.3 * np.cos(np.deg2rad(23)), 1.3 * np.sin(np.deg2rad(23))
    linear = np.array([[cos, -sin], [sin, cos]])
    input_center = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    output_center = np.array([(OUTPUT_WIDTH - 1) / 2, (OUTPUT_HEIGHT - 1) / 2])
    offset = input_center - linear @ output_center
    rotation = np.concatenate([linear, offset[:, None]], axis=1)

    flip = [[-1.15, 0.22, 44.3], [0.17, 0.93, 3.6]]  # determinant -1.107
    return np.array([shift, rotation, flip], np.float32)


def main() -> None:
    """Compute the arrays and write them."""
    image = make_image(np.random.default_rng(0))
    matrices = make_matrices()
    angles = np.array([0.3, -0.7, 1.1], np.float32)
    transforms = np.concatenate([matrices.reshape(3, 6), np.zeros((3, 2), np.float32)], axis=1)
    rotations = tfa.image.angles_to_projective_transforms(angles, float(HEIGHT), float(WIDTH))
    warped = tfa.image.transform(
        tf.constant(image),
        transforms,
        interpolation="bilinear",
        fill_mode="constant",
        fill_value=0.0,
        output_shape=(OUTPUT_HEIGHT, OUTPUT_WIDTH),
    )
    rotated = tfa.image.rotate(image, angles, interpolation="bilinear", fill_mode="constant")
    blur = tfa.image.gaussian_filter2d
    np.savez_compressed(
        Path(__file__).with_name("addons_warp_blur.npz"),
        image=image,
        matrices=matrices,
        warped=warped.numpy(),
        blurred_sigma1=blur(image, filter_shape=(7, 7), sigma=1.0, padding="REFLECT").numpy(),
        blurred_sigma2=blur(image, filter_shape=(13, 13), sigma=2.0, padding="REFLECT").numpy(),
        rotation_angles=angles,
        rotation_matrices=rotations.numpy()[:, :6].reshape(3, 2, 3),
        rotated=rotated.numpy(),
    )


if __name__ == "__main__":
    main()
