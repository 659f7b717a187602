"""Reading and writing of image files as RGB arrays."""

import pathlib

import cv2
import numpy as np

from wing_tf.utils.atomic import write_bytes


def save_image(path: str | pathlib.Path, image: np.ndarray) -> None:
    """Writes a uint8 RGB image, atomically.

    Raises:
        OSError: if it can't be written.
    """
    path = pathlib.Path(path)
    ok, data = cv2.imencode(path.suffix or ".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not ok:
        raise OSError(f"OpenCV could not compress the image for {path}.")
    write_bytes(path, data.tobytes())


def load_image(path: str | pathlib.Path) -> np.ndarray:
    """Reads an image as people see it: uint8 RGB [H, W, 3], EXIF rotation applied.

    Raises:
        ValueError: if it is missing, can't be decoded, or needs more memory than there is.
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(f"Cannot read image {path}: not a file.")  # a pipe would be waited for
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ValueError(f"Cannot read image {path}: {error.strerror}.") from None
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE" in str(error):  # what its header claims
            raise ValueError(
                f"Cannot decode image {path}: too large for OpenCV, which takes 2^30 pixels and "
                "2^20 a side."
            ) from None
        if error.code == cv2.Error.StsNoMem:
            raise ValueError(_more_memory(path)) from None
        image = None
    if image is None:
        if data.size and _decodes_if_small(data):
            raise ValueError(_more_memory(path))
        raise ValueError(f"Cannot decode image {path}: not an image, or a damaged one.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)  # a large one is there once


def _more_memory(path: pathlib.Path) -> str:
    return f"Cannot decode image {path}: it needs more memory than there is."


def _decodes_if_small(data: np.ndarray) -> bool:
    # Decoders that run out of memory inside give nothing, as they do for a damaged file.
    try:
        return cv2.imdecode(data, cv2.IMREAD_REDUCED_COLOR_8) is not None
    except cv2.error as error:
        return error.code == cv2.Error.StsNoMem
