"""Calibrated scores of faces."""

import dataclasses
import functools
import json

import cv2
import numpy as np
import pytest

from wing_tf.detection import BoxFile, WholeImage
from wing_tf.geometry import apply_affine, similarity_matrix
from wing_tf.geometry.pose import rotation_matrix
from wing_tf.inference import Landmarker, Tracker
from wing_tf.inference.calibrate_scores import MIN_FACES, calibrate_scores
from wing_tf.landmarks import find_scheme_map, get_scheme
from wing_tf.landmarks.head import AVERAGE_HEAD_MM
from wing_tf.metrics import reliability
from wing_tf.model_spec import ModelSpec
from wing_tf.score_calibration import MAX_MIN_SCORE, fit_calibration

IBUG_68 = get_scheme("ibug_68")


def make_shapes(count, generator, noise=0.5):
    """Returns the average head in random poses [N, 68, 2], rotated, scaled and shifted."""
    angles = generator.normal(0, [25, 10, 0], (count, 3))
    shapes = np.stack([(AVERAGE_HEAD_MM @ rotation_matrix(*a).T)[:, :2] for a in angles])
    shapes += generator.normal(0, noise, shapes.shape)
    placed = similarity_matrix(
        np.zeros((count, 2)),
        generator.uniform(-0.5, 0.5, count),
        generator.uniform(0.2, 5, count),
        generator.uniform(0, 500, (count, 2)),
    )
    return apply_affine(placed, shapes)


def fit(landmarks_px, scores, is_accurate, scheme=IBUG_68, is_typical=None):
    return fit_calibration(
        landmarks_px,
        scores,
        is_accurate,
        weights=np.ones(len(is_accurate)),
        is_typical=np.ones(len(is_accurate), bool) if is_typical is None else is_typical,
        flip_permutation=scheme.flip_permutation,
        face=np.arange(len(is_accurate)),
    )


@functools.cache
def calibrate_shapes(scheme=IBUG_68, count=100):
    """Returns the calibration of a network without scores, accurate on half of its shapes."""
    generator = np.random.default_rng(0)
    shapes = make_shapes(2 * count, generator)
    shapes[count:] += (
        generator.normal(0, 0.1, (count, 68, 2))
        * np.ptp(shapes[count:], axis=1).max(axis=-1)[:, None, None]
    )
    if scheme is not IBUG_68:
        shapes = find_scheme_map("ibug_68", scheme.name)(shapes)
    is_accurate = np.arange(2 * count) < count
    return fit(shapes, None, is_accurate, scheme, is_typical=is_accurate)


def test_calibration_recovers_known_probabilities():
    generator = np.random.default_rng(1)
    shapes = make_shapes(800, generator)
    confidence = generator.uniform(0, 1, 800)
    probability = 1 / (1 + np.exp(4 - 8 * confidence))
    scores = np.repeat(confidence[:, None], 68, axis=1)
    calibration = fit(shapes, scores, generator.uniform(size=800) < probability)
    others = make_shapes(800, generator)
    found = calibration(others, scores)
    assert np.abs(found - probability).mean() < 0.05
    came_true = generator.uniform(size=800) < probability
    assert reliability(found, came_true)["ece"] < 0.07


@pytest.mark.parametrize("name", ["ibug_68", "aflw_19", "celeba_5"])
def test_scrambled_shape_scores_below_a_face_without_landmark_scores(name):
    scheme = get_scheme(name)
    calibration = calibrate_shapes(scheme)
    generator = np.random.default_rng(2)
    shapes = make_shapes(100, generator)
    if name != "ibug_68":
        shapes = find_scheme_map("ibug_68", name)(shapes)
    scrambled = generator.permuted(shapes, axis=1)
    assert np.mean(calibration(scrambled) < calibration(shapes)) > 0.95
    assert np.median(calibration(shapes)) > 0.8
    assert np.median(calibration(scrambled)) < 0.05


