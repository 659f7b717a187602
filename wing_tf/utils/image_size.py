"""Size of an encoded image, read from its header."""

import re
import struct
from collections.abc import Iterator

MAX_PIXELS = 2**26
"""Default limit of the pixels of an image: 64 megapixels of 2^20 each, so that the images of
cameras of "64 megapixels" (9248 x 6936) are read."""

# OpenCV ends comments at either end of line, and drops the character after a number.
_PNM = re.compile(rb"P[1-6]" + 2 * rb"(?:\s|#[^\r\n]*[\r\n])+(\d{1,10})(?=\s)")
_HEIF_SIZE = re.compile(rb"ispe.{4}(.{8})", re.DOTALL)  # a property of each item
_AVIF_SIZE = re.compile(rb"av01.{24}(.{4})", re.DOTALL)  # of the samples of a sequence
_TIFF_SIZES = {256: 0, 257: 0, 322: 1, 323: 1}  # tags of the image, and of its tiles
# Of integers: libtiff reads a size of any of them.
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q", 17: "q"}


def num_pixels(data: bytes) -> int | None:
    """Returns the number of pixels that a decoder would make, without decoding.

    Args:
        data: Content of a file: PNG, WebP, BMP, GIF, TIFF, JPEG 2000, AVIF, HEIC, PBM, PGM or PPM.

    Returns:
        Width times height, of the largest part if there are several; None if the header is of
        another format or is damaged.

    Examples:
        >>> num_pixels(b"P6 640 480 255 ...")
        307200
    """
    try:
        sizes = list(_sizes(data))
    except (struct.error, ValueError, OverflowError):
        return None
    return max((abs(width * height) for width, height in sizes), default=None)


def check_num_pixels(path: object, found: int, max_pixels: int) -> None:
    """Raises ValueError if an image has more pixels than allowed.

    Args:
        path: The image, for the message.
        found: Its number of pixels.
        max_pixels: The maximum.
    """
    if found > max_pixels:
        raise ValueError(
            f"{path} has {found} pixels, more than max_pixels={max_pixels}. If that is right, "
            "raise the limit (--max_pixels)."
        )


def _sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Yields the sizes that a header states. Raises struct.error if it ends too early."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        yield _two(">II", data, 16)
    elif data.startswith(b"GIF8"):
        yield _two("<HH", data, 6)
    elif data.startswith(b"BM"):
        (header_size,) = struct.unpack_from("<I", data, 14)
        yield _two("<HH" if header_size < 36 else "<ii", data, 18)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        yield _webp_size(data)
    elif data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        yield from _tiff_sizes(data)
    elif match := _PNM.match(data):
        yield int(match[1]), int(match[2])
    elif data.startswith(b"\xff\x4f\xff\x51"):
        yield _jpeg2000_size(data, 0)
    elif data[4:8] in (b"ftyp", b"jP  "):
        for kind, start, end in _boxes(data):
            if kind == b"jp2c":
                yield _jpeg2000_size(data, start)
            elif kind == b"meta":
                yield from (_two(">II", m[1], 0) for m in _HEIF_SIZE.finditer(data, start, end))
            elif kind == b"moov":
                yield from (_two(">HH", m[1], 0) for m in _AVIF_SIZE.finditer(data, start, end))


def _two(format: str, data: bytes, offset: int) -> tuple[int, int]:
    width, height = struct.unpack_from(format, data, offset)
    return width, height


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    low, high = struct.unpack_from("<IH", data, 24)  # all kinds have these bytes
    if kind == b"VP8X":
        return (low & 0xFFFFFF) + 1, (low >> 24 | high << 8) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return low >> 16 & 0x3FFF, high & 0x3FFF


def _tiff_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Yields the sizes of the first image and of its tiles."""
    order, is_big = "<" if data[:1] == b"I" else ">", b"+" in data[2:4]
    offset, count, entry = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    (start,) = struct.unpack_from(order + offset, data, 8 if is_big else 4)
    (num_entries,) = struct.unpack_from(order + count, data, start)
    start += struct.calcsize(count)
    found = [[0, 0], [0, 0]]
    for at in range(start, min(start + num_entries * entry, len(data)), entry):
        tag, kind = struct.unpack_from(order + "HH", data, at)
        if tag in _TIFF_SIZES and kind in _TIFF_TYPES:
            at_value = at + (12 if is_big else 8)
            (value,) = struct.unpack_from(order + _TIFF_TYPES[kind], data, at_value)
            sides = found[_TIFF_SIZES[tag]]
            sides[tag % 2] = max(sides[tag % 2], value)
    yield from ((width, height) for width, height in found if width and height)


def _jpeg2000_size(data: bytes, start: int) -> tuple[int, int]:
    width, height, left, top = struct.unpack_from(">IIII", data, start + 8)
    return width - left, height - top


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields kind, start and end of the content of the boxes of an ISO file."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = len(data) if size == 0 else at + size
        if end < start:
            return
        yield kind, start, min(end, len(data))
        at = end
