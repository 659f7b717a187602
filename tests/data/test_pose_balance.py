import json

import numpy as np
import pytest
import tensorflow as tf
from experiments import smoke_config
from keras import ops

from wing_tf.data import record_schema as schema
from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.batches import training_batches
from wing_tf.data.pose_balance import PoseBalance, fit_balance
from wing_tf.data.read import read_faces, read_landmarks
from wing_tf.data.records import open_records
from wing_tf.geometry import apply_affine, similarity_matrix
from wing_tf.landmarks import get_scheme
from wing_tf.training.run import train

SCHEME = get_scheme("ibug_68")


@pytest.fixture(scope="module")
def records(synthetic_records):
    return open_records(str(synthetic_records), split="train")


@pytest.fixture(scope="module")
def faces(records):
    return read_landmarks(records)[:2]


@pytest.fixture(scope="module")
def balance(faces):
    return fit_balance(*faces, SCHEME)


def test_coefficient_correlates_with_yaw(balance, faces, records):
    yaw = []
    for file in records.files:
        for record in tf.data.TFRecordDataset(file).as_numpy_iterator():
            feature = tf.train.Example.FromString(record).features.feature
            yaw.append((feature[schema.KEY].bytes_list.value[0],
                        feature[schema.ANGLES].float_list.value[0]))  # fmt: skip
    keys = [face["key"] for face in read_faces(records, image=False).as_numpy_iterator()]
    yaw = np.array([dict(yaw)[key] for key in keys])
    correlation = np.corrcoef(balance.coefficients(*faces), yaw)[0, 1]
    assert correlation > 0.95  # positive: the nose is on the right
    assert abs(balance.correlations[balance.component]) > 0.95


def test_coefficient_is_invariant_to_similarities(balance, faces):
    landmarks, visibility = faces
    similarity = similarity_matrix(np.zeros(2), 0.7, 2.5, np.array([300.0, -40.0]))
    moved = apply_affine(similarity, landmarks)
    expected = balance.coefficients(*faces)
    np.testing.assert_allclose(balance.coefficients(moved, visibility), expected, atol=1e-9)
    # Mirrored faces have the opposite coefficient.
    mirrored = (landmarks * [-1.0, 1.0])[:, list(SCHEME.flip_permutation)]
    np.testing.assert_allclose(balance.coefficients(mirrored, visibility), -expected, atol=1e-2)


def test_tensors_give_the_same_results_as_arrays(balance, faces):
    landmarks, visibility = tf.constant(faces[0], tf.float32), tf.constant(faces[1])
    np.testing.assert_allclose(
        balance.coefficients(landmarks, visibility, ops), balance.coefficients(*faces), atol=1e-4
    )
    same = np.isclose(
        balance.face_weights(landmarks, visibility, ops), balance.face_weights(*faces)
    )
    assert same.mean() > 0.98  # float32 may change the bin at an edge


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("num_bins", [1, 9, 60])
def test_each_face_is_in_one_bin(absolute, num_bins, faces):
    balance = fit_balance(*faces, SCHEME, num_bins=num_bins, absolute=absolute, max_weight=5.0)
    assert balance.bin_counts.sum() == len(faces[0])
    assert (
        len(balance.bin_weights)
        == len(balance.bin_counts)
        == len(balance.bin_edges) - 1
        == num_bins
    )
    assert np.all(np.isfinite(balance.bin_weights))
    assert balance.bin_weights.min() == 1
    assert balance.bin_weights.max() <= 5
    filled = balance.bin_counts > 0
    expected = np.minimum(balance.bin_counts.max() / balance.bin_counts[filled], 5)
    np.testing.assert_allclose(balance.bin_weights[filled], expected)
    assert (num_bins < 60) or not filled.all()  # 60 bins include empty ones
    if not absolute:
        np.testing.assert_allclose(balance.bin_edges, -balance.bin_edges[::-1])


