"""Reading and writing picture files as RGB arrays, and texts beside them."""

import os
import pathlib

import cv2
import numpy as np


def save_picture(path: str | pathlib.Path, image: np.ndarray) -> None:
    """Writes a uint8 RGB picture, at once or not at all.

    Raises:
        OSError: if it can't be written.
    """
    path = pathlib.Path(path)
    ok, data = cv2.imencode(path.suffix or ".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not ok:
        raise OSError(f"OpenCV could not compress the picture for {path}.")
    temporary = path.with_name(f".{path.name}.writing")
    temporary.write_bytes(data.tobytes())
    os.replace(temporary, path)


def load_picture(path: str | pathlib.Path) -> np.ndarray:
    """Reads a picture as people see it: uint8 RGB [H, W, 3], EXIF rotation applied.

    Raises:
        ValueError: if it is missing or can't be decoded.
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(f"Cannot read picture {path}: not a file.")  # a pipe would be waited for
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ValueError(f"Cannot read picture {path}: {error.strerror}.") from None
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:  # such as a header that claims more pixels than OpenCV takes
        if "CV_IO_MAX_IMAGE" in str(error):
            raise ValueError(
                f"Cannot decode picture {path}: too large for OpenCV, which takes 2^30 pixels and "
                "2^20 a side."
            ) from None
        image = None
    if image is None:
        raise ValueError(f"Cannot decode picture {path}: not a picture, or a damaged one.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)  # a large one is there once


def write_text(path: str | pathlib.Path, text: str) -> None:
    """Writes a text file, at once or not at all."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.writing")
    temporary.write_text(text)
    os.replace(temporary, path)
