import dataclasses

import cv2
import numpy as np
import pytest

from wing_tf.data.read import read_faces
from wing_tf.data.records import open_records
from wing_tf.evaluation.predict import crop_batches, predict_batches
from wing_tf.geometry import box_iou, crop_square, landmark_box
from wing_tf.geometry.pose import head_pose
from wing_tf.inference import HaarDetector, Landmarker
from wing_tf.landmarks import find_scheme_map
from wing_tf.model_spec import ModelSpec
from wing_tf.models import cnn6
from wing_tf.models.compiled import compile_network

MODEL_SPEC = ModelSpec(scheme="ibug_68", input_size=32, margin=1.2)


@pytest.fixture(scope="module")
def network():
    return cnn6(68, input_size=32)


def test_landmarks_are_in_image_pixels(network):
    """The untrained network emits what it emits; moved and scaled images must move it along."""
    landmarker = Landmarker(network, spec=MODEL_SPEC)
    generator = np.random.default_rng(0)
    small = cv2.GaussianBlur(generator.integers(0, 256, (80, 90, 3), np.uint8), (0, 0), 3)
    box = np.array([[20.0, 15, 60, 62]])
    first = landmarker(small, box)[0].landmarks_px
    padded = np.pad(small, ((7, 3), (11, 2), (0, 0)))
    np.testing.assert_allclose(
        landmarker(padded, box + [11, 7, 11, 7])[0].landmarks_px, first + [11, 7], atol=0.02
    )
    double = small.repeat(2, axis=0).repeat(2, axis=1)
    large = landmarker(double, (box + 0.5) * 2 - 0.5)[0].landmarks_px
    np.testing.assert_allclose(large, (first + 0.5) * 2 - 0.5, atol=0.2)


def test_predictions_on_source_image_and_record_agree(network, synthetic_records):
    from tfrecords_tools.sources import SyntheticSource

    records = open_records(str(synthetic_records), split="test")
    by_record = predict_batches(compile_network(network), crop_batches(records, MODEL_SPEC))
    source = SyntheticSource(num_train=160, num_test=24, seed=1)
    landmarker = Landmarker(network, spec=MODEL_SPEC)
    items = {item.key: item for item in source.items()}
    for key, box, landmarks in list(
        zip(by_record.key, by_record.box_xyxy_px, by_record.predicted_px, strict=True)
    )[:6]:
        face = landmarker(source.load(items[key]).image, box[None])[0]
        extent = np.ptp(face.landmarks_px, axis=0).max()
        # The record went through a smaller JPEG: close, not equal.
        assert np.abs(face.landmarks_px - landmarks).max() < 0.05 * extent + 1.0


def test_faces_keep_the_order_of_boxes(network):
    landmarker = Landmarker(network, spec=MODEL_SPEC)
    image = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    boxes = np.array([[10.0, 10, 40, 40], [30, 30, 80, 80]])
    both = landmarker(image, boxes)
    for box, face in zip(boxes, both, strict=True):
        np.testing.assert_array_equal(face.box_xyxy_px, box)
        alone = landmarker(image, box[None])[0]
        np.testing.assert_allclose(alone.landmarks_px, face.landmarks_px, atol=1e-3)
    assert landmarker(image, np.zeros((0, 4))) == []


