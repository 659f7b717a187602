"""Conversion of image files and arrays to uint8 RGB."""

import os
import pathlib

import numpy as np

from wing_tf.utils.opencv import require_opencv

CHANNELS = ("rgb", "bgr")

Image = str | os.PathLike | np.ndarray


def as_rgb(image: Image, *, channels: str = "rgb") -> np.ndarray:
    """Returns an image as uint8 RGB [H, W, 3].

    Args:
        image: A file, whose EXIF rotation is applied, or a uint8 array: gray [H, W] or [H, W, 1],
            color [H, W, 3], or color with alpha [H, W, 4]. The alpha channel is dropped.
        channels: Order of the channels of an array: "rgb", or "bgr" as OpenCV reads them.

    Raises:
        ValueError: If a file can't be read, or the array or the order is not valid.
    """
    if channels not in CHANNELS:
        raise ValueError(f'`channels` must be "rgb" or "bgr". Received: channels={channels!r}.')
    if isinstance(image, (str, os.PathLike)):
        require_opencv()
        from wing_tf.utils.image_files import load_image

        return load_image(pathlib.Path(image))
    if not isinstance(image, np.ndarray):
        raise ValueError(f"An image must be a path or an array. Received: {type(image).__name__}.")
    gray = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1)
    color = image.ndim == 3 and image.shape[2] in (3, 4)
    if image.dtype != np.uint8 or not (gray or color) or not image.size:
        raise ValueError(
            "An image must be uint8 [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]. Received: "
            f"{image.dtype} {image.shape}."
        )
    if gray:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    if channels == "bgr":
        return image[..., 2::-1]
    return image if image.shape[2] == 3 else image[..., :3]
