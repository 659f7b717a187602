"""The public data surface, as a script of one's own uses it."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import wing_tf.data
from wing_tf.codecs import HeatmapCodec
from wing_tf.data import (
    Augmentation,
    Augmenter,
    HeatmapAugmenter,
    crop_faces,
    dataset_from_records,
    fit_balance,
    open_records,
    read_faces,
    read_landmarks,
    training_batches,
)
from wing_tf.landmarks import get_scheme

AUGMENTATION = Augmentation(flip=0.5, rotation_deg=30, noise=0.02)
CROP = {"input_size": 32, "margin": 1.2}
CODEC = HeatmapCodec(input_size=32, heatmap_size=16, sigma=1.0)


@pytest.fixture(scope="module")
def records(synthetic_records):
    return open_records(synthetic_records, split="train")


@pytest.fixture(scope="module")
def augmenter(records):
    return Augmenter(records.scheme, augmentation=AUGMENTATION, **CROP)


def _in_process(script: str, **environment):
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_every_public_name_resolves_and_is_listed():
    assert set(wing_tf.data.__all__) <= set(dir(wing_tf.data))
    for name in wing_tf.data.__all__:
        assert getattr(wing_tf.data, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = wing_tf.data.nothing


def test_record_schema_and_crop_rules_are_imported_without_tensorflow():
    script = (
        "import sys; from wing_tf.data import crop_rules, record_schema\n"
        "loaded = {'tensorflow', 'keras', 'numpy'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = _in_process(script)
    assert done.returncode == 0, done.stderr


def test_cached_faces_are_on_one_device_also_in_the_scope_of_a_strategy(records):
    options = {"batch_size": 4, "num_draws": 1, "seed": 3}
    outside = next(iter(training_batches(records, **options)))
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        inside = next(iter(training_batches(records, **options)))
    np.testing.assert_array_equal(inside["image"], outside["image"])


@pytest.mark.parametrize("cache", [True, False])
def test_each_iteration_is_the_next_epoch_of_training_batches(cache, records, augmenter):
    dataset = dataset_from_records(records, augmenter, batch_size=16, seed=3, cache=cache)
    steps = records.num_faces // 16
    assert len(dataset) == steps
    stream = training_batches(
        records, batch_size=16, num_draws=augmenter.num_draws, seed=3, ratio=1, cache=cache
    )
    expected = iter(stream.map(augmenter))
    for _ in range(2):
        batches = list(dataset)
        assert len(batches) == steps
        for batch in batches:
            for one, other in zip(batch, next(expected), strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cache", [True, False])
def test_without_shuffle_each_face_is_given_once_and_not_augmented(cache, records):
    augmenter = Augmenter(records.scheme, **CROP)
    dataset = dataset_from_records(
        records, augmenter, batch_size=50, shuffle=False, cache=cache,
        loss_weights=lambda faces: 0.5 * tf.cast(faces["visibility"][:, 0], tf.float32),
    )  # fmt: skip
    faces = next(iter(read_faces(records).batch(records.num_faces)))
    assert len(dataset) == -(-records.num_faces // 50)
    for _ in range(2):
        images, landmarks, weights = (np.concatenate(part) for part in zip(*dataset, strict=True))
        expected, to_square = crop_faces(faces, **CROP)
        np.testing.assert_allclose(images, expected, atol=1e-3)
        to_square = to_square.numpy()
        in_square = landmarks @ to_square[:, :, :2].swapaxes(1, 2) + to_square[:, None, :, 2]
        np.testing.assert_allclose(in_square, faces["landmarks_square_px"], atol=1e-3)
        face_weight = 0.5 * faces["visibility"].numpy()[:, :1]
        np.testing.assert_array_equal(weights, np.broadcast_to(face_weight, weights.shape))


@pytest.mark.parametrize("shuffle", [True, False])
def test_heatmaps_are_those_of_the_codec_and_of_the_boundary(shuffle, records):
    augmentation = AUGMENTATION if shuffle else Augmentation()
    plain = Augmenter(records.scheme, augmentation=augmentation, **CROP)
    heatmaps = HeatmapAugmenter(
        records.scheme, codec=CODEC, boundary_sigma=1.0, augmentation=augmentation, **CROP
    )
    options = {"batch_size": 8, "shuffle": shuffle}
    image, landmarks, weights = next(iter(dataset_from_records(records, plain, **options)))
    same, maps, mask = next(iter(dataset_from_records(records, heatmaps, **options)))
    np.testing.assert_array_equal(same, image)
    expected, visible = CODEC.encode(landmarks, weights)
    np.testing.assert_allclose(maps[..., :68], expected, atol=1e-6)
    np.testing.assert_array_equal(mask[:, :68], visible)
    assert maps.shape == (8, 16, 16, 69)
    assert np.all(np.max(maps[..., 68], axis=(1, 2)) > 0.5)


@pytest.mark.parametrize("use", ["sampling_weights", "loss_weights"])
def test_balance_repeats_faces_or_weights_them(use, records):
    landmarks, visibility, _ = read_landmarks(records)
    balance = fit_balance(landmarks, visibility, records.scheme)
    before = np.mean(balance.face_weights(landmarks, visibility) > 1.5)
    plain = Augmenter(records.scheme, **CROP)
    total = rare = 0.0
    for _, landmarks, weights in dataset_from_records(records, plain, **{use: balance}):
        pose_weights = balance.face_weights(landmarks.numpy(), np.ones(weights.shape))
        total += np.sum(weights)
        rare += np.sum(weights.numpy()[pose_weights > 1.5])
    assert rare / total > 1.5 * before


def test_py_dataset_of_read_faces_gives_the_same_batches(records):
    augmenter = Augmenter(records.scheme, **CROP)

    class Faces(keras.utils.PyDataset):
        def __init__(self):
            super().__init__()
            self.batches = list(read_faces(records).batch(32))

        def __len__(self):
            return len(self.batches)

        def __getitem__(self, index):
            return augmenter(self.batches[index])

    expected = dataset_from_records(records, augmenter, batch_size=32, shuffle=False)
    faces = Faces()
    assert len(faces) == len(expected)
    for one, other in zip(faces[1], list(expected)[1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_contradicting_arguments_raise(records, augmenter):
    with pytest.raises(ValueError, match=r"`batch_size` must be in \[1, 142\].*batch_size=500"):
        dataset_from_records(records, augmenter, batch_size=500)
    with pytest.raises(ValueError, match=r"`shuffle=False` gives each face once.*flip=0.5"):
        dataset_from_records(records, augmenter, shuffle=False)
    plain = Augmenter(records.scheme, **CROP)
    with pytest.raises(ValueError, match="`shuffle=False` gives each face once"):
        dataset_from_records(records, plain, shuffle=False, sampling_weights=lambda faces: 1)
    with pytest.raises(ValueError, match=r"Augmentation needs `draws` \[B, 25\]"):
        augmenter(next(iter(read_faces(records).batch(2))))
    with pytest.raises(ValueError, match=r"must be a batch.*shape \(96, 96, 3\)"):
        plain(next(iter(read_faces(records))))
    with pytest.raises(ValueError, match=r"codec.input_size=32, input_size=64"):
        HeatmapAugmenter(records.scheme, codec=CODEC, input_size=64, margin=1.2)
    with pytest.raises(ValueError, match=r"celeba_5 has no boundary curves.*boundary_sigma=1"):
        HeatmapAugmenter(get_scheme("celeba_5"), codec=CODEC, boundary_sigma=1.0, **CROP)


def test_augmenters_that_do_not_fit_the_records_raise(records):
    for scheme, options, message in (
        (get_scheme("wflw_98"), CROP, "for wflw_98, the records contain ibug_68"),
        (records.scheme, CROP | {"square": False}, "requires an augmenter with square=True"),
        (records.scheme, CROP | {"margin": 2.5}, r"2.00 times the box.*--context=3"),
    ):
        with pytest.raises(ValueError, match=message):
            dataset_from_records(records, Augmenter(scheme, **options))
    balance = fit_balance(*read_landmarks(records)[:2], records.scheme)
    with pytest.raises(ValueError, match=r"must be \[N, 68, 2\], of the scheme ibug_68.*98, 2"):
        balance.face_weights(np.ones((3, 98, 2)), np.ones((3, 98)))


@pytest.mark.parametrize("use", ["sampling_weights", "loss_weights"])
def test_weights_that_are_not_a_function_to_one_per_face_raise(use, records, augmenter):
    for weights, message in (
        (np.ones(records.num_faces), "must be a function of a batch .* Received: ndarray"),
        (lambda faces: faces["visibility"], r"must return one weight per face \[B\].*68"),
        (lambda faces: faces["visibility"][:, :1], r"must return one weight per face \[B\].*1"),
    ):
        with pytest.raises(ValueError, match=f"`{use}` {message}"):
            dataset_from_records(records, augmenter, **{use: weights})


@pytest.mark.parametrize(
    ("scheme", "changes", "message"),
    [
        ("ibug_68", {}, "must be a LandmarkScheme.* Received: scheme='ibug_68'"),
        (get_scheme("ibug_68"), {"input_size": 0}, "`input_size` must be positive"),
        (get_scheme("ibug_68"), {"margin": -1.2}, "`margin` must be positive.*margin=-1.2"),
    ],
)
def test_invalid_augmenters_raise(scheme, changes, message):
    with pytest.raises(ValueError, match=message):
        Augmenter(scheme, **CROP | changes)


def test_heatmaps_of_several_stacks_are_a_tuple_with_weights(records):
    augmenter = HeatmapAugmenter(records.scheme, codec=CODEC, sigma_steps=(0.5, 0.0), **CROP)
    batch = next(iter(dataset_from_records(records, augmenter, batch_size=4, shuffle=False)))
    _, (wide, narrow), (wide_weights, weights) = batch
    faces = next(iter(read_faces(records).batch(4)))
    _, landmarks, annotated = Augmenter(records.scheme, **CROP)(faces)
    for maps, mask, sigma in ((wide, wide_weights, 1.5), (narrow, weights, 1.0)):
        expected, visible = CODEC.encode(landmarks, annotated, sigma)
        np.testing.assert_allclose(maps, expected, atol=1e-4)
        np.testing.assert_array_equal(mask, visible)


def test_other_backends_raise_one_line(synthetic_records):
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    script = f"""
from wing_tf.data import Augmenter, dataset_from_records, open_records
records = open_records({str(synthetic_records)!r}, split="test")
dataset_from_records(records, Augmenter(records.scheme, input_size=32, margin=1.2))
"""
    done = _in_process(script, KERAS_BACKEND="jax")
    assert "`tf.data` requires KERAS_BACKEND=tensorflow. Received: 'jax'." in done.stderr
