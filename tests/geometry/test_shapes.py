import keras
import numpy as np
import pytest

from wing_tf.geometry import (
    align_to,
    apply_affine,
    fit_similarity,
    procrustes,
    shrink_ratio,
    similarity_matrix,
)


def _shapes(count, num_landmarks=12, seed=0):
    return np.random.default_rng(seed).normal(size=(count, num_landmarks, 2))


def _similarities(count, seed=0):
    generator = np.random.default_rng(seed)
    return similarity_matrix(
        generator.normal(0, 50, (count, 2)), generator.uniform(-3, 3, count),
        generator.uniform(0.3, 3, count), generator.normal(0, 50, (count, 2)),
    )  # fmt: skip


@pytest.mark.parametrize("xp", [np, keras.ops])
def test_fit_similarity_recovers_the_transform(xp):
    shapes, truth = _shapes(20).astype(np.float32), _similarities(20)
    target = apply_affine(truth, shapes).astype(np.float32)
    found = np.asarray(fit_similarity(shapes, target, xp=xp))
    np.testing.assert_allclose(apply_affine(found, shapes), target, atol=1e-3)


def test_fit_similarity_is_the_least_squares_solution():
    source, target = _shapes(2)
    best = fit_similarity(source, target)
    a, b = best[0, 0], best[1, 0]
    np.testing.assert_allclose(best[:, :2], [[a, -b], [b, a]])

    def cost(a, b, x, y):
        return np.sum((apply_affine(np.array([[a, -b, x], [b, a, y]]), source) - target) ** 2)

    least = cost(a, b, *best[:, 2])
    for step in np.eye(4) * 1e-3:
        for sign in (1, -1):
            assert cost(*(np.array([a, b, *best[:, 2]]) + sign * step)) > least


def test_points_of_zero_weight_are_ignored():
    source, target = _shapes(2)
    weights = np.ones(12)
    weights[[3, 7]] = 0
    rest = weights > 0
    expected = fit_similarity(source[rest], target[rest])
    np.testing.assert_allclose(fit_similarity(source, target, weights=weights), expected)


@pytest.mark.parametrize("xp", [np, keras.ops])
def test_degenerate_points_give_the_fallback(xp):
    good = 10 * _shapes(1)[0]
    bad = [np.full((12, 2), 5.0), np.full((12, 2), np.nan), np.full((12, 2), np.inf)]
    bad += [np.where(np.eye(12)[:, :2] > 0, np.nan, good), good * 1e-4, good * 1e4]
    points = np.stack([good, *bad]).astype(np.float32)
    target = good.astype(np.float32)
    fallback = np.array([[1, 0, 3], [0, 1, 4]], np.float32)
    found, aligned = map(np.asarray, align_to(points, target, fallback, xp=xp))
    np.testing.assert_allclose(found[0], np.eye(2, 3), atol=1e-4)
    np.testing.assert_array_equal(found[1:], np.tile(fallback, (len(bad), 1, 1)))
    np.testing.assert_allclose(aligned, np.tile(target, (len(points), 1, 1)), atol=1e-3)


def test_procrustes_aligns_similar_shapes_exactly():
    shape = _shapes(1)
    moved = apply_affine(_similarities(30), np.tile(shape, (30, 1, 1)))
    mean, aligned = procrustes(moved)
    np.testing.assert_allclose(aligned, np.tile(mean, (30, 1, 1)), atol=1e-6)
    assert np.mean(np.sum(mean**2, axis=1)) == pytest.approx(1)
    np.testing.assert_allclose(mean.mean(axis=0), 0, atol=1e-12)


def test_procrustes_converges_and_ignores_nan_landmarks():
    shapes = _shapes(1)[0] + 0.1 * _shapes(200, seed=1)
    mean, aligned = procrustes(shapes)
    np.testing.assert_allclose(aligned.mean(axis=0) / np.linalg.norm(aligned.mean(axis=0)),
                               mean / np.linalg.norm(mean), atol=1e-6)  # fmt: skip
    incomplete = shapes.copy()
    incomplete[np.random.default_rng(2).random((200, 12)) < 0.2] = np.nan
    other, aligned = procrustes(incomplete)
    assert np.array_equal(np.isnan(aligned), np.isnan(incomplete))
    np.testing.assert_allclose(other, mean, atol=0.03)
    incomplete[:, 4] = np.nan
    with pytest.raises(ValueError, match="not annotated in any face"):
        procrustes(incomplete)
    with pytest.raises(ValueError, match="coincide"):
        procrustes(np.ones((5, 12, 2)))


def test_procrustes_mean_is_symmetric_with_a_flip_permutation():
    permutation = [1, 0, 2, 4, 3]
    shapes = np.array([[-1, 0], [1, 0], [0.3, 1], [-1, 2], [1.2, 2]]) + 0.05 * _shapes(50, 5)
    mean, _ = procrustes(shapes, permutation)
    np.testing.assert_allclose(mean, mean[permutation] * [-1, 1], atol=1e-9)


def test_shrink_ratio_is_the_largest_without_loss_of_detail():
    assert [shrink_ratio(span, 64) for span in (57, 115, 116, 256, 461)] == [1, 1, 2, 4, 8]
    assert shrink_ratio(256, 64, image_side_px=258) == 2
