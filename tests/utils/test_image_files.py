"""Image files: damage, depth, formats and rotation."""

import os
import struct
import sys

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from wing_tf.inference import as_rgb
from wing_tf.utils.image_files import load_image

ROWS, COLUMNS = np.mgrid[:96, :128]
SMOOTH = np.stack([255 - ROWS - COLUMNS, 2 * COLUMNS, 2 * ROWS], axis=-1).clip(0, 255)
NOISE = np.random.default_rng(0).normal(0, 12, SMOOTH.shape)
IMAGE = (SMOOTH + NOISE).clip(0, 255).astype(np.uint8)
DAMAGED = "not an image, or a damaged one"


def _encoded(suffix, *options, image=IMAGE):
    bgr = image if image.ndim == 2 else image[..., ::-1]
    ok, data = cv2.imencode(suffix, bgr, options)
    assert ok
    return data.tobytes()


JPEG = _encoded(".jpg", cv2.IMWRITE_JPEG_QUALITY, 95)
EXPECTED = cv2.imdecode(np.frombuffer(JPEG, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def _load(folder, data, name="a.jpg", **options):
    (folder / name).write_bytes(data)
    return load_image(folder / name, **options)


def test_whole_jpeg_files_have_the_pixels_of_opencv(tmp_path):
    for options in ((), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 4)):
        for image in (IMAGE, IMAGE[..., 0]):
            data = _encoded(".jpg", *options, image=image)
            expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
            np.testing.assert_array_equal(_load(tmp_path, data), expected)


def test_jpeg_damaged_inside_is_refused(tmp_path):
    middle = len(JPEG) // 2
    for data in (
        JPEG[:middle] + bytes(40) + JPEG[middle + 40 :],  # a hole
        JPEG[:middle] + b"\xff\xd9",  # half of it, with the end mark
        JPEG[: len(JPEG) * 6 // 10],
        JPEG[:-400],
    ):
        with pytest.raises(ValueError, match=rf"a\.jpg: {DAMAGED} \(Corrupt JPEG data: "):
            _load(tmp_path, data)
    with pytest.raises(ValueError, match=DAMAGED):
        _load(tmp_path, JPEG[:200])


def test_jpeg_without_its_end_mark_or_with_fillers_is_read_whole(tmp_path):
    for data in (JPEG[:-2], JPEG[:-1], JPEG[:-2] + bytes(6) + JPEG[-2:], JPEG + b"more"):
        np.testing.assert_array_equal(_load(tmp_path, data), EXPECTED)


def test_cmyk_jpeg_files_are_read_and_checked(tmp_path):
    Image.fromarray(IMAGE).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    data = (tmp_path / "a.jpg").read_bytes()
    expected = cv2.imread(str(tmp_path / "a.jpg"))[..., ::-1]
    np.testing.assert_array_equal(load_image(tmp_path / "a.jpg"), expected)
    with pytest.raises(ValueError, match=DAMAGED):
        _load(tmp_path, data[: len(data) // 2] + b"\xff\xd9")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [0, *range(1, 9), 9])
def test_jpeg_is_rotated_as_opencv_rotates_it(tmp_path, orientation, order):
    header = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(order + "I", 8)
    entries = struct.pack(order + "HHHII", 2, 0x010F, 2, 1, 65)  # a camera's name
    entries += struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    body = b"Exif\x00\x00" + header + entries + bytes(4)
    data = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + JPEG[2:]
    rotated = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(_load(tmp_path, data), rotated)
    np.testing.assert_array_equal(_load(tmp_path, data, exif="ignore"), EXPECTED)
    if 2 <= orientation <= 8:
        assert not np.array_equal(rotated, EXPECTED)
        with pytest.raises(ValueError, match="is rotated by its EXIF data"):
            _load(tmp_path, data, exif="refuse")
    else:
        np.testing.assert_array_equal(_load(tmp_path, data, exif="refuse"), EXPECTED)


def test_exif_data_that_end_early_rotate_nothing(tmp_path):
    body = b"Exif\x00\x00II*\x00" + struct.pack("<IH", 8, 900)
    data = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + JPEG[2:]
    np.testing.assert_array_equal(_load(tmp_path, data), EXPECTED)


@pytest.mark.parametrize("suffix", [".png", ".avif", ".gif"])
def test_damage_of_formats_with_checks_is_refused(tmp_path, suffix):
    data = _encoded(suffix)
    middle = len(data) // 2
    with pytest.raises(ValueError, match="a damaged one"):
        _load(tmp_path, data[:middle] + bytes(40) + data[middle + 40 :], f"a{suffix}")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_16_bit_images_that_would_be_nearly_black_are_refused(tmp_path, suffix, bits):
    deep = IMAGE.astype(np.uint16) << (bits - 8)
    message = rf"16-bit values have only {bits} bits.*multiply by {2.0 ** (8 - bits):g}\.$"
    with pytest.raises(ValueError, match=message):
        _load(tmp_path, _encoded(suffix, image=deep), f"a{suffix}")
    whole = _load(tmp_path, _encoded(suffix, image=IMAGE.astype(np.uint16) * 257), f"b{suffix}")
    assert np.abs(whole.astype(int) - IMAGE).max() <= 1
    dark = _load(tmp_path, _encoded(suffix, image=IMAGE // 8), f"c{suffix}")
    np.testing.assert_array_equal(dark, IMAGE // 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_files_are_rotated_by_their_properties(tmp_path, orientation):
    """As Pillow writes them, and as it shows a JPEG of this orientation."""
    original = Image.fromarray(SMOOTH.astype(np.uint8))
    for suffix in ("jpg", "avif"):
        tags = Image.Exif()  # from which Pillow removes the orientation
        tags[0x0112] = orientation
        original.save(tmp_path / f"a.{suffix}", exif=tags, quality=95)
    shown, stored = (
        load_image(tmp_path / "a.jpg", exif=exif).astype(int) for exif in ("apply", "ignore")
    )
    for exif, expected in (("apply", shown), ("ignore", stored)):
        image = load_image(tmp_path / "a.avif", exif=exif)
        assert image.shape == expected.shape
        assert np.abs(image - expected).mean() < 4
    if orientation == 1:
        load_image(tmp_path / "a.avif", exif="refuse")
    else:
        with pytest.raises(ValueError, match=r"a\.avif is rotated by its EXIF data"):
            load_image(tmp_path / "a.avif", exif="refuse")


def test_heic_files_are_read(tmp_path):
    heif = pillow_heif.from_pillow(Image.fromarray(SMOOTH.astype(np.uint8)))
    heif.save(tmp_path / "a.heic", quality=95)
    image = load_image(tmp_path / "a.heic")
    assert np.abs(image.astype(int) - SMOOTH).mean() < 3
    data = (tmp_path / "a.heic").read_bytes()
    with pytest.raises(ValueError, match=DAMAGED):
        _load(tmp_path, data[: len(data) // 2], "b.heic")


def test_heic_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ValueError, match=r"pip install 'wing-tf\[heic\]'"):
        _load(tmp_path, b"\x00\x00\x00\x18ftypheic" + bytes(50), "a.heic")


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to("/dev/zero")
    for name in ("pipe.jpg", "link.jpg"):
        with pytest.raises(ValueError, match="not a file"):
            load_image(tmp_path / name)
    with pytest.raises(ValueError, match="Cannot read image .*: File name too long"):
        load_image(tmp_path / ("n" * 400))


def _stated(suffix, width, height):
    """Returns a file of a few bytes whose header states a size."""
    sides = struct.pack(">II", width, height)
    little = struct.pack("<II", width, height)
    boxes = struct.pack(">I4sI4s", 16, b"ftyp", 0, b"avif") + struct.pack(">I4s", 32, b"meta")
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 1, side) for tag, side in ((256, width), (257, height))
    )
    return {
        ".png": b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 13, b"IHDR") + sides + bytes(50),
        ".bmp": b"BM" + bytes(12) + struct.pack("<I", 40) + little + bytes(50),
        ".ppm": b"P6 # a comment\n%d\n%d\n255\n" % (width, height),
        ".tif": b"II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4),
        ".avif": boxes + bytes(4) + struct.pack(">I4s4x", 20, b"ispe") + sides,
        ".jp2": b"\xff\x4f\xff\x51" + bytes(4) + sides + bytes(50),
        ".jpg": JPEG.replace(struct.pack(">HH", 96, 128), struct.pack(">HH", height, width), 1),
    }[suffix]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".tif", ".avif", ".jp2", ".jpg"])
def test_header_that_states_too_many_pixels_is_refused_before_decoding(tmp_path, suffix):
    data = _stated(suffix, 50_000, 40_000)
    with pytest.raises(ValueError, match=r"has 2000000000 pixels, more than max_pixels=67108864"):
        _load(tmp_path, data, f"a{suffix}")


def _tiff(*entries):
    """A TIFF file whose sizes are given by tag, type and value."""
    rest = ((258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 4, 10))
    packed = [struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in (*entries, *rest)]
    return b"II*\0" + struct.pack("<IH", 8, len(packed)) + b"".join(packed) + bytes(1000)


# Sizes that a decoder reads otherwise than they seem.
MISLEADING = {
    "return ends a comment": b"P4 #\r9000 9000\n10 10\n" + bytes(9000 * 9000 // 8),
    "comment at a number": b"P5 9000#9000\n10 255\n" + bytes(9000 * 9000),
    "box of another format": b"P4\n#jp2c12345678aaabaaabaaaaaaaa\n%015d 9000\n" % 9000
    + bytes(9000 * 9000 // 8),
    "signed sizes": _tiff((256, 9, 9000), (256, 4, 10), (257, 9, 9000), (257, 4, 10)),
}


@pytest.mark.parametrize("kind", MISLEADING)
def test_misleading_header_is_refused_before_decoding(tmp_path, kind):
    with pytest.raises(ValueError, match="has 81000000 pixels, more than|not an image"):
        _load(tmp_path, MISLEADING[kind], "a.ppm")


MADE = [
    *((suffix, {}) for suffix in (".avif", ".bmp", ".gif", ".jp2", ".png", ".tif", ".webp")),
    (".webp", {"lossless": True}),
    (".webp", {"save_all": True, "append_images": [Image.new("RGB", (128, 96))]}),
    (".avif", {"save_all": True, "append_images": [Image.new("RGB", (128, 96))]}),
    (".tif", {"big_tiff": True}),
    (".jp2", {"no_jp2": True}),
    (".jpg", {}),
    (".ppm", {}),
    (".heic", {}),
]


@pytest.mark.parametrize(("suffix", "options"), MADE)
def test_limit_of_pixels_is_exact(tmp_path, suffix, options):
    pillow_heif.register_heif_opener()
    path = tmp_path / f"a{suffix}"
    Image.fromarray(IMAGE).save(path, **options)
    assert load_image(path, max_pixels=128 * 96).shape == IMAGE.shape
    with pytest.raises(ValueError, match=r"12288 pixels, more than max_pixels=12287\. If .*raise"):
        load_image(path, max_pixels=128 * 96 - 1)
    if suffix == ".jpg":
        with Image.open(path) as image:
            with pytest.raises(ValueError, match="The PIL image has 12288 pixels"):
                as_rgb(image, max_pixels=100)
        with pytest.raises(ValueError, match=r"a\.jpg has 12288 pixels"):
            as_rgb(path, max_pixels=100)


def test_formats_that_are_not_listed_are_not_decoded(tmp_path):
    assert cv2.imwrite(str(tmp_path / "a.hdr"), IMAGE.astype(np.float32))
    with pytest.raises(ValueError, match="of a format that this OpenCV does not read"):
        load_image(tmp_path / "a.hdr")
