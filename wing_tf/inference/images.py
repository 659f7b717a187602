"""Conversion of image files, arrays, tensors and PIL images to uint8 RGB."""

from __future__ import annotations

import os
import pathlib
import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from wing_tf.utils.image_size import MAX_PIXELS, check_num_pixels
from wing_tf.utils.opencv import require_opencv

if TYPE_CHECKING:
    import PIL.Image

    Image: TypeAlias = "str | os.PathLike | HostArray | PIL.Image.Image"

CHANNELS = ("rgb", "bgr")


class HostArray(Protocol):
    """An array or a tensor that NumPy can read: of NumPy, TensorFlow, JAX, PyTorch on the CPU."""

    def __array__(self) -> np.ndarray:
        """Returns the values."""


def as_rgb(image: Any, *, channels: str = "rgb", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Returns an image as uint8 RGB [H, W, 3].

    Args:
        image: One of

            * a file (``~`` is the home folder), whose EXIF rotation is applied;
            * a uint8 array or tensor on the host: gray [H, W] or [H, W, 1], color [H, W, 3], or
              color with alpha [H, W, 4]; the alpha channel is dropped;
            * a PIL image, which is converted to RGB. Its EXIF rotation is applied as for a file,
              so that points are in pixels of ``PIL.ImageOps.exif_transpose(image)``.
        channels: Order of the channels of an array or tensor: "rgb", or "bgr" as OpenCV reads them.
            Files and PIL images know their own.
        max_pixels: Maximum number of pixels of a file or a PIL image, which are decoded here.

    Raises:
        ValueError: If a file can't be read, or the image or the order is not valid.
    """
    if channels not in CHANNELS:
        raise ValueError(f'`channels` must be "rgb" or "bgr". Received: channels={channels!r}.')
    if isinstance(image, (str, os.PathLike)):
        require_opencv()
        from wing_tf.utils.image_files import load_image

        path = pathlib.Path(os.path.expanduser(os.fsdecode(image)))
        return load_image(path, max_pixels=max_pixels)
    if _is_pil(image):
        return _rgb_of_pil(image, max_pixels)
    array = _as_array(image)
    gray = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    color = array.ndim == 3 and array.shape[2] in (3, 4)
    if array.dtype != np.uint8 or not (gray or color) or not array.size:
        raise ValueError(
            "An image must be uint8 [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]. Received: "
            f"{array.dtype} {array.shape}.{_remedy(array)}"
        )
    if gray:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    if channels == "bgr":
        return array[..., 2::-1]
    return array if array.shape[2] == 3 else array[..., :3]


def are_several(images: Any) -> bool:
    """Returns whether these are several images: a list, a tuple, or an array of rank 4.

    An image as nested lists of numbers is not; `as_rgb` refuses it.
    """
    if isinstance(images, (list, tuple)):
        return not images or not isinstance(images[0], (list, tuple, int, float))
    return getattr(images, "ndim", None) == 4


def _as_array(image: Any) -> np.ndarray:
    """Returns an array or a tensor as an array. Raises ValueError for anything else."""
    if isinstance(image, np.ndarray):
        return image
    if image is None:
        raise ValueError(
            "An image must be a path, a uint8 array or a PIL image. Received: None, which "
            "cv2.imread returns for a file that it can't read; pass the path to see the reason."
        )
    kind = f"{type(image).__module__}.{type(image).__name__}".removeprefix("builtins.")
    if not hasattr(image, "__array__"):
        raise ValueError(
            f"An image must be a path, a uint8 array or a PIL image. Received: {kind}. Convert "
            "numbers by np.array(image, np.uint8), and encoded bytes by cv2.imdecode."
        )
    try:
        return np.asarray(image)
    except Exception as error:  # each library has its own
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"An image must be readable by NumPy, on the host (in PyTorch: image.cpu()). "
            f"Received: {kind}: {reason}."
        ) from None


def _remedy(array: np.ndarray) -> str:
    """Returns how an array is converted, as a continuation of a sentence, or ""."""
    remedies = []
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        remedies.append("move the channels last by np.moveaxis(image, 0, -1)")
    if array.dtype.kind == "f":
        remedies.append("convert 0..1 by (255 * image).round().astype(np.uint8)")
    elif array.dtype.kind in "iu" and array.dtype != np.uint8:
        convert = "(image >> 8)" if array.size and array.max() > 255 else "image"
        remedies.append(f"convert it by {convert}.astype(np.uint8)")
    return f" To use it, {' and '.join(remedies)}." if remedies else ""


def _is_pil(image: Any) -> bool:
    """Returns whether this is a PIL image. Without PIL imported, it can't be one."""
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(image, pil.Image)


def _rgb_of_pil(image: PIL.Image.Image, max_pixels: int) -> np.ndarray:
    from PIL import ImageOps

    check_num_pixels("The PIL image", image.width * image.height, max_pixels)
    if image.mode.startswith(("I", "F")):
        raise ValueError(
            "A PIL image must have 8 bits per channel. Received: "
            f"mode={image.mode!r}; scale it to 0..255 and convert it to 'L'."
        )
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode == "P":  # whose transparency can't be converted to RGB at once
            image = image.convert("RGBA")
        rgb = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError) as error:  # files are decoded at the first access
        raise ValueError(f"The PIL image can't be decoded: {error}.") from None
    if not rgb.size:
        raise ValueError(f"A PIL image must have pixels. Received: size={image.size}.")
    return rgb
