"""Reading and writing of image files as RGB arrays."""

import pathlib

import cv2
import numpy as np

from wing_tf.utils.atomic import write_bytes

EXIF_CHOICES = ("refuse", "apply", "ignore")

_EXIF_MARKERS = (b"Exif", b"eXIf", b"EXIF")  # in JPEG, PNG and WebP files


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


def load_image(path: str | pathlib.Path, *, exif: str = "apply") -> np.ndarray:
    """Reads an image file as uint8 RGB [H, W, 3].

    Cameras store pixels as they come and note in the EXIF data how the image is to be rotated.
    (OpenCV rotates TIFF files whatever `exif` is.)

    Args:
        path: The file.
        exif: "apply" rotates the image as viewers show it, "ignore" returns the stored pixels,
            "refuse" raises an error for an image that the EXIF data rotate. Defaults to "apply".

    Raises:
        ValueError: If the file is missing, can't be decoded, is refused, or needs more memory than
            there is.
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(f"Cannot read image {path}: not a file.")  # reading a pipe would block
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ValueError(f"Cannot read image {path}: {error.strerror}.") from None
    image = _decode(path, data, 0 if exif == "apply" else cv2.IMREAD_IGNORE_ORIENTATION)
    if exif == "refuse" and any(marker in data.tobytes() for marker in _EXIF_MARKERS):
        if not np.array_equal(image, _decode(path, data, 0)):
            raise ValueError(
                f"{path} is rotated by its EXIF data. Set exif=apply if it was annotated as "
                "viewers show it (most annotation tools do), exif=ignore if as it is stored."
            )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)  # in place: no second large array


def _decode(path: pathlib.Path, data: np.ndarray, flags: int) -> np.ndarray:
    """Returns BGR pixels. Raises ValueError with the reason if `data` can't be decoded."""
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR | flags) if data.size else None
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE" in str(error):  # the size that the header claims
            raise ValueError(
                f"Cannot decode image {path}: too large for OpenCV, whose limits are 2^30 pixels "
                "in all and 2^20 per side."
            ) from None
        if error.code == cv2.Error.StsNoMem:
            raise ValueError(_more_memory(path)) from None
        image = None
    if image is None:
        if data.size and _decodes_if_small(data):
            raise ValueError(_more_memory(path))
        raise ValueError(f"Cannot decode image {path}: not an image, or a damaged one.")
    return image


def _more_memory(path: pathlib.Path) -> str:
    return f"Cannot decode image {path}: it needs more memory than there is."


def _decodes_if_small(data: np.ndarray) -> bool:
    # Decoders that run out of memory inside give nothing, as they do for a damaged file.
    try:
        return cv2.imdecode(data, cv2.IMREAD_REDUCED_COLOR_8) is not None
    except cv2.error as error:
        return error.code == cv2.Error.StsNoMem
