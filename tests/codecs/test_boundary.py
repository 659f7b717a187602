import numpy as np
import pytest
from scipy.interpolate import splev, splprep
from scipy.spatial import cKDTree

from wing_tf.codecs import boundary_map, sample_curves
from wing_tf.codecs.boundary import squared_distances
from wing_tf.geometry import apply_affine
from wing_tf.landmarks import SCHEMES, get_scheme

WITH_CURVES = [name for name, scheme in SCHEMES.items() if scheme.boundary_curves]
SIDE = 64


def _reference_distances(landmarks, curves):
    """By SciPy, curve by curve, [side, side]."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=-1)
    nearest = []
    for curve in curves:
        points = landmarks[list(curve)]
        spline, _ = splprep(points.T, s=0, k=min(4, len(points)) - 1)
        samples = np.stack(splev(np.linspace(0, 1, 100), spline), axis=-1)
        nearest.append(cKDTree(samples).query(pixels)[0])
    return np.min(nearest, axis=0).reshape(SIDE, SIDE)


def _face(scheme, seed):
    return np.random.default_rng(seed).uniform(5, 58, (scheme.num_landmarks, 2))


def _similarity(degrees, scale, shift):
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


@pytest.mark.parametrize("name", WITH_CURVES)
def test_distances_equal_scipy_before_and_after_a_similarity(name):
    scheme = get_scheme(name)
    for seed, similarity in enumerate((_similarity(0, 1, (0, 0)), _similarity(40, 0.8, (20, -9)))):
        landmarks = _face(scheme, seed)
        samples = sample_curves(
            landmarks, np.ones(scheme.num_landmarks), scheme.boundary_curves
        ).astype(np.float64)
        moved = apply_affine(similarity, samples).astype(np.float32)
        squared, weight = squared_distances(moved[None], SIDE)
        expected = _reference_distances(apply_affine(similarity, landmarks), scheme.boundary_curves)
        assert np.abs(np.sqrt(np.asarray(squared)[0]) - expected).max() < 1e-3
        assert float(weight[0, 0]) == 1


def test_compiled_distances_equal_plain_ones():
    import tensorflow as tf

    samples = np.random.default_rng(0).uniform(0, SIDE, (2, 300, 2)).astype(np.float32)
    samples[1, 100:200] = np.nan
    expected = squared_distances(samples, SIDE)
    compiled = tf.function(squared_distances, jit_compile=True)
    for plain, ours in zip(expected, compiled(samples, SIDE, cpu_compiled=True), strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_anisotropic_map_moves_curves_by_less_than_a_quarter_pixel():
    """The docstring's numbers, on rendered shapes: points that are moved against new curves."""
    from tfrecords_tools.synthetic import render_face

    scheme = get_scheme("ibug_68")
    worst, mean = [], []
    for seed in range(4):
        landmarks = render_face(seed, 0, wide_yaw_fraction=0.0).landmarks_px
        landmarks = (landmarks - landmarks.min(axis=0)) * (56 / np.ptp(landmarks, axis=0).max()) + 4
        stretch = np.array([[1.05, 0, 0], [0, 0.97, 0]])
        old, new = (
            sample_curves(points, np.ones(68), scheme.boundary_curves, num_samples=1000)
            for points in (landmarks, apply_affine(stretch, landmarks))
        )
        moved = apply_affine(stretch, old.astype(np.float64)).reshape(13, -1, 2)
        for theirs, ours in zip(new.reshape(13, -1, 2), moved, strict=True):
            distance = cKDTree(theirs).query(ours)[0]
            worst.append(distance.max())
            mean.append(distance.mean())
    assert np.max(worst) < 0.25
    assert np.mean(mean) < 0.03


def test_map_is_a_gaussian_of_the_distance_truncated_at_three_sigma():
    samples = np.stack([np.full(500, 10.0), np.linspace(-5, 40, 500)], axis=-1)[None]
    maps, _ = boundary_map(samples, heatmap_size=32, sigma=1.5)
    assert maps.shape == (1, 32, 32, 1)
    x = np.arange(32)
    expected = np.where(np.abs(x - 10) < 4.5, np.exp(-((x - 10) ** 2) / (2 * 1.5**2)), 0)
    np.testing.assert_allclose(np.asarray(maps)[0, 7, :, 0], expected, atol=2e-3)


def test_weight_is_zero_if_a_landmark_is_not_annotated():
    scheme = get_scheme("ibug_68")
    visibility = np.ones(68)
    visibility[30] = 0
    samples = sample_curves(_face(scheme, 0), visibility, scheme.boundary_curves)
    assert np.isnan(samples).sum() == 2 * 100  # one curve of 100 points
    both = np.stack([samples, np.nan_to_num(samples)])
    maps, weights = boundary_map(both, heatmap_size=16)
    np.testing.assert_array_equal(np.asarray(weights), [[0], [1]])
    assert np.isfinite(np.asarray(maps)).all()


def test_repeated_landmarks_give_finite_curves():
    landmarks = np.array([[1, 1], [1, 1], [5, 5], [5, 5.0], [9, 3]])
    samples = sample_curves(landmarks, np.ones(5), ((0, 1, 2, 3, 4), (0, 1)))
    assert np.isfinite(samples).all()
    np.testing.assert_allclose(samples[[0, 99]], [[1, 1], [9, 3]], atol=1e-5)
    np.testing.assert_array_equal(samples[100:], np.ones((100, 2)))


def test_sampling_curves_commutes_with_the_flip():
    scheme = get_scheme("ibug_68")
    landmarks = _face(scheme, 3)
    flipped = (landmarks * [-1, 1] + [SIDE - 1, 0])[list(scheme.flip_permutation)]
    maps = []
    for points in (landmarks, flipped):
        samples = sample_curves(points, np.ones(68), scheme.boundary_curves)
        maps.append(np.asarray(boundary_map(samples[None], heatmap_size=SIDE)[0])[0, :, :, 0])
    # The spline runs the other way: its 100 points are the same up to rounding.
    np.testing.assert_allclose(maps[1], maps[0][:, ::-1], atol=1e-3)