def test_edges_belong_to_one_bin(balance):
    edges = balance.bin_edges
    np.testing.assert_array_equal(balance.bin_indices(edges), [*range(9), 8])
    np.testing.assert_array_equal(balance.bin_indices(np.array([-2.0, 2.0]) * edges[-1]), [8, 8])


def test_landmarks_not_annotated_are_ignored(faces):
    landmarks, visibility = faces[0].copy(), faces[1].copy()
    full = fit_balance(*faces, SCHEME)
    holes = np.random.default_rng(0).random(visibility.shape) < 0.1
    visibility[holes] = 0
    landmarks[holes] = 0  # as records are read
    balance = fit_balance(landmarks, visibility, SCHEME)
    pose, expected = balance.coefficients(landmarks, visibility), full.coefficients(*faces)
    assert np.corrcoef(pose, expected)[0, 1] > 0.98
    assert 0.9 < np.sum(pose * expected) / np.sum(expected**2) < 1.1
    # The coefficient of a rotated face stays large if only one half is annotated.
    half = np.array([*range(9), *range(17, 22), *range(36, 42)])
    one_side = faces[1].copy()
    one_side[:, half] = 0
    rotated = full.coefficients(faces[0], one_side)[expected > 1.5]
    assert np.mean(rotated) > 0.6 * np.mean(expected[expected > 1.5])
    # Landmarks that are not annotated may be NaN.
    landmarks[holes] = np.nan
    np.testing.assert_allclose(balance.coefficients(landmarks, visibility), pose)
    again = fit_balance(landmarks, visibility, SCHEME)
    np.testing.assert_allclose(again.bin_edges, balance.bin_edges)
    # Nor do they need a visibility of 0 then.
    for xp in (np, ops):
        weights = balance.face_weights(landmarks.astype(np.float32), faces[1], xp)
        expected = balance.face_weights(landmarks.astype(np.float32), visibility, xp)
        np.testing.assert_array_equal(np.asarray(weights), np.asarray(expected))
    again = fit_balance(landmarks, faces[1], SCHEME.name)
    np.testing.assert_allclose(again.bin_edges, balance.bin_edges)


def test_balance_round_trips_through_a_file_and_invalid_files_raise(balance, faces, tmp_path):
    balance.save(tmp_path / "balance.json", data="here")
    for path in (tmp_path, tmp_path / "balance.json"):
        again = PoseBalance.load(path)
        np.testing.assert_array_equal(again.face_weights(*faces), balance.face_weights(*faces))
        assert (again.component, again.absolute) == (balance.component, True)
    assert json.loads((tmp_path / "balance.json").read_text())["data"] == "here"
    (tmp_path / "bad.json").write_text("{}")
    for name in ("bad.json", "none.json"):
        with pytest.raises(ValueError, match="not a balance"):
            PoseBalance.load(tmp_path / name)


def test_17_signed_bins_are_as_wide_as_9_absolute_ones(faces):
    signed = fit_balance(*faces, SCHEME, num_bins=17, absolute=False)
    absolute = fit_balance(*faces, SCHEME, num_bins=9)
    widths = [np.diff(balance.bin_edges)[0] for balance in (signed, absolute)]
    assert widths[0] / widths[1] == pytest.approx(18 / 17)
    assert -signed.bin_edges[0] == signed.bin_edges[-1] == pytest.approx(absolute.bin_edges[-1])


def test_invalid_arguments_raise(faces):
    with pytest.raises(ValueError, match="`component` must be in"):
        fit_balance(*faces, SCHEME, component=99)
    with pytest.raises(ValueError, match="`num_bins` and `max_weight`"):
        fit_balance(*faces, SCHEME, num_bins=0)
    with pytest.raises(ValueError, match="ibug_68 has other landmarks"):
        fit_balance(faces[0][:, :49], faces[1][:, :49], SCHEME)
    with pytest.raises(ValueError, match="At least 3 faces"):
        fit_balance(faces[0][:2], faces[1][:2], SCHEME)