def test_images_may_be_files_gray_bgr_or_have_alpha(network, tmp_path):
    landmarker = Landmarker(network, spec=MODEL_SPEC)
    image = np.random.default_rng(0).integers(0, 256, (60, 50, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 4)
    boxes = np.array([[5.0, 8, 40, 50]])

    def located(value, **options):
        return landmarker(value, boxes, **options)[0].landmarks_px

    expected = located(image)
    bgr = np.ascontiguousarray(image[..., ::-1])
    np.testing.assert_array_equal(located(bgr, channels="bgr"), expected)
    assert np.abs(located(bgr) - expected).max() > 0.01
    alpha = np.random.default_rng(1).integers(0, 256, (60, 50, 1), np.uint8)
    np.testing.assert_array_equal(located(np.concatenate([image, alpha], axis=2)), expected)
    with_alpha = np.concatenate([bgr, alpha], axis=2)
    np.testing.assert_array_equal(located(with_alpha, channels="bgr"), expected)
    gray = image[..., 1]
    same = located(np.stack([gray] * 3, axis=2))
    np.testing.assert_array_equal(located(gray), same)
    np.testing.assert_array_equal(located(gray[..., None]), same)
    cv2.imwrite(str(tmp_path / "face.png"), bgr)
    np.testing.assert_array_equal(located(tmp_path / "face.png"), expected)
    np.testing.assert_array_equal(located(str(tmp_path / "face.png")), expected)


def test_flip_averaging_is_the_mean_with_the_mirrored_image(network):
    image = np.random.default_rng(0).integers(0, 256, (60, 51, 3), np.uint8)
    boxes = np.array([[5.0, 8, 40, 50]])
    plain = Landmarker(network, spec=MODEL_SPEC)
    mirrored = plain(image[:, ::-1], np.array([[50 - 40.0, 8, 50 - 5, 50]]))[0].landmarks_px
    mirrored = mirrored[list(plain.scheme.flip_permutation)] * [-1, 1] + [50, 0]
    expected = (plain(image, boxes)[0].landmarks_px + mirrored) / 2
    averaged = Landmarker(network, spec=MODEL_SPEC, flip=True)(image, boxes)[0]
    np.testing.assert_allclose(averaged.landmarks_px, expected, atol=0.05)


def test_second_pass_crops_around_the_first_landmarks(network):
    image = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    boxes = np.array([[10.0, 10, 40, 40], [30, 30, 80, 80]])
    once = Landmarker(network, spec=MODEL_SPEC)
    first = once(image, boxes)
    again = once(image, landmark_box(np.stack([face.landmarks_px for face in first])))
    both = Landmarker(network, spec=MODEL_SPEC, passes=2)(image, boxes)
    for face, expected in zip(both, again, strict=True):
        np.testing.assert_array_equal(face.box_xyxy_px, expected.box_xyxy_px)
        np.testing.assert_allclose(face.landmarks_px, expected.landmarks_px, atol=1e-4)


def test_second_pass_crops_as_in_training(network):
    """For landmarks that cover a part of the training boxes, such as the eyes of a face box."""
    image = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    boxes = np.array([[10.0, 10, 40, 40], [30, 30, 80, 80]])
    spec = dataclasses.replace(
        MODEL_SPEC, trained_boxes=["dataset"], box_around_landmarks=[-1, -0.5, 1, 1.5]
    )
    first = Landmarker(network, spec=spec)(image, boxes)
    for face, again in zip(
        first, Landmarker(network, spec=spec, passes=2)(image, boxes), strict=True
    ):
        x0, y0, x1, y1 = landmark_box(face.landmarks_px)
        x, y, side = (x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0)
        expected = [x - side, y - side / 2, x + side, y + 1.5 * side]
        np.testing.assert_allclose(again.box_xyxy_px, expected, atol=1e-9)


def test_images_of_many_sizes_are_run_together(network):
    landmarker = Landmarker(network, spec=MODEL_SPEC)
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (40 + 9 * i, 50, 3), np.uint8) for i in range(3)]
    boxes = [
        np.array([[5.0, 5, 30, 30], [9, 9, 40, 40]]),
        np.zeros((0, 4)),
        np.array([[0.0, 0, 9, 9]]),
    ]
    together = landmarker(images, boxes)
    assert [len(faces) for faces in together] == [2, 0, 1]
    for image, own, faces in zip(images, boxes, together, strict=True):
        for face, alone in zip(faces, landmarker(image, own), strict=True):
            np.testing.assert_allclose(face.landmarks_px, alone.landmarks_px, atol=1e-3)


def test_detector_that_needs_names_receives_them(network):
    class ByName:
        needs_name = True

        def __call__(self, image, name):
            return {"a.png": np.array([[2.0, 2, 20, 20]])}.get(name, np.zeros((0, 4)))

    landmarker = Landmarker(network, spec=MODEL_SPEC, detector=ByName())
    image = np.zeros((30, 30, 3), np.uint8)
    np.testing.assert_array_equal(landmarker.detect(image, "a.png"), [[2, 2, 20, 20]])
    assert landmarker(image) == []


def test_face_has_score_and_angles(network):
    image = np.random.default_rng(0).integers(0, 256, (60, 50, 3), np.uint8)
    (face,) = Landmarker(network, spec=MODEL_SPEC)(image, np.array([[5.0, 8, 40, 50]]))
    assert face.scores is None
    assert face.score is None  # the network is not calibrated
    assert face.identity is None
    pose = head_pose(face.landmarks_px, Landmarker(network, spec=MODEL_SPEC).scheme)
    np.testing.assert_array_equal(face.angles_deg, pose.angles_deg)