def test_score_does_not_depend_on_place_size_and_rotation():
    calibration = calibrate_shapes()
    shape = make_shapes(1, np.random.default_rng(3))
    moved = apply_affine(
        similarity_matrix(np.zeros((1, 2)), np.ones(1), np.array([9.0]), np.array([[70.0, 8]])),
        shape,
    )
    np.testing.assert_allclose(calibration(moved), calibration(shape), rtol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_landmarks_are_calibrated_by_their_scores(count):
    generator = np.random.default_rng(4)
    is_accurate = np.arange(400) < 200
    scores = np.where(is_accurate, 0.8, 0.2)[:, None] + generator.normal(0, 0.2, (400, count))
    shapes = generator.normal(0, 0.1, (400, count, 2)) + np.arange(count)[:, None] ** [1, 2]
    permutation = dataclasses.make_dataclass("Few", ["flip_permutation"])(range(count))
    found = fit(shapes, scores, is_accurate, permutation)(shapes, scores)
    assert found[is_accurate].mean() > 0.8 > 0.2 > found[~is_accurate].mean()


def test_landmarks_that_are_not_finite_score_zero():
    shapes = make_shapes(2, np.random.default_rng(5))
    (expected,) = calibrate_shapes()(shapes[:1])
    for value in (np.nan, np.inf, -np.inf):
        shapes[1, 7] = value
        np.testing.assert_array_equal(calibrate_shapes()(shapes), [expected, 0])
    assert calibrate_shapes()(shapes[:0]).shape == (0,)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_predictions_that_are_not_finite_do_not_count_in_the_calibration(value):
    generator = np.random.default_rng(10)
    shapes, is_accurate = make_shapes(120, generator), np.arange(120) % 2 == 0
    scores = generator.uniform(0, 1, (120, 68))
    expected = fit(shapes[:100], scores[:100], is_accurate[:100])
    shapes[100:110, 5], scores[110:, 3] = value, value
    assert fit(shapes, scores, is_accurate) == expected


def test_default_threshold_is_low_and_keeps_the_faces_of_an_inaccurate_network():
    generator = np.random.default_rng(6)
    shapes = make_shapes(400, generator)
    confidence = generator.uniform(0, 1, (400, 1)) * np.ones(68)
    accurate = fit(shapes, confidence, generator.uniform(size=400) < 0.5)
    assert accurate.min_score == MAX_MIN_SCORE
    inaccurate = fit(shapes, confidence, generator.uniform(size=400) < 0.02)
    assert inaccurate.min_score < MAX_MIN_SCORE
    assert np.mean(inaccurate(shapes, confidence) >= inaccurate.min_score) >= 0.99


def test_model_spec_keeps_the_calibration():
    spec = ModelSpec(
        scheme="ibug_68", input_size=64, margin=1.2, score_calibration=calibrate_shapes()
    )
    read = ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert read == spec
    shapes = make_shapes(5, np.random.default_rng(7))
    np.testing.assert_array_equal(read.score_calibration(shapes), spec.score_calibration(shapes))
    values = spec.to_dict()
    values["score_calibration"]["deviations"] = [1.0]
    with pytest.raises(ValueError, match=r"`score_calibration.deviations` must be numbers \[10\]"):
        ModelSpec.from_dict(values)


def test_calibration_that_is_not_of_the_network_raises():
    calibration = calibrate_shapes()
    spec = ModelSpec(scheme="ibug_68", input_size=64, margin=1.2, score_calibration=calibration)
    with pytest.raises(ValueError, match="is not of the 98 landmarks of the scheme"):
        dataclasses.replace(spec, scheme="wflw_98")
    with pytest.raises(ValueError, match="deviations must be positive"):
        dataclasses.replace(calibration, deviations=np.zeros(len(calibration.deviations)))
    for min_score in (-0.1, 1.1):
        with pytest.raises(ValueError, match="`min_score` must be 0 to 1"):
            dataclasses.replace(calibration, min_score=min_score)


def _landmarker(min_score=None, detector=None):
    """Returns a landmarker whose network finds a face in bright crops and noise in dark ones."""
    shape = make_shapes(1, np.random.default_rng(8))[0]
    shape = (shape - shape.min(axis=0)) / np.ptp(shape, axis=0).max() * 50
    noise = np.random.default_rng(9).permutation(shape)

    def network(crops):
        is_bright = crops.mean(axis=(1, 2, 3)) > 128
        return np.where(is_bright[:, None, None], shape, noise), None

    spec = ModelSpec(
        scheme="ibug_68", input_size=64, margin=1.2, score_calibration=calibrate_shapes()
    )
    return Landmarker(network, spec=spec, detector=detector, min_score=min_score)


def test_detected_faces_are_filtered_and_given_boxes_are_not():
    image = np.zeros((100, 200, 3), np.uint8)
    image[:, 100:] = 255
    boxes = np.array([[20.0, 20, 80, 80], [120, 20, 180, 80]])
    landmarker = _landmarker(detector=lambda image: boxes)
    assert landmarker.min_score == landmarker.spec.score_calibration.min_score
    (face,) = landmarker(image)
    assert face.score >= landmarker.min_score
    np.testing.assert_array_equal(face.box_xyxy_px, boxes[1])
    given = landmarker(image, boxes)
    assert [len(faces) for faces in (given, *landmarker([image, image], [None, boxes]))] == [
        2,
        1,
        2,
    ]
    assert given[0].score < landmarker.min_score < given[1].score
    assert len(_landmarker(0.0, lambda image: boxes)(image)) == 2
    assert _landmarker(1.0, lambda image: boxes)(image) == []


def test_calibration_on_faces_tells_faces_from_background():
    """Faces are bright squares; the network finds one at the center of any bright crop."""
    generator = np.random.default_rng(10)
    landmarker = _landmarker()
    landmarker.spec = dataclasses.replace(landmarker.spec, score_calibration=None)
    crop = (landmarker.predict_crops(np.full((1, 64, 64, 3), 255, np.uint8))[0][0] + 0.5) / 64
    faces = []
    for _ in range(4 * MIN_FACES):
        side = generator.uniform(40, 50)
        corner = generator.uniform(50, 90, 2)
        image = np.zeros((200, 200, 3), np.uint8)
        x, y = corner.astype(int)
        image[y : y + int(side), x : x + int(side)] = 255
        box = np.concatenate([corner, corner + side])
        faces.append((image, corner - 0.1 * side + 1.2 * side * crop, box))
    assert calibrate_scores(landmarker, faces[: MIN_FACES - 1]) is None
    calibration = calibrate_scores(landmarker, faces)
    assert calibration.num_faces == len(faces)
    image, true_px, _ = faces[0]
    noise = generator.permutation(true_px)
    face, background = calibration(np.stack([true_px, noise]))
    assert background < 0.02 < 0.1 < face


def test_faces_where_the_user_says_are_kept_by_default(tmp_path):
    file = tmp_path / "boxes.csv"
    file.write_text("path,x0,y0,x1,y1\nface.png,20,20,80,80\n")
    image_file = tmp_path / "face.png"
    cv2.imwrite(str(image_file), np.zeros((100, 100, 3), np.uint8))
    for detector in (BoxFile(file), "whole", WholeImage()):
        (face,) = _landmarker(detector=detector)(image_file)
        assert face.score < calibrate_shapes().min_score
        assert _landmarker(0.5, detector)(image_file) == []


def test_invalid_min_score_raises():
    for min_score in (2, float("nan"), "0.5"):
        with pytest.raises(ValueError, match="`min_score` must be 0 to 1. Received: min_score="):
            _landmarker(min_score)
        with pytest.raises(ValueError, match="`min_score` must be 0 to 1. Received: min_score="):
            Tracker(_landmarker(detector=lambda image: None), min_score=min_score)
    assert _landmarker(np.float32(0.5)).min_score == 0.5
    spec = ModelSpec(scheme="ibug_68", input_size=64, margin=1.2)
    with pytest.raises(ValueError, match="needs a model with calibrated scores"):
        Landmarker(lambda crops: None, spec=spec, min_score=0.5)
    assert Landmarker(lambda crops: None, spec=spec).min_score == 0
