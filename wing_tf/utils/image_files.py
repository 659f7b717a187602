"""Reading and writing of image files as RGB arrays."""

import io
import pathlib
import re
import struct

import cv2
import numpy as np

from wing_tf.utils.atomic import write_bytes
from wing_tf.utils.image_size import MAX_PIXELS, check_num_pixels, num_pixels
from wing_tf.utils.local_path import local_path

try:
    import simplejpeg
except ModuleNotFoundError as error:
    raise ImportError("simplejpeg is needed for image files: pip install simplejpeg.") from error

EXIF_CHOICES = ("refuse", "apply", "ignore")
IMAGE_SUFFIXES = (
    ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg",
    ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Suffixes, in lower case, of the files that are read as images."""

_EXIF_MARKERS = (b"eXIf", b"EXIF")  # in PNG and WebP files
_HEIF = re.compile(rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)
_JPEG_END = b"\xff\xd9"
_MAX_BYTES = 2**30  # of a file
_MAX_EXTRANEOUS_BYTES = 16  # between JPEG segments: fillers of cameras; after damage there are more


def save_image(path: str | pathlib.Path, image: np.ndarray, *, durable: bool = True) -> None:
    """Writes a uint8 RGB image atomically; see `wing_tf.utils.atomic.atomic_path`.

    Raises:
        OSError: If it can't be written.
    """
    path = local_path(path)
    ok, data = cv2.imencode(path.suffix or ".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not ok:
        raise OSError(f"OpenCV could not compress the image for {path}.")
    write_bytes(path, data.tobytes(), durable=durable)


def load_image(
    path: str | pathlib.Path, *, exif: str = "apply", max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Reads an image file as uint8 RGB [H, W, 3].

    Cameras store pixels as they come and note in the EXIF data how the image is to be rotated, in
    an AVIF file in its own properties. (TIFF and HEIC files are rotated whatever `exif` is.)

    A JPEG, PNG, AVIF or GIF file that is damaged inside is refused, as far as the damage can be
    seen from the file; JPEG has no checksums, and damage of WebP, TIFF and BMP files is not seen. A
    JPEG that lacks only its end mark is read. HEIC files need the package pillow-heif.

    Args:
        path: The file.
        exif: "apply" rotates the image as viewers show it, "ignore" returns the stored pixels,
            "refuse" raises an error for an image that the EXIF data rotate. Defaults to "apply".
        max_pixels: Maximum number of pixels, height times width. The header of the file is
            compared with it before anything is decoded: a small file can state any size. OpenCV's
            own limit is 2^30.

    Raises:
        ValueError: If the file is missing, no regular file, can't be decoded, is damaged, is
            refused, is too large, has 16-bit pixels that would become nearly black, or needs more
            memory than there is.
    """
    path = local_path(path)
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ValueError(f"Cannot read image {path}: not a file.")  # a pipe would block
        if path.is_file() and path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"Cannot read image {path}: the file has more than 2^30 bytes.")
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"Cannot read image {path}: {error.strerror}.") from None
    try:
        if data.startswith(b"\xff\xd8"):
            image = _decode_jpeg(path, data, exif, max_pixels)
        elif _HEIF.match(data):
            image = _decode_heif(path, data, max_pixels)
        else:
            image = _decode_other(path, data, exif, max_pixels)
    except MemoryError:
        raise ValueError(_more_memory(path)) from None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)  # in place: no second large array


def _decode_jpeg(path: pathlib.Path, data: bytes, exif: str, max_pixels: int) -> np.ndarray:
    """Returns BGR pixels. Raises ValueError with the reason.

    libjpeg continues after damaged data with a warning, which OpenCV does not report. simplejpeg
    uses the same library and returns equal pixels.
    """
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise ValueError(_is_damaged(path, error)) from None
    check_num_pixels(path, height * width, max_pixels)
    cmyk = colorspace in ("CMYK", "YCCK")
    try:
        stored = _decode_checked_jpeg(data, "CMYK" if cmyk else "BGR")
    except ValueError as error:
        if "memory" in str(error).lower():
            raise ValueError(_more_memory(path)) from None
        raise ValueError(_is_damaged(path, error)) from None
    if cmyk:  # converted by OpenCV
        stored = _decode(path, data, cv2.IMREAD_IGNORE_ORIENTATION)
    orientation = 1 if exif == "ignore" else _jpeg_orientation(data)
    if orientation == 1:
        return stored
    image = np.ascontiguousarray(_rotated(stored, orientation))
    if exif == "refuse" and not np.array_equal(image, stored):
        raise ValueError(_is_rotated(path))
    return image


def _decode_checked_jpeg(data: bytes, colorspace: str) -> np.ndarray:
    """Decodes a JPEG file. Raises ValueError for damage that shows in its pixels."""
    try:
        return simplejpeg.decode_jpeg(data, colorspace)
    except ValueError as error:
        text = str(error)
    extraneous = re.match(r"Corrupt JPEG data: (\d+) extraneous bytes before marker", text)
    if extraneous and int(extraneous[1]) <= _MAX_EXTRANEOUS_BYTES:
        return simplejpeg.decode_jpeg(data, colorspace, strict=False)
    if text.startswith(("Warning", "Unknown Adobe", "Inconsistent progression")):
        return simplejpeg.decode_jpeg(data, colorspace, strict=False)
    if text == "Premature end of JPEG file":
        # If only the end mark is missing, the file is whole with it. Otherwise this raises.
        return simplejpeg.decode_jpeg(data + _JPEG_END, colorspace)
    raise ValueError(text)


