"""Landmarks at impossible places: at one point, outside of the image, or with x and y exchanged."""

import numpy as np

from tfrecords_tools.inspection.face_table import FaceTable
from tfrecords_tools.inspection.swapped_landmarks import has_limbs, symmetric_pairs
from wing_tf.geometry import apply_affine, fit_similarity
from wing_tf.landmarks import LandmarkScheme

MAX_OUTSIDE = 0.25  # fraction of a face's landmarks
OUTSIDE_TOLERANCE = 0.25
_MIN_COINCIDENT = 3
_MIN_DISTANCE = 0.25  # in the mean shape, of two landmarks that may not coincide
_MARKS_PX = ((0.0, 0.0), (-1.0, -1.0))
_MARK_TOLERANCE_PX = 0.02
_STEEPNESS = 1.75  # 60 degrees
_MIN_GAP = 0.25  # of pairs, over the longer side of the landmark box: profiles have less
_MOSTLY = 0.2  # fraction of the faces that does not lie on the side by chance
_BETTER = 0.7


def coincident_landmarks(table: FaceTable, mean: np.ndarray | None) -> np.ndarray:
    """Returns which landmarks [N, K] are exactly where other landmarks of their face are.

    Two landmarks may coincide, such as those of closed lips. Three may not, nor may two that are
    apart in the mean shape.

    Args:
        table: The faces.
        mean: Mean shape [K, 2] with a root mean square distance of 1 from the center, if any.
    """
    landmarks = table.landmarks_square_px
    found = np.zeros(landmarks.shape[:2], bool)
    apart = np.zeros((landmarks.shape[1],) * 2, bool)
    if mean is not None:
        apart = np.linalg.norm(mean[:, None] - mean, axis=-1) > _MIN_DISTANCE
    for face, points in enumerate(landmarks):
        _, codes, counts = np.unique(points, axis=0, return_inverse=True, return_counts=True)
        for code in np.flatnonzero(counts > 1):
            same = np.flatnonzero(codes.ravel() == code)
            if np.isfinite(points[same]).all() and (
                len(same) >= _MIN_COINCIDENT or apart[np.ix_(same, same)].any()
            ):
                found[face, same] = True
    return found


def marks_of_missing_points(table: FaceTable) -> np.ndarray:
    """Returns which landmarks [N, K] are at 0,0 or -1,-1 in the source image."""
    found = np.zeros(table.visibility.shape, bool)
    for start in range(0, len(table), 4096):
        rows = np.arange(start, min(start + 4096, len(table)))
        points = table.landmarks_source_px(rows)
        for mark in _MARKS_PX:
            # Source pixels are computed from float32 square pixels.
            tolerance = _MARK_TOLERANCE_PX * np.maximum(1, table.source_px_per_square_px[rows])
            near = np.abs(points - mark).max(axis=-1) <= tolerance[:, None]
            found[rows] |= near
    return found


def landmarks_outside_image(table: FaceTable, tolerance: float = 0.0) -> np.ndarray:
    """Returns which landmarks [N, K] lie outside of the source image.

    Of records without its size, only those to the left of it and above it are known.

    Args:
        table: The faces.
        tolerance: Distance from the image that does not count, as a fraction of the median distance
            of the face's landmarks from their center, which a stray one does not change.
    """
    found = np.zeros(table.visibility.shape, bool)
    for start in range(0, len(table), 4096):
        rows = np.arange(start, min(start + 4096, len(table)))
        points = table.landmarks_source_px(rows)
        width_height = table.source_size_hw[rows, None, ::-1]
        radius = np.linalg.norm(points - np.nanmedian(points, axis=1, keepdims=True), axis=-1)
        slack = 0.01 + tolerance * np.nanmedian(radius, axis=1)[:, None, None]
        with np.errstate(invalid="ignore"):  # NaN: not annotated, or an unknown size
            outside = (points < -0.5 - slack) | (points > width_height - 0.5 + slack)
        found[rows] = outside.any(axis=-1)
    return found


def sideways_faces(table: FaceTable, mean: np.ndarray | None) -> np.ndarray:
    """Returns which faces [N] look as if x and y were exchanged.

    Their left and right landmarks are above each other. If such faces are few, which then may
    belong to people who lie down, they must also fit the mean shape better with x and y exchanged.

    Args:
        table: The faces. There are none in schemes of bodies, or without symmetric pairs.
        mean: Mean shape [K, 2], if any.
    """
    scheme = table.records.scheme
    landmarks = table.landmarks_square_px.astype(np.float64)
    sideways = _sideways(landmarks, scheme)
    if sideways.mean() > _MOSTLY or mean is None:
        return sideways & (sideways.mean() > _MOSTLY)
    few = np.flatnonzero(sideways)
    shapes = landmarks[few]
    exchanged = _distance(shapes[..., ::-1], mean) < _BETTER * _distance(shapes, mean)
    sideways[few] = exchanged
    return sideways


def _sideways(landmarks: np.ndarray, scheme: LandmarkScheme) -> np.ndarray:
    pairs = symmetric_pairs(scheme)
    if not len(pairs) or has_limbs(scheme):
        return np.zeros(len(landmarks), bool)
    known = np.isfinite(landmarks).all(axis=-1)
    gaps = np.abs(landmarks[:, pairs[:, 0]] - landmarks[:, pairs[:, 1]])
    both = known[:, pairs].all(axis=-1)
    total = np.sum(np.where(both[..., None], gaps, 0.0), axis=1)
    across, along = (total / np.maximum(both.sum(axis=1), 1)[:, None]).T
    low = np.min(np.where(known[..., None], landmarks, np.inf), axis=1)
    high = np.max(np.where(known[..., None], landmarks, -np.inf), axis=1)
    side = np.where(known.any(axis=1), np.max(high - low, axis=1), 0.0)
    return (along > _STEEPNESS * across) & (along > _MIN_GAP * side) & both.any(axis=1)


def _distance(shapes: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Returns the mean distances [n] of shapes [n, K, 2] from the mean shape, when aligned."""
    known = np.isfinite(shapes).all(axis=-1)
    filled = np.where(known[..., None], shapes, 0.0)
    matrix = fit_similarity(filled, mean, weights=known.astype(float))
    distance = np.linalg.norm(apply_affine(matrix, filled) - mean, axis=-1)
    return np.sum(np.where(known, distance, 0), axis=1) / np.maximum(known.sum(axis=1), 1)
