"""Whether the pairs of points that a scheme declares are those that mirror each other.

Flips exchange what is declared: a pair that was forgotten, or put down by numbers that are off,
teaches a network that left is right.
"""

import dataclasses

import numpy as np
from scipy.optimize import linear_sum_assignment

from tfrecords_tools.inspection.swapped_landmarks import symmetric_pairs
from wing_tf.geometry import procrustes
from wing_tf.landmarks import LandmarkScheme

# In units of the mean shape's size. Of 300-W's faces, no point of the mean is further than .02 from
# the mirror image of its partner (of 30 faces: .11); of those that turn to one side, .4 and more.
# Of random shapes of five points and more, the average is .2 at least.
_MOST_ASYMMETRY = 0.1  # on average; what is more is no symmetric object, or is seen from one side
_WRONG = 0.25  # a partner's mirror image, from the point
_LEAST_FROM_LINE = 0.05  # on 300-W the chin is up to .06 away from it, the lips' inner points .15
_FEWEST = 5  # points, of which chance makes no symmetric shape

# From the other's mirror image, over the distance of the two, where the mean is not symmetric.
_MOST_OFF = 0.5


@dataclasses.dataclass(frozen=True)
class PairErrors:
    """What was found.

    Attributes:
        wrong: declared pairs that don't mirror each other in the mean shape.
        right: pairs that do, of points in ``wrong``.
        forgotten: pairs that do, of points that are in no pair.
    """

    wrong: list[tuple[int, int]]
    right: list[tuple[int, int]]
    forgotten: list[tuple[int, int]]


def find_pair_errors(shapes_px: np.ndarray, scheme: LandmarkScheme) -> PairErrors:
    """Compares declared pairs with the mean shape.

    Where the mean shape is its own mirror image, it says what mirrors what. Where it is not, as of
    faces that are mostly seen from one side, the declared pairs are taken for right, and give a
    mirror line by which some that were forgotten are still found.

    Args:
        shapes_px: [N, K, 2], in any pixels, upright on average; NaN where missing.
        scheme: gives the declared pairs.

    Raises:
        ValueError: if there is no mean shape.
    """
    flip = np.array(scheme.flip_permutation)
    # Not made symmetric: that would put all points without a partner on the mirror line.
    mean, _ = procrustes(shapes_px)
    declared = symmetric_pairs(scheme)
    mirrored, partner = _symmetry(mean)
    asymmetry = np.mean(np.linalg.norm(mirrored - mean[partner], axis=1))
    if asymmetry > _MOST_ASYMMETRY or len(mean) < _FEWEST:
        return PairErrors([], [], _forgotten_by_line(mean, declared, flip))
    off = np.linalg.norm(mirrored[declared[:, 0]] - mean[declared[:, 1]], axis=1)
    bad = (off > _WRONG) & (partner[declared[:, 0]] != declared[:, 1])
    apart = np.linalg.norm(mirrored - mean, axis=1) > 2 * _LEAST_FROM_LINE
    found = {(i, int(j)) for i, j in enumerate(partner) if i < j and partner[j] == i and apart[i]}
    doubtful = set(declared[bad].ravel().tolist())
    return PairErrors(
        wrong=[(int(a), int(b)) for a, b in declared[bad]],
        right=sorted(pair for pair in found if doubtful & set(pair)),
        forgotten=sorted(pair for pair in found if all(flip[i] == i for i in pair)),
    )


def _symmetry(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns a shape [K, 2] mirrored left to right, and which point [K] each one falls on."""
    mirrored = mean * [-1.0, 1.0]
    for _ in range(5):
        distances = np.linalg.norm(mirrored[:, None] - mean, axis=-1)
        first, second = linear_sum_assignment(distances**2)
        mirrored = _mirror(mean, *_mirror_line(mean, np.stack([first, second], axis=1)))
    return mirrored, second


def _mirror(points: np.ndarray, normal: np.ndarray, offset: float) -> np.ndarray:
    return points - 2 * (points @ normal - offset)[..., None] * normal


def _mirror_line(shape: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the unit normal n [2] and the offset o of the line x . n = o.

    For a pair a, b, the mirror image of b is off a by t . (a - b) along the line and by
    n . (a + b) - 2 o across it; the sum of squares over all pairs is least for o at the middles'
    mean, and for n, the eigenvector of the smallest value of a 2 x 2 matrix.
    """
    first, second = shape[pairs[:, 0]], shape[pairs[:, 1]]
    middles, between = (first + second) / 2, first - second
    centered = middles - middles.mean(axis=0)
    _, vectors = np.linalg.eigh(4 * centered.T @ centered - between.T @ between)
    normal = vectors[:, 0]
    return normal, float(middles.mean(axis=0) @ normal)


def _forgotten_by_line(
    mean: np.ndarray, declared: np.ndarray, flip: np.ndarray
) -> list[tuple[int, int]]:
    """Returns points in no pair that mirror each other at the line of the declared pairs."""
    alone = np.flatnonzero(flip == np.arange(len(flip)))
    if not len(declared) or len(alone) < 2:
        return []
    normal, offset = _mirror_line(mean, declared)

    def off(first, second):
        """Distances from mirror images, over the distances of the points; infinite at 0."""
        apart = np.linalg.norm(first - second, axis=-1)
        away = np.linalg.norm(_mirror(first, normal, offset) - second, axis=-1)
        return np.divide(away, apart, out=np.full(away.shape, np.inf), where=apart > 0)

    if np.median(off(mean[declared[:, 0]], mean[declared[:, 1]])) > _MOST_OFF:
        return []  # of objects that turn round, say
    points = mean[alone]
    side = points @ normal - offset
    opposite = (side[:, None] > _LEAST_FROM_LINE) & (side < -_LEAST_FROM_LINE)
    ratio = np.where(opposite, off(points[:, None], points), np.inf)
    found: list[tuple[int, int]] = []
    used: set[int] = set()
    for index in np.argsort(ratio, axis=None):  # the best first; each point once
        first, second = map(int, np.unravel_index(index, ratio.shape))
        if ratio[first, second] > _MOST_OFF:
            break
        if not used & {first, second}:
            used |= {first, second}
            found.append((int(alone[min(first, second)]), int(alone[max(first, second)])))
    return sorted(found)
