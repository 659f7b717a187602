"""Everything that counts as an image, and the errors for the rest."""

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from wing_tf.inference import Landmarker, as_rgb

BOX = [[8.0, 9, 40, 45]]
ORIENTATION = 0x0112  # EXIF tag


@pytest.fixture(scope="module")
def landmarker():
    return Landmarker()


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)


def _points(faces):
    return [face.landmarks_px for face in faces]


@pytest.mark.parametrize(
    "convert",
    [
        pytest.param(tf.constant, id="tensorflow"),
        pytest.param(tf.Variable, id="variable"),
        pytest.param(PIL.Image.fromarray, id="pil"),
        pytest.param(keras.ops.convert_to_tensor, id="keras"),
        pytest.param(lambda image: image.view(np.memmap), id="memmap"),
    ],
)
def test_tensors_and_pil_images_equal_arrays(convert, landmarker, image):
    expected = _points(landmarker(image, BOX))
    np.testing.assert_array_equal(_points(landmarker(convert(image), BOX)), expected)


def test_torch_tensors_equal_arrays(landmarker, image):
    torch = pytest.importorskip("torch")
    expected = _points(landmarker(image, BOX))
    np.testing.assert_array_equal(_points(landmarker(torch.tensor(image), BOX)), expected)
    first = torch.tensor(image).permute(2, 0, 1)
    np.testing.assert_array_equal(_points(landmarker(first.permute(1, 2, 0), BOX)), expected)
    with pytest.raises(ValueError, match=r"\(3, 50, 60\). To use it, move the channels last"):
        landmarker(first, BOX)
    # No device is needed to see that values which are not on the host are refused.
    with pytest.raises(ValueError, match=r"on the host \(in PyTorch: image.cpu\(\)\). .*Tensor: "):
        landmarker(torch.empty((50, 60, 3), dtype=torch.uint8, device="meta"), BOX)
    with pytest.raises(ValueError, match=r"readable by NumPy.* grad"):
        landmarker(torch.zeros((50, 60, 3), requires_grad=True), BOX)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "YCbCr"])
def test_pil_images_are_converted_to_rgb(mode, image):
    given = PIL.Image.fromarray(image).convert("RGBA" if mode == "PA" else "RGB").convert(mode)
    if mode == "P":
        given.info["transparency"] = bytes(range(200))
    expected = np.asarray(given.convert("RGBA").convert("RGB"))
    np.testing.assert_array_equal(as_rgb(given), expected)
    np.testing.assert_array_equal(as_rgb(given, channels="bgr"), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotates_pil_images_as_files(orientation, image, tmp_path):
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "face.png"
    PIL.Image.fromarray(image).save(path, exif=exif)
    with PIL.Image.open(path) as opened:
        found = as_rgb(opened)
    np.testing.assert_array_equal(found, as_rgb(path))
    assert found.shape[:2] == ((50, 60) if orientation < 5 else (60, 50))


def test_home_folder_is_expanded(image, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    PIL.Image.fromarray(image).save(tmp_path / "face.png")
    np.testing.assert_array_equal(as_rgb("~/face.png"), image)
    with pytest.raises(ValueError, match="No model at .*/nothing.tflite"):
        Landmarker("~/nothing.tflite")


def test_several_images_give_the_faces_of_each(landmarker, image, tmp_path):
    PIL.Image.fromarray(image).save(tmp_path / "face.png")
    other = image[:, ::-1]
    expected = [_points(landmarker(one, BOX)) for one in (image, other)]
    for several in (
        [image, other], (image, PIL.Image.fromarray(other)), np.stack([image, other]),
        tf.constant(np.stack([image, other])), [tmp_path / "face.png", tf.constant(other)],
    ):  # fmt: skip
        found = landmarker(several, [BOX, BOX])
        np.testing.assert_allclose([_points(faces) for faces in found], expected, atol=1e-4)
    (once, none) = landmarker([image, other], [BOX, []])
    assert (len(once), none) == (1, [])
    assert landmarker([]) == []


def test_boxes_that_are_not_given_are_detected(image):
    landmarker = Landmarker(detector=lambda image: np.array(BOX), min_score=0)
    found = landmarker([image, image], [None, [[1.0, 2, 30, 40]]])
    boxes = [faces[0].box_xyxy_px for faces in found]
    np.testing.assert_array_equal(boxes, [BOX[0], [1, 2, 30, 40]])
    assert len(landmarker([image] * 3)) == 3


def test_anything_else_is_refused_in_one_line(landmarker, image):
    for bad, message in (
        (None, "Received: None, which cv2.imread returns"),
        (image.tolist(), r"Received: list. Convert numbers by np.array\(image, np.uint8\)"),
        (b"\xff\xd8", "Received: bytes. .* encoded bytes by cv2.imdecode"),
        (3, "Received: int"),
        ({"image": image}, "Received: dict"),
        (iter([image]), "Received: list_iterator"),
        ([image, None], "Image 1 of 2: .*Received: None"),
        (image / 255, r"float64 \(50, 60, 3\). To use it, convert 0..1 by \(255 \* image\)"),
        (np.moveaxis(image, -1, 0) / 255, r"To use it, move the channels last .* and convert 0..1"),
        (image.astype(int), r"int64 \(50, 60, 3\). To use it, convert it by image.astype"),
        (image.astype(np.uint16) * 257, r"To use it, convert it by \(image >> 8\).astype"),
        (np.moveaxis(image, -1, 0), r"uint8 \(3, 50, 60\). To use it, move the channels last by"),
        (np.array([image, "face.png"], object), r"Received: object \(2,\)"),
        (PIL.Image.new("I;16", (60, 50)), "8 bits per channel. Received: mode='I;16'"),
        (PIL.Image.new("F", (60, 50)), "8 bits per channel. Received: mode='F'"),
        (PIL.Image.new("RGB", (0, 0)), r"must have pixels. Received: size=\(0, 0\)"),
        (keras.Input((60, 3)), "readable by NumPy, on the host .*KerasTensor: "),
    ):
        with pytest.raises(ValueError, match=message) as raised:
            landmarker(bad, BOX if not isinstance(bad, list) else [BOX, BOX])
        assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match="boxes .* of each image. Received: 2 images, 1 entries"):
        landmarker([image, image], [BOX])
    with pytest.raises(ValueError, match=r"Image 0 of 1: `boxes_xyxy_px` must be \[N, 4\]"):
        landmarker([image], BOX)


def test_damaged_pil_images_are_refused_in_one_line(image, tmp_path):
    path = tmp_path / "face.png"
    PIL.Image.fromarray(image).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with PIL.Image.open(path) as opened:
        with pytest.raises(ValueError, match="The PIL image can't be decoded: "):
            as_rgb(opened)
