import copy
import pathlib
import pickle
import threading

import cv2
import numpy as np
import pytest

from tfrecords_tools.sources import Ibug300WSource
from wing_tf.detection import (
    Correction,
    Detector,
    HaarDetector,
    WholeImage,
    YuNetDetector,
    calibrate,
    make_detector,
    matching_box,
)
from wing_tf.detection.haar import keep_faces
from wing_tf.geometry import box_iou, crop_square, landmark_box

# Finds pure red squares on a grid of 8, 16 and 32 pixels; see make_blob_yunet.py beside it.
BLOBS = pathlib.Path(__file__).parents[1] / "golden" / "blob_yunet.onnx"
RED_XYXY = (128, 64, 160, 96)  # the pixels [64:96, 128:160]


def red_square(size_hw, enlarged=1):
    image = np.zeros((*size_hw, 3), np.uint8)
    x0, y0, x1, y1 = RED_XYXY
    image[y0:y1, x0:x1, 0] = 255
    return image.repeat(enlarged, axis=0).repeat(enlarged, axis=1)


class Fixed(Detector):
    default_correction = Correction((0.0, 0.5), 0.5)

    def raw_boxes(self, image):
        return np.array([[0.0, 0, 10, 10], [5, 5, 45, 25], [1, 1, 11, 11]])


def test_boxes_are_corrected_and_sorted_by_size():
    # Shift by half the longer side (10: 5, 40: 20), halve the sides.
    expected = [[15, 30, 35, 40], [2.5, 7.5, 7.5, 12.5], [3.5, 8.5, 8.5, 13.5]]
    image = np.zeros((9, 9, 3), np.uint8)
    np.testing.assert_allclose(Fixed()(image), expected)
    none = Fixed(correction=Correction())
    np.testing.assert_array_equal(none(image), none.raw_boxes(image)[[1, 0, 2]])
    scores = np.array([[0.25], [0.5], [0.75]])
    scored = Fixed().corrected(np.hstack([none.raw_boxes(image), scores]))
    np.testing.assert_allclose(scored, np.hstack([expected, scores[[1, 0, 2]]]))


def test_correction_of_another_detector_is_refused(tmp_path):
    faces = [(np.zeros((100, 100, 3), np.uint8), np.array([[20.0, 20.0], [70.0, 80.0]]))]
    path = tmp_path / "correction.json"
    calibrate(WholeImage(), faces).save(path, detector="whole")
    assert make_detector("whole", correction=path).correction == Correction.load(path)
    with pytest.raises(ValueError, match="is a correction of 'whole', not of 'haar'"):
        make_detector("haar", correction=path)


def test_saved_correction_loads_equal(tmp_path):
    correction = Correction((0.1, -0.25), 0.75)
    correction.save(tmp_path / "c.json", notes={"num_faces": 3})
    assert Correction.load(tmp_path / "c.json") == correction
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]
    assert make_detector("haar", correction=tmp_path / "c.json").correction == correction


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "Cannot read correction"),
        ("no json", "is not valid JSON"),
        ("[1]", "must have the keys center_shift_xy and side_ratio"),
        ('{"center_shift_xy": [0, 0]}', "must have the keys center_shift_xy and side_ratio"),
        ('{"center_shift_xy": [0], "side_ratio": 1}', "shift of two numbers"),
        ('{"center_shift_xy": [0, NaN], "side_ratio": 1}', "the number NaN, which is not finite"),
        ('{"center_shift_xy": "12", "side_ratio": 1}', "shift of two numbers"),
        ('{"center_shift_xy": [0, 1e308], "side_ratio": 1}', "of at most 100 sides"),
        ('{"center_shift_xy": [0, 0], "side_ratio": 1e308}', "of at most 100 sides"),
        ('{"center_shift_xy": [0, 0], "side_ratio": "1"}', "positive ratio"),
        ('{"center_shift_xy": [0, 0], "side_ratio": 0}', "positive ratio"),
    ],
)
def test_invalid_correction_files_raise(tmp_path, content, message):
    path = tmp_path / "c.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=message):
        Correction.load(path)


