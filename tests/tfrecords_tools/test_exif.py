"""Images that are rotated by their EXIF data: annotated as displayed or as stored."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from tfrecords_tools.sources import BadRecordError, CocoSource, CsvSource, Ibug300WSource
from wing_tf.utils.image_files import load_image

# An image of smooth colors, 80 x 48, whose first pixel is the reddest.
ROWS, COLUMNS = np.mgrid[:48, :80]
STORED = np.stack([255 - 2 * ROWS - COLUMNS, 3 * COLUMNS, 5 * ROWS], axis=-1).astype(np.uint8)
ROTATED = np.rot90(STORED, -1)  # orientation 6: display it rotated by 90 degrees clockwise
REFUSED = "is rotated by its EXIF data. .*exif=apply.*exif=ignore"


def _tiff(orientation):
    """The body of EXIF data: a TIFF header and one entry, 0x0112, a short."""
    header = b"II*\x00" + struct.pack("<I", 8)
    return header + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def _encoded(suffix, *options):
    ok, data = cv2.imencode(suffix, STORED[..., ::-1], options)
    assert ok
    return data.tobytes()


def _jpeg(orientation, before=b""):
    """As cameras write it: start of image, APP1 with "Exif", all else."""
    plain = _encoded(".jpg", cv2.IMWRITE_JPEG_QUALITY, 100)
    body = b"Exif\x00\x00" + _tiff(orientation)
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    return plain[:2] + before + segment + plain[2:]


def _late_jpeg(orientation):
    """The same after two long APP2 segments, as a color profile is."""
    return _jpeg(orientation, 2 * (b"\xff\xe2" + struct.pack(">H", 60_002) + bytes(60_000)))


def _png(orientation):
    plain = _encoded(".png")
    chunk = b"eXIf" + _tiff(orientation)
    size, check = struct.pack(">I", len(chunk) - 4), struct.pack(">I", zlib.crc32(chunk))
    return plain[:33] + size + chunk + check + plain[33:]  # after IHDR


def _webp(orientation):
    plain = _encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 101)  # without loss
    exif = _tiff(orientation)
    height, width = (struct.pack("<I", side - 1)[:3] for side in STORED.shape[:2])
    extended = b"VP8X" + struct.pack("<I", 10) + bytes([8, 0, 0, 0]) + width + height
    body = b"WEBP" + extended + plain[12:] + b"EXIF" + struct.pack("<I", len(exif)) + exif
    return b"RIFF" + struct.pack("<I", len(body)) + body


FORMATS = {"jpg": _jpeg, "late.jpg": _late_jpeg, "png": _png, "webp": _webp}


@pytest.mark.parametrize("name", FORMATS)
def test_exif_rotation_is_refused_applied_or_ignored(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(FORMATS[name](6))
    with pytest.raises(ValueError, match=REFUSED):
        load_image(path, exif="refuse")
    near = 4 if name.endswith("jpg") else 0
    for exif, expected in (("apply", ROTATED), ("ignore", STORED)):
        image = load_image(path, exif=exif)
        assert image.shape == expected.shape
        assert np.abs(image.astype(int) - expected).max() <= near
    np.testing.assert_array_equal(load_image(path), load_image(path, exif="apply"))


@pytest.mark.parametrize("name", FORMATS)
def test_exif_choice_does_not_matter_without_rotation(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(FORMATS[name](1))
    images = [load_image(path, exif=exif) for exif in ("refuse", "apply", "ignore")]
    for image in images:
        assert image.shape == STORED.shape
        np.testing.assert_array_equal(image, images[0])


def _sources(folder, exif):
    points = [[5, 6], [70, 8], [40, 20], [10, 40], [72, 44]]
    if exif == "apply":  # the same corners in the rotated image
        points = [[47 - y, x] for x, y in points]
    header = "path," + ",".join(f"{a}{i}" for i in range(5) for a in "xy")
    row = "a.jpg," + ",".join(str(v) for point in points for v in point)
    (folder / "faces.csv").write_text(f"{header}\n{row}\n")
    flat = [v for point in points for v in (*point, 2)]
    (folder / "faces.json").write_text(
        '{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "face"}], '
        f'"annotations": [{{"id": 1, "image_id": 1, "category_id": 1, "keypoints": {flat}}}]}}'
    )
    options = {} if exif is None else {"exif": exif}
    return [
        CsvSource(folder / "faces.csv", scheme="celeba_5", **options),
        CocoSource(folder / "faces.json", scheme="celeba_5", **options),
    ]


def test_csv_and_coco_refuse_rotated_images_unless_exif_is_given(tmp_path):
    (tmp_path / "a.jpg").write_bytes(_jpeg(6))
    for source in _sources(tmp_path, None):
        with pytest.raises(BadRecordError, match=REFUSED):
            source.load(source.items()[0])
    for exif in ("apply", "ignore"):
        for source in _sources(tmp_path, exif):
            face = source.load(source.items()[0])
            for point, (x, y) in zip(
                face.landmarks_px.astype(int), [[5, 6], [70, 8]], strict=False
            ):
                found = face.image[point[1], point[0]].astype(int)
                assert np.abs(found - STORED[y, x]).max() <= 4
    for make in (CsvSource, CocoSource):
        with pytest.raises(ValueError, match="`exif` must be one of"):
            make(tmp_path / "faces.csv", scheme="celeba_5", exif="yes")


def test_published_data_sets_are_read_as_stored(tmp_path):
    (tmp_path / "afw").mkdir()
    (tmp_path / "afw/a.jpg").write_bytes(_jpeg(6))
    (tmp_path / "afw/a.pts").write_text("".join(f"{i + 5} {i % 40 + 3}\n" for i in range(68)))
    source = Ibug300WSource(tmp_path)
    assert source.load(source.items()[0]).image.shape == STORED.shape
