"""Training crops of the second stage, compared with those of the two-stage model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from dots import DOT, DotSource, centroids
from keras import ops

from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.batches import training_batches
from wing_tf.data.records import open_records
from wing_tf.data.refinement import FirstStage, RefinementAugmenter
from wing_tf.geometry import apply_affine, shrink_ratio
from wing_tf.models import two_stage
from wing_tf.models.two_stage import reference_in_crop

MARGIN, FIRST_MARGIN, SIZE = 1.5, 1.3, 96
SHAPE = np.array([[0.3, 0.3], [0.7, 0.32], [0.5, 0.5], [0.35, 0.68], [0.66, 0.7]])
REFERENCE = reference_in_crop(SHAPE, SIZE, MARGIN)
SECOND = Augmentation(flip=0.5, rotation_deg=10, scale=0.05, translation=0.05, box_jitter=0.05)
FIRST = Augmentation(flip=0.5, rotation_deg=30, scale=0.1, translation=0.05, box_jitter=0.05)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dots") / "records"
    write_records(
        DotSource(count=12),
        folder,
        square_format=SquareFormat(side=192),
        validation_fraction=0,
        num_processes=1,
        progress=False,
    )
    return open_records(str(folder))


def _constant_first_stage(angle=0.3, size=48):
    """Returns a network that predicts the same rotated shape for all images."""
    cos, sin = np.cos(angle), np.sin(angle)
    shape = reference_in_crop(SHAPE, size, FIRST_MARGIN) - (size - 1) / 2
    shape = shape @ np.array([[cos, sin], [-sin, cos]]) + (size - 1) / 2
    image = keras.Input((size, size, 3))
    zero = 0.0 * ops.mean(image, axis=(1, 2, 3))[:, None, None]
    return keras.Model(image, zero + ops.convert_to_tensor(shape, "float32")[None])


def _augmenter(records, *, second=SECOND, first=FIRST, network=None, **options):
    common = {"scheme": records.scheme}
    made = Augmenter(input_size=SIZE, margin=MARGIN, augmentation=second, **common)
    if network is not None:
        size = network.input_shape[1]
        span = records.side * FIRST_MARGIN / records.context
        first_crop = Augmenter(input_size=size, margin=FIRST_MARGIN, augmentation=first, **common)
        options["first_stage"] = FirstStage(
            network, first_crop, shrink_ratio=shrink_ratio(span, size, records.side),
            jit_compile=options.get("jit_compile", False),
        )  # fmt: skip
    return RefinementAugmenter(made, REFERENCE, **options)


def _batch(records, batch_size=12):
    batches = training_batches(
        records, batch_size=batch_size, num_draws=RefinementAugmenter.num_draws, seed=3
    )
    return next(iter(batches))


@pytest.mark.parametrize("simulated", [False, True])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_image_and_landmarks_move_together(records, simulated, jit_compile):
    options = {"simulated_error": 0.02} if simulated else {"network": _constant_first_stage()}
    augmenter = _augmenter(records, jit_compile=jit_compile, **options)
    image, landmarks, weights = augmenter(_batch(records))
    np.testing.assert_allclose(landmarks[:, DOT], centroids(image), atol=0.05)
    assert np.all(np.asarray(weights) == 1)


def test_training_crops_equal_those_of_the_two_stage_model(records):
    """Without augmentation, the first stage leads to the second crop of the model."""
    network, batch = _constant_first_stage(), _batch(records)
    still = Augmentation()
    augmenter = _augmenter(records, network=network, first=still, second=still)
    image, landmarks, _ = augmenter(batch)
    second = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Flatten(),
                               keras.layers.Dense(10), keras.layers.Reshape((5, 2))])  # fmt: skip
    graph = two_stage(network, second, REFERENCE, input_size=records.side,
                      margin=records.context, first_margin=FIRST_MARGIN,
                      second_margin=MARGIN)  # fmt: skip
    second_crop = keras.Model(graph.input, graph.get_layer("second_crop").output)
    crop = second_crop(batch["image"])
    np.testing.assert_allclose(centroids(crop), landmarks[:, DOT], atol=0.05)
    np.testing.assert_allclose(centroids(crop), centroids(image), atol=0.05)
    assert augmenter.first_stage.shrink_ratio == 2


def test_correction_input_is_the_first_stage_in_crop_pixels(records):
    """A first stage that predicts the ground truth gives the position of the dots."""
    batch = _batch(records)
    augmenter = _augmenter(records, network=_constant_first_stage(), correction=True)
    _, to_crop, flipped = augmenter.first_stage._crop(batch)
    shrunk = augmenter.first_stage._to_shrunk(batch["landmarks_square_px"])
    ground_truth = augmenter.first_stage.augmenter.transform_landmarks(shrunk, to_crop, flipped)
    augmenter.first_stage.network = lambda _: ground_truth
    (image, rough), landmarks, _ = augmenter(batch)
    np.testing.assert_allclose(rough, landmarks, atol=1e-2)
    np.testing.assert_allclose(rough[:, DOT], centroids(image), atol=0.05)


@pytest.mark.parametrize("bad", [np.nan, 7.0])
def test_invalid_first_stage_gives_plain_crop_and_reference_shape(records, bad):
    batch = _batch(records)
    network = _constant_first_stage()
    augmenter = _augmenter(records, network=network, second=Augmentation(), correction=True)
    augmenter.first_stage.network = lambda image: tf.fill((12, 5, 2), tf.constant(bad, tf.float32))
    (image, rough), landmarks, _ = augmenter(batch)
    np.testing.assert_allclose(rough, np.tile(REFERENCE, (12, 1, 1)), atol=1e-3)
    plain, expected, _ = augmenter.augmenter(
        {**batch, "draws": batch["draws"][:, : Augmenter.num_draws]}
    )
    np.testing.assert_allclose(landmarks, expected, atol=1e-3)
    np.testing.assert_allclose(image, plain, atol=1e-2)


def test_perfect_first_stage_removes_rotation_and_box_error(records):
    batch = _batch(records)
    box = batch["box_square_px"]
    moved = {**batch, "box_square_px": box + 0.1 * (box[:, 2:3] - box[:, :1])}
    augmenter = _augmenter(records, second=Augmentation(), simulated_error=1e-9)
    np.testing.assert_allclose(augmenter(moved)[1], augmenter(batch)[1], atol=1e-2)
    similarity = tf.constant([[[0.8, -0.6, 40.0], [0.6, 0.8, -30.0]]])
    rotated = apply_affine(similarity, batch["landmarks_square_px"])
    rotated = {**batch, "landmarks_square_px": rotated}
    np.testing.assert_allclose(augmenter(rotated)[1], augmenter(batch)[1], atol=1e-2)


def test_simulated_errors_and_landmarks_not_annotated(records):
    batch = _batch(records)
    visibility = np.full((12, 5), 2, np.int32)
    visibility[:, 0] = 0
    batch = {**batch, "visibility": tf.constant(visibility)}
    augmenter = _augmenter(records, second=Augmentation(), simulated_error=0.05, correction=True)
    (_, rough), landmarks, weights = augmenter(batch)
    np.testing.assert_allclose(rough[:, 0], np.tile(REFERENCE[0], (12, 1)), atol=1e-3)
    assert np.array_equal(np.asarray(weights), visibility > 0)
    errors = (np.asarray(rough) - np.asarray(landmarks))[:, 1:]
    assert 0.03 < np.std(errors) / (SIZE / MARGIN) < 0.07


def test_stages_use_separate_draws(records):
    batch = _batch(records)
    augmenter = _augmenter(records, network=_constant_first_stage())
    half = Augmenter.num_draws
    shuffled = np.array(batch["draws"])
    shuffled[:, half:] = shuffled[::-1, half:]
    one, other = augmenter(batch)[1], augmenter({**batch, "draws": tf.constant(shuffled)})[1]
    assert np.abs(np.asarray(one) - np.asarray(other)).max() > 1
