import numpy as np
import tensorflow as tf

from wing_tf.codecs import HeatmapCodec, sample_curves
from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.batches import training_batches
from wing_tf.data.heatmap_targets import HeatmapAugmenter
from wing_tf.data.records import open_records
from wing_tf.landmarks import get_scheme

SCHEME = get_scheme("ibug_68")
CODEC = HeatmapCodec(input_size=64, heatmap_size=16, sigma=1.0)
CROPS = {
    "input_size": 64,
    "margin": 1.3,
    "augmentation": Augmentation(flip=0.5, rotation_deg=30, scale=0.1, translation=0.05, blur=0.5),
}


def _batch(count=6, curves=True):
    generator = np.random.default_rng(0)
    landmarks = generator.uniform(26, 70, (count, 68, 2)).astype(np.float32)
    batch = {
        "image": generator.integers(0, 256, (count, 96, 96, 3), np.uint8),
        "landmarks_square_px": landmarks,
        "visibility": np.full((count, 68), 2, np.int32),
        "box_square_px": np.tile(np.float32([24, 24, 72, 72]), (count, 1)),
        "draws": generator.uniform(size=(count, Augmenter.num_draws)).astype(np.float32),
    }
    if curves:
        batch["curve_samples_square_px"] = np.stack(
            [sample_curves(face, np.ones(68), SCHEME.boundary_curves) for face in landmarks]
        )
    return batch


def test_targets_equal_encoded_augmented_landmarks():
    batch = _batch()
    image, landmarks, weights = Augmenter(SCHEME, **CROPS)(batch)
    ours, maps, map_weights = HeatmapAugmenter(SCHEME, codec=CODEC, **CROPS)(batch)
    np.testing.assert_array_equal(ours, image)
    expected, expected_weights = CODEC.encode(landmarks, weights)
    np.testing.assert_array_equal(maps, expected)
    np.testing.assert_array_equal(map_weights, expected_weights)


def test_boundary_map_moves_with_the_landmarks():
    batch = _batch()
    augmenter = HeatmapAugmenter(SCHEME, codec=CODEC, boundary_sigma=1.0, **CROPS)
    _, maps, weights = augmenter(batch)
    assert maps.shape == (6, 16, 16, 69)
    assert np.asarray(weights)[:, 68].all()
    _, landmarks, _ = Augmenter(SCHEME, **CROPS)(batch)
    # Curves pass through their landmarks, so the boundary map is high there.
    positions = np.asarray(CODEC.to_heatmap(landmarks))
    inside = (positions > 0).all(axis=-1) & (positions < 15).all(axis=-1)
    face, landmark = np.nonzero(inside)
    column, row = positions[face, landmark].round().astype(int).T
    boundary = np.asarray(maps)[face, row, column, 68]
    # A landmark is at most half a diagonal from its pixel's center.
    assert boundary.min() > np.exp(-0.25) - 0.02
    compiled = HeatmapAugmenter(SCHEME, codec=CODEC, boundary_sigma=1.0, jit_compile=True, **CROPS)(
        {name: tf.constant(value) for name, value in batch.items()}
    )
    np.testing.assert_allclose(compiled[1], maps, atol=1e-4)


def test_weights_of_landmarks_not_annotated_and_of_faces():
    batch = _batch()
    batch["visibility"][:2, 36] = 0
    batch["curve_samples_square_px"][:2, 300:400] = np.nan
    batch["draws"][:2, 0] = 0.9, 0.1  # the second face is flipped
    batch["face_weight"] = np.arange(1, 7, dtype=np.float32)
    _, maps, weights = HeatmapAugmenter(SCHEME, codec=CODEC, boundary_sigma=1.0, **CROPS)(batch)
    weights = np.asarray(weights)
    assert weights[0, 36] == weights[1, 45] == 0
    assert weights[0, 45] == 1
    assert weights[1, 36] == 2
    np.testing.assert_array_equal(weights[:, 68], [0, 0, 3, 4, 5, 6])
    assert set(np.unique(weights[3])) <= {0, 4}  # 0: moved out of the crop
    assert np.isfinite(np.asarray(maps)).all()


def test_batches_contain_curve_samples(synthetic_records):
    records = open_records(str(synthetic_records), split="train")
    for cache in (True, False):
        batches = training_batches(
            records, batch_size=4, num_draws=2, seed=0, cache=cache, curves=SCHEME.boundary_curves
        )
        batch = next(iter(batches))
        samples = batch["curve_samples_square_px"].numpy()
        assert samples.shape == (4, 1300, 2)
        landmarks, visibility = batch["landmarks_square_px"].numpy(), batch["visibility"].numpy()
        for i in range(4):
            expected = sample_curves(landmarks[i], visibility[i], SCHEME.boundary_curves)
            np.testing.assert_array_equal(samples[i], expected)
