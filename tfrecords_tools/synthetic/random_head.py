"""Random identity of a head."""

from functools import cache

import numpy as np

from tfrecords_tools.synthetic.curves import spaced_along
from tfrecords_tools.synthetic.deterministic_linalg import matmul
from tfrecords_tools.synthetic.expression import (
    EYE_CENTER,
    OUTER_LOWER,
    OUTER_UPPER,
    fields,
    move_brows,
    move_lids,
    move_mouth,
)
from tfrecords_tools.synthetic.head import GRID_SHAPE, Head, mean_controls, surface
from wing_tf.landmarks import get_scheme

_BROW_SPACING = np.array([0, 0.24, 0.49, 0.743, 1])
_SPACED_LINES = (
    ([17, 18, 19, 20, 21], _BROW_SPACING),
    ([26, 25, 24, 23, 22], _BROW_SPACING),
    ([27, 28, 29, 30], np.linspace(0, 1, 4)),
)

# Where annotators put landmarks of the left half relative to the control points, in millimeters to
# the right and down, so that a network has the same mean error on rendered and on real faces.
_ANNOTATED_MM = {
    **{18: (0.4, 0), 19: (0.7, 0), 20: (0.6, 0.3), 21: (0, 0.9), 30: (0, -0.8), 31: (1.2, 0.7)},
    **{32: (0.6, 0.5), 39: (-0.4, 0), 40: (-0.5, 0.2), 48: (1.1, -0.2), 49: (1, 0.1)},
    **{50: (0.4, 0), 51: (0, 0.2), 58: (0.2, 0), 59: (0.7, 0), 60: (1.1, -0.7)},
}


@cache
def _annotated_offsets() -> np.ndarray:
    """Returns `[68, 2]` in millimeters."""
    offsets, flip = np.zeros((68, 2)), get_scheme("ibug_68").flip_permutation
    for number, offset in _ANNOTATED_MM.items():
        offsets[flip[number]] = np.multiply(offset, [-1, 1])
        offsets[number] = offset
    return offsets


@cache
def _noise_factor(length: float) -> np.ndarray:
    mean = mean_controls()
    squared = ((mean[:, None] - mean[None]) ** 2).sum(-1)
    kernel = np.exp(-0.5 * squared / length**2)
    # Rounded, because LAPACK's last bits depend on the number of threads.
    return np.round(np.linalg.cholesky(kernel + 1e-6 * np.eye(len(mean))), 9)


@cache
def _mirror_all() -> np.ndarray:
    mean = mean_controls()
    flipped = mean * [-1, 1, 1]
    order = ((flipped[:, None] - mean[None]) ** 2).sum(-1).argmin(1)
    order[:68] = get_scheme("ibug_68").flip_permutation
    return order


def _identity(rng: np.random.Generator) -> np.ndarray:
    mean, field = mean_controls(), fields()
    points = mean.copy()
    side = np.sign(mean[:, 0])
    draw = iter(np.clip(1.15 * rng.standard_normal(64), -3.0, 3.0))
    x, y, z = points.T  # Views of `points`, which the statements below change.
    x *= 1 + 0.050 * next(draw)
    x *= 1 + 0.040 * next(draw) * field["side"]
    x *= 1 + 0.056 * next(draw) * field["lower"]
    y *= np.where(y > 0, 1 + 0.045 * next(draw), 1 + 0.06 * next(draw))
    z *= 1 + 0.07 * next(draw)
    y += 3.5 * next(draw) * field["lower"]
    amount = next(draw)
    x += side * 3.6 * amount * field["gonion"]
    y += 3.5 * amount * field["gonion"]
    y += 4.0 * next(draw) * field["chin"]
    z += 4.0 * next(draw) * field["chin"]
    x *= 1 + 0.27 * next(draw) * field["chin"]
    y += 4.0 * next(draw) * field["under_chin"]
    amount = next(draw)
    x += side * 3.0 * amount * field["cheek"]
    z += 3.0 * amount * field["cheek"]
    x += side * 2.5 * next(draw) * field["cheekbone"]
    y += 3.2 * next(draw) * field["nose"]
    z += 3.0 * next(draw) * field["nose"]
    x *= 1 + 0.15 * next(draw) * field["nose"]
    y -= 2.0 * next(draw) * field["tip"]
    z += 2.5 * next(draw) * field["bridge"]
    x += side * 1.7 * next(draw) * field["eye"]
    x += (np.abs(mean[:, 0]) - EYE_CENTER) * side * 0.08 * next(draw) * field["eye"]
    y += (mean[:, 1] - 1.5) * 0.18 * next(draw) * field["eye"]
    y += (np.abs(mean[:, 0]) - EYE_CENTER) * 0.06 * next(draw) * field["eye"]
    z += 1.5 * next(draw) * field["eye"]
    y += 2.8 * next(draw) * field["brow"]
    y += 0.07 * next(draw) * (np.abs(mean[:, 0]) - 36) * field["brow"]
    y -= 1.6 * next(draw) * field["arch"]
    amount = next(draw)
    x += side * 1.8 * amount * field["brow_end"]
    y += 1.2 * amount * field["brow_end"]
    x += side * 2.5 * next(draw) * field["glabella"]
    z += 1.8 * next(draw) * field["brow"]
    y += 2.2 * next(draw) * field["mouth"]
    x *= 1 + 0.07 * next(draw) * field["mouth"]
    z += 2.2 * next(draw) * field["mouth"]
    y[OUTER_UPPER] -= np.array([0.5, 1, 0.9, 1, 0.5]) * 1.3 * next(draw)
    y[OUTER_LOWER] += np.array([0.5, 1, 1.1, 1, 0.5]) * 1.6 * next(draw)
    y *= np.where(mean[:, 1] < -25, 1 + 0.05 * next(draw) * field["forehead"], 1)
    factor = _noise_factor(16.0)
    noise = matmul(factor, rng.standard_normal((len(mean), 3))) * [1.6, 1.6, 1.1]
    mirrored = noise[_mirror_all()] * [-1, 1, 1]
    # Both halves share about two thirds of the noise, because faces are nearly symmetric.
    points += 0.62 * (noise + mirrored) + 0.38 * (noise - mirrored)
    return points


def random_head(rng: np.random.Generator) -> Head:
    """Draws a head with a random identity and expression, in the head frame.

    Args:
        rng: Generator, the only source of randomness.
    """
    points = _identity(rng)
    raised = move_brows(points, rng)
    smile = move_mouth(points, rng)
    gaps = move_lids(points, smile, rng)
    landmarks = points[:68].copy()
    landmarks[:, :2] += _annotated_offsets()
    # Annotators distribute landmarks evenly along the brows and the bridge of the nose.
    for line, spacing in _SPACED_LINES:
        landmarks[line] = spaced_along(landmarks[line], spacing, lambda path: path[:, :2])
    return Head(
        vertices=surface(points, *GRID_SHAPE),
        landmarks=landmarks,
        eye_gaps=gaps,
        mouth_gap=float(max(points[66, 1] - points[62, 1], 0.2)),
        smile=smile,
        brow_raise=raised,
    )
