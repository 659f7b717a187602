"""Comparison of a scheme's flip pairs with the symmetry of the mean shape.

A flip permutes the declared pairs. If a pair is missing or has wrong indices, a network learns to
confuse left and right.
"""

import dataclasses

import numpy as np
from scipy.optimize import linear_sum_assignment

from tfrecords_tools.inspection.swapped_landmarks import symmetric_pairs
from wing_tf.geometry import procrustes
from wing_tf.landmarks import LandmarkScheme

# Thresholds in units of the size of the mean shape. In that of all 300-W faces, no landmark is
# further than .02 from the mirror image of its partner (of 30 faces: .11); of faces that are
# rotated to one side, .4 and more. Of random shapes of five landmarks or more, the mean is at least
# .2.
_MAX_ASYMMETRY = 0.1  # mean distance; above it, the object is not symmetric or seen from one side
_MAX_PARTNER_DISTANCE = 0.25  # from a landmark to the mirror image of its partner
_MIN_LINE_DISTANCE = 0.05  # on 300-W at most .06 for the chin, and .15 for the inner lips
_MIN_LANDMARKS = 5  # fewer may form a symmetric shape by chance

# If the mean is not symmetric: distance to the mirror image, over the distance of the pair.
_MAX_RELATIVE_DISTANCE = 0.5


@dataclasses.dataclass(frozen=True)
class PairErrors:
    """Errors of a scheme's flip pairs.

    Attributes:
        asymmetric: Declared pairs that do not mirror each other in the mean shape.
        suggested: Pairs that do, of landmarks in ``asymmetric``.
        undeclared: Pairs that do, of landmarks that are in no declared pair.
    """

    asymmetric: list[tuple[int, int]]
    suggested: list[tuple[int, int]]
    undeclared: list[tuple[int, int]]


def find_pair_errors(shapes_px: np.ndarray, scheme: LandmarkScheme) -> PairErrors:
    """Compares declared flip pairs with the mean shape.

    If the mean shape is symmetric, it determines the pairs. If it is not, as of faces that are
    mostly seen from one side, the declared pairs are assumed to be right and determine a mirror
    line, by which some undeclared pairs are found.

    Args:
        shapes_px: [N, K, 2], in any pixel frame, upright on average; NaN where not annotated.
        scheme: Landmark scheme.

    Raises:
        ValueError: If there is no mean shape.
    """
    flip = np.array(scheme.flip_permutation)
    # Not made symmetric, which would move all landmarks without a partner to the mirror line.
    mean, _ = procrustes(shapes_px)
    declared = symmetric_pairs(scheme)
    mirrored, partner = _mirror_symmetry(mean)
    asymmetry = np.mean(np.linalg.norm(mirrored - mean[partner], axis=1))
    if asymmetry > _MAX_ASYMMETRY or len(mean) < _MIN_LANDMARKS:
        return PairErrors([], [], _undeclared_by_line(mean, declared, flip))
    distance = np.linalg.norm(mirrored[declared[:, 0]] - mean[declared[:, 1]], axis=1)
    wrong = (distance > _MAX_PARTNER_DISTANCE) & (partner[declared[:, 0]] != declared[:, 1])
    apart = np.linalg.norm(mirrored - mean, axis=1) > 2 * _MIN_LINE_DISTANCE
    found = {(i, int(j)) for i, j in enumerate(partner) if i < j and partner[j] == i and apart[i]}
    doubtful = set(declared[wrong].ravel().tolist())
    return PairErrors(
        asymmetric=[(int(a), int(b)) for a, b in declared[wrong]],
        suggested=sorted(pair for pair in found if doubtful & set(pair)),
        undeclared=sorted(pair for pair in found if all(flip[i] == i for i in pair)),
    )


def _mirror_symmetry(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns a shape [K, 2] mirrored left to right, and the landmark [K] that each falls on."""
    mirrored = mean * [-1.0, 1.0]
    for _ in range(5):
        distances = np.linalg.norm(mirrored[:, None] - mean, axis=-1)
        first, second = linear_sum_assignment(distances**2)
        mirrored = _mirror(mean, *_mirror_line(mean, np.stack([first, second], axis=1)))
    return mirrored, second


def _mirror(points: np.ndarray, normal: np.ndarray, offset: float) -> np.ndarray:
    return points - 2 * (points @ normal - offset)[..., None] * normal


def _mirror_line(shape: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the unit normal n [2] and the offset o of the mirror line x . n = o.

    The mirror image of b in a pair a, b misses a by t . (a - b) along the line and by
    n . (a + b) - 2 o across it. The sum of squares is minimal if o is at the mean of the midpoints
    and n is the eigenvector of the smallest eigenvalue of a 2 x 2 matrix.
    """
    first, second = shape[pairs[:, 0]], shape[pairs[:, 1]]
    midpoints, difference = (first + second) / 2, first - second
    centered = midpoints - midpoints.mean(axis=0)
    _, vectors = np.linalg.eigh(4 * centered.T @ centered - difference.T @ difference)
    normal = vectors[:, 0]
    return normal, float(midpoints.mean(axis=0) @ normal)


def _undeclared_by_line(
    mean: np.ndarray, declared: np.ndarray, flip: np.ndarray
) -> list[tuple[int, int]]:
    """Returns undeclared pairs that mirror each other at the line of the declared pairs."""
    unpaired = np.flatnonzero(flip == np.arange(len(flip)))
    if not len(declared) or len(unpaired) < 2:
        return []
    normal, offset = _mirror_line(mean, declared)

    def relative_distance(first, second):
        apart = np.linalg.norm(first - second, axis=-1)
        missed = np.linalg.norm(_mirror(first, normal, offset) - second, axis=-1)
        return np.divide(missed, apart, out=np.full(missed.shape, np.inf), where=apart > 0)

    declared_distance = relative_distance(mean[declared[:, 0]], mean[declared[:, 1]])
    if np.median(declared_distance) > _MAX_RELATIVE_DISTANCE:
        return []  # such as objects that are also seen from behind
    points = mean[unpaired]
    side = points @ normal - offset
    opposite = (side[:, None] > _MIN_LINE_DISTANCE) & (side < -_MIN_LINE_DISTANCE)
    distance = np.where(opposite, relative_distance(points[:, None], points), np.inf)
    found: list[tuple[int, int]] = []
    used: set[int] = set()
    for index in np.argsort(distance, axis=None):  # greedily, each landmark once
        first, second = map(int, np.unravel_index(index, distance.shape))
        if distance[first, second] > _MAX_RELATIVE_DISTANCE:
            break
        if not used & {first, second}:
            used |= {first, second}
            found.append((int(unpaired[min(first, second)]), int(unpaired[max(first, second)])))
    return sorted(found)