def test_whole_image_is_one_box_at_any_aspect_ratio():
    square = WholeImage(correction=Correction())
    np.testing.assert_array_equal(
        square(np.zeros((40, 100, 3), np.uint8)), [[29.5, -0.5, 69.5, 39.5]]
    )
    np.testing.assert_array_equal(square(np.zeros((1, 1, 3), np.uint8)), [[-0.5, -0.5, 0.5, 0.5]])
    box = WholeImage()(np.zeros((100, 100, 3), np.uint8))
    np.testing.assert_allclose(box, [[19.5, 29.5, 79.5, 89.5]])


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (23, 300), (24, 24), (25, 200_000), (9000, 2)])
@pytest.mark.parametrize("name", ["haar", "yunet"])
def test_no_faces_are_found_in_images_of_unusual_sizes(name, size_hw):
    detector = make_detector(name, model_path=BLOBS if name == "yunet" else None)
    noise = np.random.default_rng(0).integers(0, 80, (*size_hw, 3), np.uint8)
    found = detector(noise)
    assert found.shape == (0, 4 if name == "haar" else 5)
    assert found.dtype == np.float64


class SizeRecorder:
    """OpenCV's detector, which notes the sizes of the images that it is given."""

    def __init__(self, detector):
        self.detector, self.sizes_hw = detector, []

    def detectMultiScale2(self, image, **options):  # noqa: N802
        self.sizes_hw.append(image.shape)
        return self.detector.detectMultiScale2(image, **options)

    def setInputSize(self, size):  # noqa: N802
        self.detector.setInputSize(size)

    def detect(self, image):
        self.sizes_hw.append(image.shape[:2])
        return self.detector.detect(image)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "attribute", "searched_hw"),
    # Haar's border: .15 of 1024 at each side.
    [("haar", "_cascade", (1332, 1332)), ("yunet", "_network", (640, 640))],
)
def test_large_images_are_scaled_down_for_detection(name, attribute, searched_hw):
    detector = make_detector(name, model_path=BLOBS if name == "yunet" else None)
    recorder = SizeRecorder(getattr(detector, attribute))
    setattr(detector, attribute, recorder)
    assert not len(detector(np.full((20_000, 20_000, 3), 128, np.uint8)))
    assert recorder.sizes_hw == [searched_hw]


def test_haar_finds_the_same_face_in_an_enlarged_image(real_faces):
    path = sorted((real_faces / "helen" / "trainset").glob("*.jpg"))[0]
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    box = HaarDetector()(image)[0]
    large = cv2.resize(image, None, fx=10, fy=10)
    scaled = HaarDetector(max_side_px=max(image.shape[:2]))(large)[0]
    side = box[2] - box[0]
    np.testing.assert_allclose((scaled + 0.5) / 10 - 0.5, box, atol=0.1 * side)


def test_haar_finds_faces_that_fill_the_image_and_faces_of_a_group(real_faces):
    source = Ibug300WSource(real_faces)
    items = [item for item in source.items() if item.key.startswith("helen/trainset")][:9]
    tiles = []
    for item in items:
        face = source.load(item)
        x0, y0, x1, y1 = crop_square(landmark_box(face.landmarks_px), 1.1).round().astype(int)
        tile = face.image[max(0, y0) : y1, max(0, x0) : x1]
        tiles.append(cv2.resize(tile, (150, 150), interpolation=cv2.INTER_AREA))
    boxes = [HaarDetector()(tile) for tile in tiles]
    expected = np.array([[6.0, 6, 143, 143]])  # of 150 pixels, 1 / 1.1
    alike = [len(some) == 1 and box_iou(some, expected)[0] > 0.6 for some in boxes]
    assert np.mean(alike) >= 0.75
    grid = np.concatenate([np.concatenate(tiles[i : i + 3], axis=1) for i in (0, 3, 6)])
    assert len(HaarDetector()(grid)) >= 0.75 * len(tiles)


def test_haar_names_other_detectors_where_opencv_lacks_it(monkeypatch):
    monkeypatch.delattr(cv2, "CascadeClassifier")  # as OpenCV 5
    with pytest.raises(ImportError, match="lacks CascadeClassifier. Use the detector 'blazeface'"):
        HaarDetector()


def test_weak_and_small_detections_are_dropped():
    boxes = np.array(
        [
            [0.0, 0, 100, 100],  # the strongest
            [10, 10, 110, 110],  # the same face
            [200, 0, 290, 90],  # as weak as the next, but as large as the first
            [200, 200, 230, 230],  # weak and small
            [300, 300, 330, 330],  # small, but not weak
        ]
    )
    kept = keep_faces(boxes[::-1], np.array([20, 9, 9, 30, 50]))
    np.testing.assert_array_equal(kept, boxes[[0, 4, 2]])
    assert keep_faces(np.zeros((0, 4)), np.zeros(0)).shape == (0, 4)


