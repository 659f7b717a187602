import numpy as np

from wing_tf.geometry import apply_affine, fit_similarity
from wing_tf.inference import Face
from wing_tf.inference.track import Track


def test_a_shape_is_kept_if_its_best_similarity_leaves_a_small_error():
    shape, noise = np.random.default_rng(3).normal(size=(2, 68, 2))
    track = Track(Face(shape, np.zeros(4)), 0.0, 0.0, None)
    turned = 7 * shape @ np.array([[0.6, 0.8], [-0.8, 0.6]]) + [40, -3]
    spread = np.linalg.norm(shape - shape.mean(0))
    for amount, keeps in ((0.0, True), (0.03, True), (0.08, False)):
        moved = turned + 7 * amount * spread / np.linalg.norm(noise) * noise
        aligned = apply_affine(fit_similarity(moved, shape), moved)
        assert (np.linalg.norm(aligned - shape) < 0.05 * spread) == keeps
        assert track.keeps_shape(Face(moved, np.zeros(4))) == keeps
    for other in (shape * [-1, 1], np.zeros((68, 2)), np.full((68, 2), np.nan)):
        assert not track.keeps_shape(Face(other, np.zeros(4)))
