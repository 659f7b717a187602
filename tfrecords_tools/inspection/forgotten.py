"""Pairs of points that a mark-up does not declare although they mirror each other.

Flips would leave such points where they are, and teach a network that left is right.
"""

import numpy as np

from tfrecords_tools.inspection.swaps import symmetric_pairs
from wing_tf.geometry import procrustes
from wing_tf.landmarks import LandmarkScheme

# In units of the mean shape's size. On 300-W the chin, which is marked where heads turn to, is .06
# away from the mirror line; the inner corners of the lips .15.
_LEAST_FROM_LINE = 0.05
_MOST_OFF = 0.5  # from the other's mirror image, over the distance of the two


def forgotten_pairs(shapes_px: np.ndarray, scheme: LandmarkScheme) -> list[tuple[int, int]]:
    """Returns points that are in no pair, but mirror each other in the mean shape.

    The mirror line is that of the declared pairs: without any, nothing says that the objects are
    symmetric, and none is returned; nor where the declared pairs don't mirror each other, as of
    objects that turn round.

    Args:
        shapes_px: [N, K, 2], in any pixels; NaN where missing.
        scheme: gives the declared pairs.

    Raises:
        ValueError: if there is no mean shape.
    """
    pairs = symmetric_pairs(scheme)
    alone = np.flatnonzero(np.array(scheme.flip_permutation) == np.arange(scheme.num_landmarks))
    if not len(pairs) or len(alone) < 2:
        return []
    # Not made symmetric: that would put all points without a partner on the mirror line.
    mean, _ = procrustes(shapes_px)
    normal, offset = _mirror_line(mean, pairs)

    def mirrored(points):
        return points - 2 * (points @ normal - offset)[..., None] * normal

    def off(first, second):
        """Distances from mirror images, over the distances of the points; infinite at 0."""
        apart = np.linalg.norm(first - second, axis=-1)
        away = np.linalg.norm(mirrored(first) - second, axis=-1)
        return np.divide(away, apart, out=np.full(away.shape, np.inf), where=apart > 0)

    if np.median(off(mean[pairs[:, 0]], mean[pairs[:, 1]])) > _MOST_OFF:
        return []
    points = mean[alone]
    side = points @ normal - offset
    opposite = (side[:, None] > _LEAST_FROM_LINE) & (side < -_LEAST_FROM_LINE)
    ratio = np.where(opposite, off(points[:, None], points), np.inf)
    ratio = np.minimum(ratio, ratio.T)
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


def _mirror_line(shape: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the unit normal n [2] and the offset o of the line x . n = o.

    For a pair a, b, the mirror image of b is off a by t . (a - b) along the line and by
    n . (a + b) - 2 o across it; the sum of squares over all pairs is least for o at the middles'
    mean, and for n, the eigenvector of the smallest value of a 2 x 2 matrix.
    """
    first, second = shape[pairs[:, 0]], shape[pairs[:, 1]]
    middles, between = (first + second) / 2, first - second
    centred = middles - middles.mean(axis=0)
    _, vectors = np.linalg.eigh(4 * centred.T @ centred - between.T @ between)
    normal = vectors[:, 0]
    return normal, float(middles.mean(axis=0) @ normal)
