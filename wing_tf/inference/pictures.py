"""Pictures of all kinds as uint8 RGB."""

import os
import pathlib

import numpy as np

from wing_tf.visualization.files import load_picture

CHANNELS = ("rgb", "bgr")

Picture = str | os.PathLike | np.ndarray


def as_rgb(picture: Picture, *, channels: str = "rgb") -> np.ndarray:
    """Returns a picture as uint8 RGB [H, W, 3].

    Args:
        picture: a file, which is turned as its EXIF data say, or a uint8 array: grey [H, W] or
            [H, W, 1], colour [H, W, 3], or colour with alpha [H, W, 4], which is left out.
        channels: the order of an array's colours: "rgb", or "bgr" as OpenCV reads them.

    Raises:
        ValueError: if a file can't be read, or on another kind of array or order.
    """
    if channels not in CHANNELS:
        raise ValueError(f'`channels` must be "rgb" or "bgr". Received: channels={channels!r}.')
    if isinstance(picture, (str, os.PathLike)):
        return load_picture(pathlib.Path(picture))
    if not isinstance(picture, np.ndarray):
        raise ValueError(
            f"A picture must be a path or an array. Received: {type(picture).__name__}."
        )
    grey = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 1)
    colour = picture.ndim == 3 and picture.shape[2] in (3, 4)
    if picture.dtype != np.uint8 or not (grey or colour) or not picture.size:
        raise ValueError(
            "A picture must be uint8 [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]. Received: "
            f"{picture.dtype} {picture.shape}."
        )
    if grey:
        return np.repeat(picture.reshape(*picture.shape[:2], 1), 3, axis=2)
    return picture[..., :3] if channels == "rgb" else picture[..., 2::-1]
