"""The landmarker of exported files against the one in Keras, and its manners."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from exported import noise_image

from wing_tf.geometry import apply_affine, invert
from wing_tf.inference import Face, Landmarker
from wing_tf.landmarks import find_scheme_map


@pytest.mark.parametrize("name", ["plain", "two-stage", "heatmaps"])
def test_litert_landmarker_equals_keras_landmarker(name, exported, frame):
    network, spec, path = exported(name)
    image, boxes = frame
    expected = Landmarker(network, spec=spec)(image, boxes)
    found = Landmarker(path)(image, boxes)
    assert len(found) == len(expected) == 3
    for face, other, box in zip(found, expected, boxes, strict=True):
        assert isinstance(face, Face)
        assert face.landmarks_px.dtype == np.float64
        np.testing.assert_allclose(face.landmarks_px, other.landmarks_px, atol=0.02)
        assert np.ptp(face.landmarks_px, axis=0).min() > 1
        np.testing.assert_array_equal(face.box_xyxy_px, box)
        assert (face.scores is None) == (name != "heatmaps")
        if face.scores is not None:
            np.testing.assert_allclose(face.scores, other.scores, atol=1e-3)


def test_export_folder_opens_its_file(exported, frame):
    path = exported("plain")[2]
    image, boxes = frame
    np.testing.assert_array_equal(
        Landmarker(path.parent)(image, boxes)[0].landmarks_px,
        Landmarker(str(path))(image, boxes)[0].landmarks_px,
    )


def test_detector_provides_the_boxes(exported, frame):
    path = exported("plain")[2]
    image, boxes = frame
    seen = []

    def detector(frame):
        seen.append(frame)
        return boxes[:1]

    found = Landmarker(path, detector=detector)(image)
    assert seen[0] is image
    np.testing.assert_array_equal(found[0].box_xyxy_px, boxes[0])
    assert Landmarker(path, detector=lambda frame: np.zeros((0, 4)))(image) == []
    assert Landmarker(path)(image, []) == []


def test_faces_carry_the_detection_scores(exported, frame):
    path = exported("plain")[2]
    image, boxes = frame
    scored = np.concatenate([boxes[:2], [[0.75], [np.nan]]], axis=1)
    plain = Landmarker(path)(image, boxes[:2])
    assert [face.detection_score for face in plain] == [None, None]
    for landmarker in (Landmarker(path, passes=2), Landmarker(path, detector=lambda image: scored)):
        found = landmarker([image, image], [scored, boxes[:1]])
        assert [face.detection_score for face in found[0] + found[1]] == [0.75, None, None]
        assert all(face.box_xyxy_px.shape == (4,) for face in found[0])
    outside = np.vstack([scored, [-20, -20, -10, -10, 0.5]])
    detect = Landmarker(path, detector=lambda image: outside).detect
    np.testing.assert_array_equal(detect(image), scored)


def test_scheme_map_returns_mapped_landmarks(exported, frame):
    path = exported("plain")[2]
    mapping = find_scheme_map("ibug_68", "cofw_29")
    landmarker = Landmarker(path, scheme_map=mapping, scheme="cofw_29")
    assert landmarker.scheme.name == "cofw_29"
    np.testing.assert_allclose(
        landmarker(*frame)[0].landmarks_px, mapping(Landmarker(path)(*frame)[0].landmarks_px)
    )


def test_threads_that_share_one_get_their_own_answers(exported):
    path = exported("plain")[2]
    landmarker = Landmarker(path, num_threads=1)
    images = [noise_image(80, count=1)[0].astype(np.uint8) // (i + 1) for i in range(6)]
    box = np.array([[8.0, 9.0, 70.0, 71.0]])
    expected = [landmarker(image, box)[0].landmarks_px for image in images]
    assert np.abs(expected[0] - expected[5]).max() > 1e-3
    wrong = []

    def work(number):
        for _ in range(40):
            found = landmarker(images[number], box)[0].landmarks_px
            if not np.array_equal(found, expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_steps_of_a_call_can_be_called_separately(exported, frame):
    landmarker = Landmarker(exported("heatmaps")[2])
    image, boxes = frame
    crops, to_crop = landmarker.crop(image, boxes)
    assert crops.shape == (3, 64, 64, 3)
    assert crops.dtype == np.uint8
    landmarks, scores = landmarker.predict_crops(crops)
    placed = landmarker.to_image(to_crop, landmarks)
    np.testing.assert_allclose(placed, apply_affine(invert(to_crop), landmarks), atol=1e-4)
    for number, face in enumerate(landmarker(image, boxes)):
        np.testing.assert_array_equal(face.landmarks_px, placed[number])
        np.testing.assert_array_equal(face.scores, scores[number])


@pytest.mark.parametrize("name", ["heatmaps", pytest.param("two-stage", marks=pytest.mark.slow)])
def test_file_of_a_fixed_batch_size_equals_the_one_of_single_crops(
    name, exported, export, frame, tmp_path
):
    network, spec, path = exported(name)
    batched = export(network, spec, tmp_path / "model.tflite", batch_size=2)
    landmarker = Landmarker(batched, flip=True)
    assert landmarker.spec.batch_size == 2
    image, boxes = frame  # three boxes: the second batch is padded
    expected = Landmarker(path, flip=True)(image, boxes)
    for count in (1, 2, 3):
        found = landmarker(image, boxes[:count])
        assert len(found) == count
        for face, other in zip(found, expected[:count], strict=True):
            np.testing.assert_allclose(face.landmarks_px, other.landmarks_px, atol=1e-3)
            if other.scores is not None:
                np.testing.assert_allclose(face.scores, other.scores, atol=1e-5)
    many = landmarker([image] * 24, [boxes] * 24)  # more than 64 faces
    for faces in many:
        np.testing.assert_allclose(
            [face.landmarks_px for face in faces], [face.landmarks_px for face in expected],
            atol=1e-3,
        )  # fmt: skip


def test_crops_of_another_type_raise(exported):
    landmarker = Landmarker(exported("plain")[2])
    for bad, received in (
        (np.zeros((2, 64, 64, 3)), r"float64, \(2, 64, 64, 3\)"),
        (np.zeros((64, 64, 3), np.uint8), r"uint8, \(64, 64, 3\)"),
        (np.zeros((1, 32, 32, 3), np.uint8), r"uint8, \(1, 32, 32, 3\)"),
    ):
        with pytest.raises(ValueError, match=rf"uint8 array \[N, 64, 64, 3\]. .*{received}"):
            landmarker.predict_crops(bad)


def test_invalid_calls_raise(exported):
    landmarker = Landmarker(exported("plain")[2])
    image, box = np.zeros((50, 60, 3), np.uint8), np.array([[0.0, 0, 9, 9]])
    for bad, received in (
        (image.astype(np.float32), r"must be uint8 .* Received: float32 \(50, 60, 3\)"),
        (np.zeros((5, 6, 2), np.uint8), r"must be uint8 .* Received: uint8 \(5, 6, 2\)"),
        (np.zeros((0, 6, 3), np.uint8), r"must be uint8 .* Received: uint8 \(0, 6, 3\)"),
        (None, "Received: None, which cv2.imread returns for a file that it can't read"),
        ("frame.jpg", "Cannot read image frame.jpg"),
    ):
        with pytest.raises(ValueError, match=received):
            landmarker(bad, box)
    for bad, received in (
        (image[..., 0], r"uint8 \(50, 60\)"),
        (np.zeros((5, 6, 4), np.uint8), r"uint8 \(5, 6, 4\)"),
        (None, "NoneType"),
    ):
        with pytest.raises(
            ValueError, match=rf"must be uint8 RGB \[H, W, 3\]. Received: {received}"
        ):
            landmarker.detect(bad)
    for bad in (box[0], np.zeros((2, 6)), np.zeros((1, 1, 4)), np.float64(3)):
        with pytest.raises(ValueError, match=r"must be \[N, 4\], or \[N, 5\] .*Received: shape="):
            landmarker(image, bad)
    for score in (-0.1, 1.1):
        with pytest.raises(ValueError, match="the detection score, must be 0 to 1. Received"):
            landmarker(image, [[0, 0, 9, 9, score]])
    for bad in ([[1, 2, 3, "wide"]], [[1, 2, 3], [1, 2, 3, 4]], [[None, 0, 1, 1]]):
        with pytest.raises(ValueError, match=r"`boxes_xyxy_px` must be"):
            landmarker(image, bad)
    for bad in (
        [9, 0, 9, 9], [9, 0, 3, 9], [0, 0, 9, np.nan], [0, 0, np.inf, 9], [0, 0, 1e300, 1e300],
        [-2e7, 0, 9, 9],
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"must be finite .*, with x0 < x1 and y0 < y1. Rec"):
            landmarker(image, np.array([bad], float))
    with pytest.raises(ValueError, match="Without a detector"):
        Landmarker(exported("plain")[2], detector=None)(image)


def test_invalid_landmarkers_raise(exported):
    path = exported("plain")[2]
    with pytest.raises(ValueError, match="scheme wflw_98 is required, but the model gives ibug_68"):
        Landmarker(path, scheme="wflw_98")
    network, spec, _ = exported("plain")
    with pytest.raises(ValueError, match="scheme wflw_98 is required"):
        Landmarker(network, spec=spec, scheme="wflw_98")
    with pytest.raises(ValueError, match="The map is from wflw_98, the model predicts ibug_68"):
        Landmarker(path, scheme_map=find_scheme_map("wflw_98", "ibug_68"))
    for bad in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="`num_threads` must be positive. Received"):
            Landmarker(path, num_threads=bad)


_ALONE = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[4].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Absent())
import numpy as np
from wing_tf.inference import Landmarker
data = np.load(sys.argv[2])
faces = Landmarker(sys.argv[1])(data["image"], data["boxes"])
np.save(sys.argv[3], [face.landmarks_px for face in faces])
"""


def test_core_imports_neither_tensorflow_nor_keras_nor_opencv(exported, frame, tmp_path):
    path = exported("two-stage")[2]
    np.savez(tmp_path / "in.npz", image=frame[0], boxes=frame[1])
    subprocess.run(
        [
            sys.executable,
            "-c",
            _ALONE,
            path,
            tmp_path / "in.npz",
            tmp_path / "out.npy",
            "tensorflow,keras,cv2,scipy,matplotlib,h5py,tqdm",
        ],
        check=True,
    )
    expected = [face.landmarks_px for face in Landmarker(path)(*frame)]
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-3)
