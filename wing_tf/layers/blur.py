"""Gaussian blur with a sigma per image."""

from keras import ops


def gaussian_blur(images, sigma_px, *, radius: int = 3):
    """Blurs each image of a batch by its own Gaussian; sigma 0 leaves it as it is.

    ``keras.ops.image.gaussian_blur`` has one sigma for all and darkens the border (zeros beyond
    it); this one mirrors the image at its border, without repeating the edge pixel.

    Args:
        images: float [B, H, W, C].
        sigma_px: float [B], at least 0.
        radius: the kernel reaches this many pixels; 3 sigma cuts off .3 % of its weight.

    Returns:
        float32 [B, H, W, C].
    """
    images = ops.cast(images, "float32")
    height, width = images.shape[1:3]
    if min(height, width) <= radius:
        raise ValueError(
            f"`radius` must be below the images' sides. Received: radius={radius} for "
            f"{height} x {width}."
        )
    offsets = ops.arange(-radius, radius + 1, dtype="float32")
    sigma = ops.maximum(ops.cast(sigma_px, "float32"), 1e-3)[:, None]
    kernel = ops.exp(-0.5 * ops.square(offsets[None] / sigma))
    kernel = kernel / ops.sum(kernel, axis=1, keepdims=True)

    padded = ops.pad(images, ((0, 0), (radius, radius), (0, 0), (0, 0)), mode="reflect")
    taps = range(2 * radius + 1)
    images = sum(padded[:, i : i + height] * kernel[:, i, None, None, None] for i in taps)
    padded = ops.pad(images, ((0, 0), (0, 0), (radius, radius), (0, 0)), mode="reflect")
    return sum(padded[:, :, i : i + width] * kernel[:, i, None, None, None] for i in taps)