def test_detector_is_shared_by_threads(real_faces):
    paths = sorted((real_faces / "helen" / "trainset").glob("*.jpg"))[:4]
    images = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths]
    detector = HaarDetector()
    alone, shared = [detector(image) for image in images], [None] * len(images)

    def detect(number):
        for _ in range(3):
            shared[number] = detector(images[number])

    threads = [threading.Thread(target=detect, args=[i]) for i in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, shared, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size_hw", [(320, 480), (101, 163)])
def test_yunet_boxes_are_in_pixels_of_the_image(size_hw):
    """OpenCV's own decoding runs; that the square is found says RGB is given as it is meant."""
    box = YuNetDetector(BLOBS, correction=Correction())(red_square(size_hw))[0]
    np.testing.assert_allclose(box, [*(np.array(RED_XYXY) - 0.5), 1], atol=1e-3)


def test_yunet_boxes_of_scaled_down_images_are_in_image_pixels():
    detector = YuNetDetector(BLOBS, max_side_px=320, correction=Correction())
    large = detector(red_square((160, 320), enlarged=7))[0, :4]
    np.testing.assert_allclose((large + 0.5) / 7 - 0.5, np.array(RED_XYXY) - 0.5, atol=1e-3)


def test_detectors_can_be_pickled_and_copied():
    for image, detector in (
        (red_square((160, 320)) // 2, YuNetDetector(BLOBS, score_threshold=0.4, max_side_px=320)),
        (np.full((60, 60, 3), 128, np.uint8), HaarDetector(min_size=0.2)),
        (np.zeros((60, 80, 3), np.uint8), WholeImage()),
    ):
        expected = detector(image)
        for twin in (pickle.loads(pickle.dumps(detector)), copy.deepcopy(detector)):
            np.testing.assert_array_equal(twin(image), expected)
            assert twin.correction == detector.correction


def test_yunet_ignores_faces_below_the_score_threshold():
    image = red_square((160, 320)) // 2
    boxes = YuNetDetector(BLOBS, score_threshold=0.4)(image)
    assert len(boxes)
    assert ((boxes[:, 4] >= 0.4) & (boxes[:, 4] < 0.6)).all()
    assert not len(YuNetDetector(BLOBS, score_threshold=0.6)(image))


def test_invalid_yunet_file_raises(tmp_path):
    with pytest.raises(ValueError, match="Cannot read detector model .*No such file"):
        YuNetDetector(tmp_path / "absent.onnx")
    path = tmp_path / "bad.onnx"
    for content in (b"", b"hello", BLOBS.read_bytes()[:900]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a YuNet model that OpenCV"):
            YuNetDetector(path)
    # The network without one of its outputs.
    path.write_bytes(BLOBS.read_bytes().replace(b"kps_32", b"kqs_32"))
    with pytest.raises(ValueError, match="not a YuNet model that OpenCV"):
        YuNetDetector(path)
    with pytest.raises(ValueError, match="`score_threshold` must be 0 to 1"):
        YuNetDetector(BLOBS, score_threshold=2)


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        ("harr", {}, "Unknown detector 'harr'. Did you mean 'haar'"),
        ("yunet", {}, "needs `model_path`"),
        ("boxes", {}, "needs `box_file`"),
        ("haar", {"model_path": "m.onnx"}, "does not use `model_path`"),
        ("haar", {"levels": 2}, "does not use `levels`"),
        ("whole", {"box_file": "b.csv"}, "does not use `box_file`"),
    ],
)
def test_make_detector_raises_for_missing_or_unused_files(name, files, message):
    with pytest.raises(ValueError, match=message):
        make_detector(name, **files)


def test_matching_box_prefers_the_face():
    landmarks = np.array([[40.0, 40], [60, 40], [50, 60], [np.nan, np.nan]])
    boxes = np.array([[0.0, 0, 30, 30], [38, 36, 62, 64], [0, 0, 100, 100], [40, 40, 50, 50]])
    np.testing.assert_array_equal(matching_box(boxes, landmarks), boxes[1])
    scored = np.hstack([boxes, [[0.9], [0.8], [0.7], [0.6]]])
    np.testing.assert_array_equal(matching_box(scored, landmarks), scored[1])
    assert matching_box(boxes[[0, 3]], landmarks) is None
    assert matching_box(np.array([[-500.0, -500, 600, 600]]), landmarks) is None


def test_matching_box_of_one_or_no_landmark():
    boxes = np.array([[0.0, 0, 100, 100], [60, 60, 90, 90]])
    landmarks = np.full((5, 2), np.nan)
    assert matching_box(boxes, landmarks) is None
    landmarks[3] = 50.0
    np.testing.assert_array_equal(matching_box(boxes, landmarks), boxes[0])
