import cv2
import numpy as np
import pytest

from wing_tf.data.read import read_faces
from wing_tf.data.records import find_shards, open_records
from wing_tf.evaluation.predict import compile_network, crop_batches, predict_batches
from wing_tf.geometry import box_iou, crop_square, landmark_box
from wing_tf.inference import HaarDetector, Landmarker
from wing_tf.landmarks import find_map
from wing_tf.models import cnn6
from wing_tf.models.saving import Contract

CONTRACT = Contract(scheme_name="ibug_68", input_size=32, margin=1.2)


@pytest.fixture(scope="module")
def network():
    return cnn6(68, input_size=32)


def test_landmarks_are_in_the_pictures_pixels(network):
    """The untrained network emits what it emits; moved and scaled pictures must move it along."""
    landmarker = Landmarker(network, contract=CONTRACT)
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


def test_a_source_picture_and_its_record_agree(network, synthetic_records):
    from tfrecords_tools.sources import SyntheticSource

    records = open_records(find_shards(str(synthetic_records), "test"))
    by_record = predict_batches(compile_network(network), crop_batches(records, CONTRACT))
    source = SyntheticSource(count=160, num_test=24, seed=1)
    landmarker = Landmarker(network, contract=CONTRACT)
    items = {item.key: item for item in source.items()}
    for key, box, landmarks in list(
        zip(by_record.key, by_record.box_xyxy_px, by_record.predicted_px, strict=True)
    )[:6]:
        face = landmarker(source.load(items[key]).image, box[None])[0]
        extent = np.ptp(face.landmarks_px, axis=0).max()
        # The record went through a smaller JPEG: close, not equal.
        assert np.abs(face.landmarks_px - landmarks).max() < 0.05 * extent + 1.0


def test_several_boxes_keep_their_order(network):
    landmarker = Landmarker(network, contract=CONTRACT)
    image = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    boxes = np.array([[10.0, 10, 40, 40], [30, 30, 80, 80]])
    both = landmarker(image, boxes)
    for box, face in zip(boxes, both, strict=True):
        np.testing.assert_array_equal(face.box_xyxy_px, box)
        alone = landmarker(image, box[None])[0]
        np.testing.assert_allclose(alone.landmarks_px, face.landmarks_px, atol=1e-3)
    assert landmarker(image, np.zeros((0, 4))) == []


def test_bad_calls_are_refused(network):
    landmarker = Landmarker(network, contract=CONTRACT)
    image = np.zeros((50, 50, 3), np.uint8)
    with pytest.raises(ValueError, match="must be uint8 RGB"):
        landmarker(image.astype(float), np.array([[0.0, 0, 9, 9]]))
    with pytest.raises(ValueError, match="must be uint8 RGB"):
        landmarker(image[..., 0], np.array([[0.0, 0, 9, 9]]))
    with pytest.raises(ValueError, match="Without a detector"):
        landmarker(image)
    with pytest.raises(ValueError, match=r"must be \[N, 4\]"):
        landmarker(image, np.array([0.0, 0, 9, 9]))
    with pytest.raises(ValueError, match="x0 < x1"):
        landmarker(image, np.array([[9.0, 0, 9, 9]]))
    with pytest.raises(ValueError, match="needs `contract`"):
        Landmarker(network)


def test_haar_finds_nothing_in_nothing():
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


def test_records_can_be_read_back_for_the_detector(synthetic_records):
    records = open_records(find_shards(str(synthetic_records), "test"))
    image = next(read_faces(records).as_numpy_iterator())["image"]
    assert HaarDetector()(image).shape[1] == 4


def test_landmarks_of_another_mark_up(network):
    image = np.random.default_rng(0).integers(0, 256, (90, 80, 3), np.uint8)
    box = np.array([[10.0, 12.0, 60.0, 70.0]])
    plain = Landmarker(network, contract=CONTRACT)(image, box)[0]
    mapping = find_map("ibug_68", "cofw_29")
    mapped = Landmarker(network, contract=CONTRACT, scheme_map=mapping)
    assert mapped.scheme.name == "cofw_29"
    np.testing.assert_allclose(mapped(image, box)[0].landmarks_px, mapping(plain.landmarks_px))
    scores = np.linspace(0, 1, 68)
    found = mapping.mean_scores(scores)[[0, 12]]
    np.testing.assert_allclose(found, [scores[17], scores[37:39].mean()])
    assert np.isnan(mapping.mean_scores(scores)[5])
    with pytest.raises(ValueError, match="The map is from wflw_98, the model predicts ibug_68"):
        Landmarker(network, contract=CONTRACT, scheme_map=find_map("wflw_98", "ibug_68"))
