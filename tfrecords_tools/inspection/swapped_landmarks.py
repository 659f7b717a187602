"""Search for faces whose left and right landmarks are swapped: all of them, or single pairs.

A yaw brings the landmarks of symmetric pairs closer together, all by the same factor, but never
past each other. A pair in the opposite direction of the mean shape's is therefore an error of the
annotation, a permutation or a flip. This holds for faces and for other objects that are seen from
one side. It does not hold for bodies, which may be seen from behind and cross their limbs, so they
are not checked. Other objects that are seen from behind show by too many faces that seem swapped.
"""

import dataclasses

import numpy as np

from wing_tf.geometry import apply_affine, fit_similarity
from wing_tf.landmarks import LandmarkScheme

# On 2342 faces of 300-W, no pair has a width below 0, and swapping all landmarks makes the distance
# at least 2.7 times larger. Of rendered faces up to +-90 degrees of yaw, none is below -.3, and the
# distance is at least .98 times as large.
_MAX_SWAPPED_RATIO = 0.7
_CERTAIN_RATIO = _MAX_SWAPPED_RATIO / 2
_REVERSED_WIDTH = -0.3
# Of the mean shape from itself with all landmarks swapped. On 300-W, .05 for the corners of the
# eyes, .53 for eyes and brows, .74 for the mouth, .99 for all landmarks.
_MAX_FLAT_DISTANCE = 0.6
_MIN_GAP = 0.05  # of a pair, in units of the mean shape's size; smaller ones may be noise
_MIN_WIDTH = 0.3  # of a face, as a fraction of the mean shape's
_MAX_MOSTLY_SWAPPED, _MAX_SWAPPED = 0.25, 0.5  # fractions of the faces that single errors can have
_CHUNK = 2048


@dataclasses.dataclass(frozen=True)
class SwappedLandmarks:
    """Faces with swapped landmarks.

    Attributes:
        faces: Indices of the faces of which all landmarks are swapped.
        pairs: Pairs to swap, by the index of the face.
        fraction_reversed: Fraction of faces that fit better when swapped, if it is too large for
            single errors: the objects are also seen from behind, or many have another order of
            landmarks. Then ``faces`` and ``pairs`` are empty.
    """

    faces: list[int]
    pairs: dict[int, list[tuple[int, int]]]
    fraction_reversed: float = 0.0


def symmetric_pairs(scheme: LandmarkScheme) -> np.ndarray:
    """Returns the pairs [P, 2] of landmarks that a flip permutes."""
    mirrored = np.array(scheme.flip_permutation)
    first = np.flatnonzero(np.arange(len(mirrored)) < mirrored)
    return np.stack([first, mirrored[first]], axis=1)


def has_limbs(scheme: LandmarkScheme) -> bool:
    """Whether a scheme has arms or legs."""
    return any(name.endswith(("_leg", "_arm")) for name in scheme.regions)