@pytest.mark.parametrize("cache", [True, False])
def test_duplication_is_exact_in_expectation(cache, records, balance, faces):
    batch_size, epochs = 16, 400 if cache else 100
    steps = records.num_faces // batch_size
    # Without cache, chunks contain a quarter of the faces.
    options = {"batch_size": batch_size, "num_draws": 1, "seed": 5, "cache": cache,
               "shuffle_buffer": 36}  # fmt: skip
    batches = training_batches(records, sampling_weights=balance, **options)
    counts, found = np.zeros(len(balance.bin_counts)), set()
    for batch in batches.take(steps * epochs).as_numpy_iterator():
        pose = balance.coefficients(batch["landmarks_square_px"], batch["visibility"])
        found |= {landmarks.tobytes() for landmarks in batch["landmarks_square_px"].round(3)}
        counts += np.bincount(balance.bin_indices(pose), minlength=len(counts))
    expected = balance.bin_counts * balance.bin_weights
    fractions, spread = counts / counts.sum(), np.sqrt(counts) / counts.sum()
    np.testing.assert_array_less(
        np.abs(fractions - expected / expected.sum()), 4 * spread + (1e-3 if cache else 5e-3)
    )
    assert counts.sum() == steps * epochs * batch_size  # epochs keep their length
    assert len(found) == records.num_faces  # all faces are included
    # A dataset from a later epoch equals the continuation.
    later = training_batches(
        records, sampling_weights=balance, epochs=tf.data.Dataset.counter(2), **options
    )
    first = next(iter(batches.skip(2 * steps)))
    for name, value in next(iter(later)).items():
        np.testing.assert_array_equal(value, first[name])


def test_loss_weights_have_a_mean_of_one(records, balance, faces):
    batches = training_batches(records, batch_size=records.num_faces,
                               num_draws=Augmenter.num_draws, seed=0)  # fmt: skip
    batch = next(iter(batches))
    batch["face_weight"] = balance(batch)
    np.testing.assert_allclose(np.mean(batch["face_weight"]), 1, rtol=1e-2)
    augmenter = Augmenter(SCHEME, input_size=32, margin=1.2, augmentation=Augmentation(flip=0.5))
    _, _, weights = augmenter(batch)
    expected = np.asarray(batch["face_weight"])[:, None] * (np.asarray(batch["visibility"]) > 0)
    np.testing.assert_allclose(weights, np.broadcast_to(expected, weights.shape), rtol=1e-6)


@pytest.mark.slow
def test_balance_changes_training(balance, synthetic_records, tmp_path):
    balance.save(tmp_path / "balance.json")
    losses = set()
    for use in ("", "duplicate", "weight"):
        changes = {"balance.path": str(tmp_path), "balance.use": use} if use else {}
        run = train(smoke_config(synthetic_records, epochs=1, **changes), tmp_path / f"run_{use}")
        losses.add((run / "metrics.csv").read_text().splitlines()[1])
    assert len(losses) == 3


@pytest.mark.slow
def test_resuming_with_another_balance_raises(balance, synthetic_records, tmp_path):
    balance.save(tmp_path / "balance.json")
    config = smoke_config(synthetic_records, **{"balance.path": str(tmp_path), "epochs": 1})
    train(config, tmp_path / "run")
    train(config, tmp_path / "run")  # finished, with the same balance
    balance.save(tmp_path / "balance.json", remark="another")
    with pytest.raises(ValueError, match="config.balance.path has changed"):
        train(config, tmp_path / "run")


def test_balance_of_another_scheme_raises(balance, synthetic_records, tmp_path):
    balance.save(tmp_path / "balance.json")
    text = (tmp_path / "balance.json").read_text().replace("ibug_68", "wflw_98")
    (tmp_path / "balance.json").write_text(text)
    with pytest.raises(ValueError, match="balance.path is of wflw_98"):
        train(smoke_config(synthetic_records, **{"balance.path": str(tmp_path)}),
                  tmp_path / "run")  # fmt: skip
