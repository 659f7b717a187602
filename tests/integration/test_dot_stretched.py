"""The dot, through crops that are not square: boxes stretched to the network's input."""

import dataclasses

import numpy as np
import pytest
from dots import DOT, DotSource, centroids, dot_network

from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.batches import training_batches
from wing_tf.data.records import open_records
from wing_tf.evaluation.predict import check_fit, crop_batches, predict_batches
from wing_tf.geometry import crop_region, landmark_box
from wing_tf.inference import Landmarker
from wing_tf.model_spec import ModelSpec

TOLERANCE = 0.05
SIZE = 96
MODEL_SPEC = ModelSpec(scheme="celeba_5", input_size=SIZE, margin=1.1, square=False)


class WideDotSource(DotSource):
    """The same dots among landmarks that are much wider than high."""

    def load(self, item):
        face = super().load(item)
        landmarks = face.landmarks_px.copy()
        center = landmarks[DOT, 1]
        landmarks[:, 1] = center + 0.5 * (landmarks[:, 1] - center)
        return dataclasses.replace(face, landmarks_px=landmarks)


SOURCE = WideDotSource(12)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dots") / "records"
    write_records(
        SOURCE, folder, square_format=SquareFormat(side=256), crop="pipnet", validation_fraction=0,
        progress=False, num_processes=0,
    )  # fmt: skip
    return open_records(str(folder))


def test_the_records_say_so(records):
    assert not records.square
    assert records.margin == 1.1
    assert str(records.crop_rules[0]) == "pipnet (landmark box x 1.1, not square)"
    square = ModelSpec(scheme="celeba_5", input_size=SIZE, margin=1.1)
    with pytest.raises(ValueError, match="The network takes square crops, the records'"):
        check_fit(records, square)


def test_augmented(records):
    augmentation = Augmentation(flip=0.5, rotation_deg=30, scale=0.1, translation=0.05)
    augmenter = Augmenter(
        records.scheme, input_size=SIZE, margin=1.1, augmentation=augmentation, square=False
    )
    batches = training_batches(records, batch_size=12, num_draws=Augmenter.num_draws, seed=0)
    for faces in batches.take(2):
        image, landmarks, _ = augmenter(faces)
        found = np.asarray(centroids(image), np.float64)
        np.testing.assert_allclose(landmarks[:, DOT], found, atol=TOLERANCE)
        plain = augmenter.plain_matrices(faces["box_square_px"]).numpy()
        assert (plain[:, 1, 1] > 1.3 * plain[:, 0, 0]).all()  # stretched in y


def test_only_mapped_landmarks_are_evaluated(records):
    network = dot_network(SIZE)
    (batch,) = crop_batches(records, MODEL_SPEC)
    predictions = predict_batches(lambda image: np.asarray(network(image)), [batch])
    errors = np.abs(predictions.predicted_px[:, DOT] - predictions.true_px[:, DOT])
    # A crop's pixel is so large in the source, in x and in y.
    scale = np.abs(batch.crop_to_source[:, [0, 1], [0, 1]])
    assert (errors <= TOLERANCE * np.maximum(1.0, scale)).all()


def test_used():
    landmarker = Landmarker(dot_network(SIZE), spec=MODEL_SPEC)
    for item in SOURCE.items():
        truth = SOURCE.load(item)
        box = landmark_box(truth.landmarks_px)
        face = landmarker(truth.image, box[None])[0]
        errors = np.abs(face.landmarks_px[DOT] - truth.landmarks_px[DOT])
        region = crop_region(box, 1.1, square=False)
        scale = (region[2:] - region[:2]) / SIZE
        assert (errors <= TOLERANCE * np.maximum(1.0, scale)).all()
