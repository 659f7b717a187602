"""Search for landmarks that are far from where the other landmarks of their face suggest."""

import numpy as np

from tfrecords_tools.inspection.swapped_landmarks import has_limbs
from wing_tf.geometry import apply_affine, fit_similarity
from wing_tf.landmarks import LandmarkScheme

# Distances in units of the size of the mean shape. A stray landmark is several times as far away as
# most of its face, of which all are off in profiles, and as the same landmark in most faces, which
# varies more for jaws. On the 2342 faces of 300-W, none of 68 landmarks is stray, and of subsets of
# 4 to 51 at most 6; on 1500 rendered faces up to +-90 degrees of yaw, at most 2. Of landmarks that
# are moved by the side of the landmark box, it finds 97% of 68 and 93% of 8, but 42% of 5.
_FACE_QUANTILE, _MIN_FACE_RATIO = 0.75, 6.0
_LANDMARK_QUANTILE, _MIN_LANDMARK_RATIO = 0.9, 4.0
_MIN_TYPICAL = 0.1
_MIN_LANDMARKS = 4  # two of three determine the alignment, and the third may be anywhere
_MAX_START_RATIO = 3.0  # over the median distance from the center; 2.6 on 300-W
_MIN_SCALE = 0.05
_ITERATIONS = 10
_CHUNK = 2048


def find_stray_landmarks(
    shapes_px: np.ndarray, mean: np.ndarray, scheme: LandmarkScheme
) -> np.ndarray:
    """Returns which landmarks [N, K] are far from their place in the mean shape.

    Landmarks near the place of their partner are swapped, not stray. Finds none in schemes of
    bodies, whose limbs move, or of fewer than four landmarks.

    Args:
        shapes_px: [N, K, 2], in any pixel frame; NaN where not annotated.
        mean: [K, 2], as of `wing_tf.geometry.procrustes`.
        scheme: Landmark scheme.
    """
    if scheme.num_landmarks < _MIN_LANDMARKS or has_limbs(scheme):
        return np.zeros(shapes_px.shape[:2], bool)
    partners = mean[list(scheme.flip_permutation)]
    chunks = range(0, len(shapes_px), _CHUNK)
    aligned = [_align(shapes_px[i : i + _CHUNK].astype(np.float64), mean) for i in chunks]
    distance, from_partner = (
        np.concatenate([np.linalg.norm(shapes - target, axis=-1) for shapes in aligned])
        for target in (mean, partners)
    )
    of_face, of_landmark = (
        np.maximum(
            np.nanquantile(distance, quantile, axis=axis, keepdims=True, method="lower"),
            _MIN_TYPICAL,
        )
        for quantile, axis in ((_FACE_QUANTILE, 1), (_LANDMARK_QUANTILE, 0))
    )
    limit = np.maximum(_MIN_FACE_RATIO * of_face, _MIN_LANDMARK_RATIO * of_landmark)
    return np.fmin(distance, from_partner) > limit


def _align(shapes: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Returns shapes [n, K, 2] aligned to the mean shape by the landmarks that fit."""
    known = np.isfinite(shapes).all(axis=-1)
    filled = np.where(known[..., None], shapes, 0.0)

    def median(values):
        return np.nanmedian(np.where(known, values, np.nan), axis=1, keepdims=True)

    center = np.nanmedian(shapes, axis=1, keepdims=True)
    radius = np.linalg.norm(shapes - center, axis=-1)
    weights = (radius <= _MAX_START_RATIO * median(radius)).astype(float)
    for _ in range(_ITERATIONS):  # least squares with Cauchy weights
        aligned = apply_affine(fit_similarity(filled, mean, weights=weights), filled)
        distance = np.linalg.norm(aligned - mean, axis=-1)
        scale = np.maximum(median(distance), _MIN_SCALE)
        weights = known / (1 + (distance / scale) ** 2)
    return np.where(known[..., None], aligned, np.nan)