def test_invalid_calls_raise(network):
    landmarker = Landmarker(network, spec=MODEL_SPEC)
    image = np.zeros((50, 50, 3), np.uint8)
    with pytest.raises(ValueError, match="must be uint8"):
        landmarker(image.astype(float), np.array([[0.0, 0, 9, 9]]))
    with pytest.raises(ValueError, match="must be uint8"):
        landmarker(image[..., :2], np.array([[0.0, 0, 9, 9]]))
    with pytest.raises(ValueError, match='"rgb" or "bgr"'):
        landmarker(image, np.array([[0.0, 0, 9, 9]]), channels="RGB")
    with pytest.raises(ValueError, match="lies outside of the image of 50 x 50"):
        landmarker(image, np.array([[0.0, 0, 9, 9], [60, 0, 70, 9]]))
    with pytest.raises(ValueError, match="passes=3"):
        Landmarker(network, spec=MODEL_SPEC, passes=3)
    with pytest.raises(ValueError, match="Unknown detector 'hog'"):
        Landmarker(network, spec=MODEL_SPEC, detector="hog")
    with pytest.raises(ValueError, match="Without a detector"):
        Landmarker(network, spec=MODEL_SPEC, detector=None)(image)
    with pytest.raises(ValueError, match=r"must be \[N, 4\]"):
        landmarker(image, np.array([0.0, 0, 9, 9]))
    with pytest.raises(ValueError, match="x0 < x1"):
        landmarker(image, np.array([[9.0, 0, 9, 9]]))
    with pytest.raises(ValueError, match="must be the path of a model.*Received: ndarray"):
        Landmarker(np.zeros((50, 50, 3), np.uint8))
    with pytest.raises(ValueError, match="needs `spec`"):
        Landmarker(network)


def test_haar_finds_no_face_in_a_uniform_image():
    assert HaarDetector()(np.full((200, 200, 3), 128, np.uint8)).shape == (0, 4)


def test_haar_boxes_are_like_landmark_boxes_on_real_faces(real_faces):
    from tfrecords_tools.sources import Ibug300WSource

    source, detector = Ibug300WSource(real_faces), HaarDetector()
    items = [item for item in source.items() if item.key.startswith("helen/trainset")][:60]
    shifts, ratios = [], []
    for item in items:
        face = source.load(item)
        true = crop_square(landmark_box(face.landmarks_px), 1.0)
        boxes = detector(face.image)
        if not len(boxes):
            continue
        overlaps = box_iou(boxes, true)
        if overlaps.max() < 0.5:
            continue
        box = boxes[overlaps.argmax()]
        side = true[2] - true[0]
        shifts.append(((box[:2] + box[2:]) / 2 - (true[:2] + true[2:]) / 2) / side)
        ratios.append((box[2] - box[0]) / side)
    assert len(shifts) >= 0.75 * len(items)
    np.testing.assert_allclose(np.mean(shifts, axis=0), [0, 0], atol=0.05)
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


def test_detector_reads_recorded_images(synthetic_records):
    records = open_records(str(synthetic_records), split="test")
    image = next(read_faces(records).as_numpy_iterator())["image"]
    assert HaarDetector()(image).shape[1] == 4


def test_landmarks_of_another_scheme(network):
    image = np.random.default_rng(0).integers(0, 256, (90, 80, 3), np.uint8)
    box = np.array([[10.0, 12.0, 60.0, 70.0]])
    plain = Landmarker(network, spec=MODEL_SPEC)(image, box)[0]
    mapping = find_scheme_map("ibug_68", "cofw_29")
    mapped = Landmarker(network, spec=MODEL_SPEC, scheme_map=mapping)
    assert mapped.scheme.name == "cofw_29"
    np.testing.assert_allclose(mapped(image, box)[0].landmarks_px, mapping(plain.landmarks_px))
    scores = np.linspace(0, 1, 68)
    found = mapping.map_scores(scores)[[0, 12]]
    np.testing.assert_allclose(found, [scores[17], scores[37:39].mean()])
    assert np.isnan(mapping.map_scores(scores)[5])
    with pytest.raises(ValueError, match="The map is from wflw_98, the model predicts ibug_68"):
        Landmarker(network, spec=MODEL_SPEC, scheme_map=find_scheme_map("wflw_98", "ibug_68"))