def _jpeg_orientation(data: bytes) -> int:
    """Returns the orientation in the EXIF data of a JPEG file: 1 to 8; 1 if there is none."""
    start = data.find(b"Exif\0\0") + 6
    order = {b"II": "<", b"MM": ">"}.get(data[start : start + 2])
    if start < 6 or order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", data, start + 4)
        (count,) = struct.unpack_from(order + "H", data, start + directory)
        for entry in range(start + directory + 2, start + directory + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", data, entry)
            if tag == 0x0112:
                return value if 1 <= value <= 8 else 1
    except struct.error:  # the data end too early
        pass
    return 1


def _avif_orientation(data: bytes) -> int:
    """Returns the EXIF orientation that the properties of an AVIF file mean; 1 for other files.

    OpenCV ignores these properties: ``irot``, counterclockwise quarter turns, and then ``imir``, a
    mirror at a horizontal (0) or a vertical axis (1).
    """
    if not re.match(rb".{4}ftypavi[fs]", data, re.DOTALL):
        return 1
    properties = data[: data.find(b"mdat")]
    turn = re.search(rb"irot(.)", properties, re.DOTALL)
    mirror = re.search(rb"imir(.)", properties, re.DOTALL)
    quarters = turn[1][0] & 3 if turn else 0
    if mirror is None:
        return (1, 8, 3, 6)[quarters]
    return (4, 5, 2, 7)[quarters] if mirror[1][0] & 1 == 0 else (2, 7, 4, 5)[quarters]


def _rotated(image: np.ndarray, orientation: int) -> np.ndarray:
    """Returns an image as it is displayed by an EXIF orientation of 1 to 8."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    # First row and first column of the display: top or bottom, left or right of what is stored.
    down = -1 if orientation in (3, 4, 7, 8) else 1
    right = -1 if orientation in (2, 3, 6, 7) else 1
    return image[::down, ::right]


def _decode_heif(path: pathlib.Path, data: bytes, max_pixels: int) -> np.ndarray:
    """Returns BGR pixels, rotated as the file says. Raises ValueError with the reason."""
    try:
        import pillow_heif
    except ModuleNotFoundError:
        raise ValueError(
            f"Cannot decode image {path}: HEIC files need pillow-heif: pip install 'wing-tf[heic]'."
        ) from None
    errors = (ValueError, OSError, EOFError, RuntimeError, IndexError, SyntaxError)
    try:
        heif = pillow_heif.open_heif(io.BytesIO(data), bgr_mode=True)  # decodes nothing
        width, height = heif.size
    except errors as error:
        raise ValueError(_is_damaged(path, error)) from None
    check_num_pixels(path, height * width, max_pixels)
    try:
        return np.ascontiguousarray(np.array(heif)[..., :3])
    except errors as error:
        raise ValueError(_is_damaged(path, error)) from None


def _decode_other(path: pathlib.Path, data: bytes, exif: str, max_pixels: int) -> np.ndarray:
    """Returns BGR pixels. Raises ValueError with the reason."""
    found = num_pixels(data)
    if found is None:
        raise ValueError(_is_no_image(path))
    check_num_pixels(path, found, max_pixels)
    image = _decode(path, data, 0 if exif == "apply" else cv2.IMREAD_IGNORE_ORIENTATION)
    orientation = 1 if exif == "ignore" else _avif_orientation(data)
    if orientation != 1:
        stored, image = image, np.ascontiguousarray(_rotated(image, orientation))
        if exif == "refuse" and not np.array_equal(image, stored):
            raise ValueError(_is_rotated(path))
    if exif == "refuse" and any(marker in data for marker in _EXIF_MARKERS):
        if not np.array_equal(image, _decode(path, data, 0)):
            raise ValueError(_is_rotated(path))
    if image.max(initial=0) <= 64:  # dark, or at most 14 of 16 bits
        deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
        if deep is not None and deep.dtype == np.uint16 and deep.max(initial=0) > 0:
            bits = int(deep.max()).bit_length()
            raise ValueError(
                f"Cannot use image {path}: its 16-bit values have only {bits} bits, so it would be "
                f"nearly black. Convert it to 8 bits: multiply by {2.0 ** (8 - bits):g}."
            )
    return image


def _decode(path: pathlib.Path, data: bytes, flags: int) -> np.ndarray:
    """Returns OpenCV's BGR pixels. Raises ValueError with the reason."""
    buffer = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR | flags) if data else None
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE" in str(error):  # the size that the header claims
            raise ValueError(_too_large(path)) from None
        if error.code == cv2.Error.StsNoMem:
            raise ValueError(_more_memory(path)) from None
        image = None
    if image is None:
        if data and _decodes_if_small(buffer):
            raise ValueError(_more_memory(path))
        raise ValueError(_is_no_image(path))
    return image


def _is_damaged(path: pathlib.Path, error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"Cannot decode image {path}: not an image, or a damaged one ({text})."


def _is_no_image(path: pathlib.Path) -> str:
    return (
        f"Cannot decode image {path}: not an image, a damaged one, or of a format that this OpenCV "
        "does not read."
    )


def _too_large(path: pathlib.Path) -> str:
    return (
        f"Cannot decode image {path}: too large for OpenCV, whose limits are 2^30 pixels in all "
        "and 2^20 per side."
    )


def _is_rotated(path: pathlib.Path) -> str:
    return (
        f"{path} is rotated by its EXIF data. Set exif=apply if it was annotated as viewers show "
        "it (most annotation tools do), exif=ignore if as it is stored."
    )


def _more_memory(path: pathlib.Path) -> str:
    return f"Cannot decode image {path}: it needs more memory than there is."


def _decodes_if_small(data: np.ndarray) -> bool:
    # Decoders that run out of memory inside give nothing, as they do for a damaged file.
    try:
        return cv2.imdecode(data, cv2.IMREAD_REDUCED_COLOR_8) is not None
    except cv2.error as error:
        return error.code == cv2.Error.StsNoMem
