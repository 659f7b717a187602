"""Gaussian blur with one sigma per image."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="wing_tf")
def gaussian_blur(images, sigma_px, *, radius: int = 3):
    """Blurs each image of a batch with its own Gaussian kernel.

    Unlike `keras.ops.image.gaussian_blur`, which has one sigma for the whole batch and pads with
    zeros, this function pads by reflection, so the border is not darkened.

    Args:
        images: Images, uint8 or float [B, H, W, C].
        sigma_px: Standard deviations [B] in pixels. Sigma 0 does not change the image.
        radius: Radius of the kernel in pixels. A radius of 3 sigma truncates .3 % of its weight.
            Defaults to 3.

    Returns:
        Blurred images, float32 [B, H, W, C].

    Raises:
        ValueError: If the radius is not less than the sides of the images.
    """
    images = ops.cast(images, "float32")
    height, width = images.shape[1:3]
    if min(height, width) <= radius:
        raise ValueError(
            f"`radius` must be below the images' sides. Received: radius={radius} for images of "
            f"{height} x {width}."
        )
    offsets = ops.arange(-radius, radius + 1, dtype="float32")
    sigma = ops.maximum(ops.cast(sigma_px, "float32"), 1e-3)[:, None]
    kernel = ops.exp(-0.5 * ops.square(offsets[None] / sigma))
    kernel = kernel / ops.sum(kernel, axis=1, keepdims=True)

    padded = ops.pad(images, ((0, 0), (radius, radius), (0, 0), (0, 0)), mode="reflect")
    offset_range = range(2 * radius + 1)
    images = sum(padded[:, i : i + height] * kernel[:, i, None, None, None] for i in offset_range)
    padded = ops.pad(images, ((0, 0), (0, 0), (radius, radius), (0, 0)), mode="reflect")
    return sum(padded[:, :, i : i + width] * kernel[:, i, None, None, None] for i in offset_range)
