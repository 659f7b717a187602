"""A dot drawn in a source image comes back within .05 px of its place, through every path.

The tolerance is .05 px of the image in which the dot is measured: a network pixel may be several
of the source's.
"""

import numpy as np
import pytest
from dots import DOT, DotSource, centroids, dot_network

from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.batches import training_batches
from wing_tf.data.read import read_faces
from wing_tf.data.records import open_records
from wing_tf.evaluation.conditions import noisy_boxes
from wing_tf.evaluation.predict import crop_batches, predict_batches
from wing_tf.geometry import apply_affine, compose, invert, landmark_box
from wing_tf.inference import Landmarker
from wing_tf.model_spec import ModelSpec

SOURCE = DotSource(16)
TRUTH = {item.key: SOURCE.load(item) for item in SOURCE.items()}
TOLERANCE = 0.05


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dots") / "records"
    write_records(
        SOURCE, folder, square_format=SquareFormat(side=256), validation_fraction=0, progress=False,
        num_processes=0,
    )  # fmt: skip
    return open_records(str(folder))


def _scale(matrix):
    return np.sqrt(np.abs(np.linalg.det(np.asarray(matrix)[..., :2])))


@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_write_and_read(records, ratio):
    for face in read_faces(records, ratio).as_numpy_iterator():
        truth = TRUTH[face["key"].decode()]
        to_source = face["square_to_source"].astype(np.float64)
        found = np.asarray(centroids(face["image"][None]), np.float64)
        expected = apply_affine(invert(to_source), truth.landmarks_px[[DOT]])
        np.testing.assert_allclose(found, expected, atol=TOLERANCE)
        landmarks = apply_affine(to_source, face["landmarks_square_px"].astype(np.float64))
        np.testing.assert_allclose(landmarks, truth.landmarks_px, atol=2e-3)
        box = apply_affine(to_source, face["box_square_px"].reshape(2, 2).astype(np.float64))
        np.testing.assert_allclose(box.ravel(), landmark_box(truth.landmarks_px), atol=2e-3)


@pytest.mark.parametrize("ratio", [1, 2])
def test_write_read_augment_invert(records, ratio):
    augmentation = Augmentation(
        flip=0.5, rotation_deg=30, scale=0.1, translation=0.05, box_jitter=0.05
    )
    augmenter = Augmenter(records.scheme, input_size=96, margin=1.3, augmentation=augmentation)
    batches = training_batches(
        records, batch_size=16, num_draws=Augmenter.num_draws, seed=0, ratio=ratio
    )
    by_place = {tuple(np.round(t.landmarks_px[0], 1)): t for t in TRUTH.values()}
    seen = 0
    for faces in batches.take(3):
        image, landmarks, _ = augmenter(faces)
        to_crop, _ = augmenter.crop_matrices(faces["box_square_px"], faces["draws"])
        to_source = compose(
            faces["square_to_source"].numpy().astype(np.float64),
            invert(to_crop.numpy().astype(np.float64)),
        )
        found = np.asarray(centroids(image), np.float64)
        np.testing.assert_allclose(landmarks[:, DOT], found, atol=TOLERANCE)
        back = apply_affine(to_source, found[:, None])[:, 0]
        source_landmarks = apply_affine(
            faces["square_to_source"].numpy().astype(np.float64),
            faces["landmarks_square_px"].numpy().astype(np.float64),
        )
        for place, first, matrix in zip(back, source_landmarks[:, 0], to_source, strict=True):
            truth = by_place[tuple(np.round(first, 1))]
            error = np.abs(place - truth.landmarks_px[DOT]).max()
            assert error <= TOLERANCE * max(1.0, _scale(matrix))
            seen += 1
    assert seen == 48


@pytest.mark.parametrize("input_size", [48, 64, 128])
@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_evaluate(records, input_size, noise):
    spec = ModelSpec(scheme="celeba_5", input_size=input_size, margin=1.3)
    network = dot_network(input_size)
    batches = crop_batches(records, spec, move_boxes=noisy_boxes(noise) if noise else None)
    for batch in batches:
        predictions = predict_batches(lambda image: np.asarray(network(image)), [batch])
        errors = np.abs(predictions.predicted_px[:, DOT] - predictions.true_px[:, DOT]).max(axis=1)
        limit = TOLERANCE * np.maximum(1.0, _scale(batch.crop_to_source))
        assert (errors <= limit).all(), errors / limit


@pytest.mark.parametrize("input_size", [48, 64, 128])
def test_predict(input_size):
    spec = ModelSpec(scheme="celeba_5", input_size=input_size, margin=1.3)
    landmarker = Landmarker(dot_network(input_size), spec=spec)
    for truth in TRUTH.values():
        face = landmarker(truth.image, landmark_box(truth.landmarks_px)[None])[0]
        side = 1.3 * np.ptp(truth.landmarks_px, axis=0).max()
        error = np.abs(face.landmarks_px[DOT] - truth.landmarks_px[DOT]).max()
        assert error <= TOLERANCE * max(1.0, side / input_size)