def find_swapped_landmarks(
    shapes_px: np.ndarray, mean: np.ndarray, scheme: LandmarkScheme
) -> SwappedLandmarks:
    """Finds faces that fit the mean shape much better when landmarks are swapped.

    Finds none in schemes of bodies, or without symmetric pairs.

    Args:
        shapes_px: [N, K, 2], in any pixel frame; NaN where not annotated.
        mean: [K, 2], symmetric, as of `wing_tf.geometry.procrustes`.
        scheme: Landmark scheme.
    """
    swapped = SwappedLandmarks([], {})
    pairs = symmetric_pairs(scheme)
    if not len(pairs) or has_limbs(scheme):
        return swapped
    alignment = _Alignment(mean, pairs)
    permutation = np.array(scheme.flip_permutation)
    for start in range(0, len(shapes_px), _CHUNK):
        shapes = shapes_px[start : start + _CHUNK].astype(np.float64)
        before, after_all = alignment.distance(shapes), alignment.distance(shapes[:, permutation])
        reversed_pair = (alignment.widths(alignment.align(shapes)) < 0).any(axis=1)
        doubtful = reversed_pair | (after_all < _MAX_SWAPPED_RATIO * before)
        for face in np.flatnonzero(doubtful):
            if after_all[face] < _CERTAIN_RATIO * before[face]:
                swapped.faces.append(start + int(face))
                continue
            found, after_pairs = _swap_pairs(alignment, shapes[face : face + 1])
            if after_all[face] < min(_MAX_SWAPPED_RATIO * before[face], after_pairs):
                swapped.faces.append(start + int(face))
            elif found:
                swapped.pairs[start + int(face)] = found
    # If objects are also seen from behind, the pairs of the mean nearly coincide. Then half of the
    # pairs of nearly all faces seem swapped.
    half = max(2, len(pairs) // 2)
    mostly = len(swapped.faces) + sum(len(found) >= half for found in swapped.pairs.values())
    total = len(swapped.faces) + len(swapped.pairs)
    if mostly > _MAX_MOSTLY_SWAPPED * len(shapes_px) or total > _MAX_SWAPPED * len(shapes_px):
        return SwappedLandmarks([], {}, total / len(shapes_px))
    return swapped


class _Alignment:
    """Alignment of shapes to a mean shape, and the widths of their pairs.

    Landmarks on a line, such as the corners of the eyes, fit as well when they are swapped and
    turned by 180 degrees. Then shapes are turned by 90 degrees at most.
    """

    def __init__(self, mean, pairs):
        self.mean, self.pairs = mean, pairs
        self.mean_difference = mean[pairs[:, 0]] - mean[pairs[:, 1]]
        self.upright = False
        swapped = mean.copy()
        swapped[pairs] = mean[pairs[:, ::-1]]
        self.upright = bool(self.distance(swapped) < _MAX_FLAT_DISTANCE)

    def align(self, shapes, used=None):
        present = np.isfinite(shapes).all(axis=-1)
        weights = present if used is None else present & used
        filled = np.where(present[..., None], shapes, 0.0)
        matrix = fit_similarity(filled, self.mean, weights=weights.astype(float))
        if self.upright:  # The cosine and the sine are fitted independently of each other.
            cosine = np.minimum(matrix[..., 0, 0], 0.0)[..., None]
            total = np.maximum(weights.sum(axis=-1), 1)[..., None]
            center = np.sum(np.where(weights[..., None], filled, 0.0), axis=-2) / total
            matrix[..., [0, 1], [0, 1]] -= cosine
            matrix[..., 2] += cosine * center
        return np.where(present[..., None], apply_affine(matrix, filled), np.nan)

    def distance(self, shapes):
        """Returns root mean square distances [...] of the aligned annotated landmarks."""
        squares = np.sum((self.align(shapes) - self.mean) ** 2, axis=-1)
        present = np.isfinite(squares)
        total = np.sum(np.where(present, squares, 0.0), axis=-1)
        return np.sqrt(total / np.maximum(present.sum(axis=-1), 1))

    def widths(self, aligned):
        """Returns widths [..., P] of pairs in the mean's direction, over the mean's; 1 if NaN."""
        difference = aligned[..., self.pairs[:, 0], :] - aligned[..., self.pairs[:, 1], :]
        projected = np.sum(difference * self.mean_difference, axis=-1)
        width = projected / np.sum(self.mean_difference**2, axis=-1)
        return np.where(np.isfinite(width), width, 1.0)


def _swap_pairs(alignment: _Alignment, shape: np.ndarray) -> tuple[list[tuple[int, int]], float]:
    """Swaps pairs of one face [1, K, 2] while that reduces its distance; returns both."""
    pairs = alignment.pairs
    count = len(pairs)
    # Each pair is measured after an alignment by all other landmarks.
    used = np.ones((count, shape.shape[1]), bool)
    used[np.arange(count)[:, None], pairs] = False
    swapped: list[tuple[int, int]] = []
    best = float(alignment.distance(shape)[0])
    for _ in range(count // 2):  # with more, the remaining pairs would be the swapped ones
        aligned = alignment.align(np.repeat(shape, count, axis=0), used)
        width = np.diagonal(alignment.widths(aligned))
        gap = np.abs(width) * np.linalg.norm(alignment.mean_difference, axis=-1)
        typical = max(float(np.median(np.abs(width))), _MIN_WIDTH)
        candidates = np.flatnonzero((width < _REVERSED_WIDTH * typical) & (gap > _MIN_GAP))
        if not len(candidates):
            break
        tries = np.repeat(shape, len(candidates), axis=0)
        for attempt, pair in zip(tries, candidates, strict=True):
            attempt[pairs[pair]] = attempt[pairs[pair][::-1]]
        distances = alignment.distance(tries)
        chosen = int(np.argmin(distances))
        if distances[chosen] >= best:
            break
        best, shape = float(distances[chosen]), tries[chosen : chosen + 1]
        first, second = pairs[candidates[chosen]].tolist()
        swapped.append((first, second))
    return sorted(swapped), best


def find_reversed_pairs(mean: np.ndarray, scheme: LandmarkScheme) -> list[tuple[int, int]]:
    """Returns pairs of eyes and brows whose left landmark is on the right in the mean shape.

    If all faces have the same error, none differs from the mean. In schemes of faces, "left" is the
    left of the image.
    """
    found = []
    for first, second in symmetric_pairs(scheme).tolist():
        for region in ("left_eye", "left_brow"):
            members = scheme.regions.get(region, ())
            if first in members or second in members:
                left, right = (first, second) if first in members else (second, first)
                if mean[left, 0] > mean[right, 0]:
                    found.append((left, right))
    return found
