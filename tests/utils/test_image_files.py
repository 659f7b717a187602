"""Image files: damage, depth, formats and rotation."""

import os
import struct
import sys

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

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
