"""Faces whose left and right points are exchanged: all of them, or single pairs.

A head that turns brings the points of a symmetric pair closer together, all pairs by the same
factor, and never past each other; a pair that points the other way than the mean shape's is an
error of annotation, of a permutation, or of a flip. That holds for faces, and for any object that
shows one side; bodies turn round and cross their limbs, so they are not judged. Other objects that
turn round give themselves away: too many of them seem to be exchanged.
"""

import dataclasses

import numpy as np

from wing_tf.geometry import apply_affine, fit_similarity
from wing_tf.landmarks import LandmarkScheme

# On 2342 faces of 300-W no pair is below 0, and exchanging all points makes the distance 2.7 times
# larger at least; of rendered faces up to +-90 degrees of yaw, none is below -.3, and .98 times.
_WHOLE = 0.7
_CERTAIN = _WHOLE / 2
_REVERSED = -0.3
_LEAST_GAP = 0.05  # of a pair, in units of the mean shape's size: what is nearer may be noise
_LEAST_WIDTH = 0.3  # of a face, in shares of the mean shape's
_MOST_WHOLE, _MOST_ODD = 0.25, 0.5  # of the faces: more are no slips
_CHUNK = 2048


@dataclasses.dataclass(frozen=True)
class SwappedLandmarks:
    """What was found.

    Attributes:
        whole: numbers of the faces that fit with all points exchanged.
        pairs: by number of a face, the pairs to exchange.
        turned: the share of faces that fit better when exchanged, where it is too large for
            slips: the objects turn round, or many have another order of points. Then none is named.
    """

    whole: list[int]
    pairs: dict[int, list[tuple[int, int]]]
    turned: float = 0.0


def symmetric_pairs(scheme: LandmarkScheme) -> np.ndarray:
    """Returns the pairs [P, 2] of points that a flip exchanges."""
    mirrored = np.array(scheme.flip_permutation)
    first = np.flatnonzero(np.arange(len(mirrored)) < mirrored)
    return np.stack([first, mirrored[first]], axis=1)


def has_limbs(scheme: LandmarkScheme) -> bool:
    """Whether a scheme has arms or legs."""
    return any(name.endswith(("_leg", "_arm")) for name in scheme.regions)


def find_swapped_landmarks(
    shapes_px: np.ndarray, mean: np.ndarray, scheme: LandmarkScheme
) -> SwappedLandmarks:
    """Returns the faces whose points fit the mean shape much better when exchanged.

    None for marks-up of bodies, and for those without pairs.

    Args:
        shapes_px: [N, K, 2], in any pixels; NaN where missing.
        mean: [K, 2], of `wing_tf.geometry.procrustes`, symmetric.
        scheme: gives the pairs.
    """
    swaps = SwappedLandmarks([], {})
    pairs = symmetric_pairs(scheme)
    if not len(pairs) or has_limbs(scheme):
        return swaps
    for start in range(0, len(shapes_px), _CHUNK):
        shapes = shapes_px[start : start + _CHUNK].astype(np.float64)
        here = _Faces(shapes, mean, pairs, np.array(scheme.flip_permutation))
        before, whole = here.distance(shapes), here.distance(shapes[:, here.mirrored])
        doubtful = (here.widths(here.align(shapes)) < 0).any(axis=1) | (whole < _WHOLE * before)
        for face in np.flatnonzero(doubtful):
            if whole[face] < _CERTAIN * before[face]:
                swaps.whole.append(start + int(face))
                continue
            found, after = _exchange(here, shapes[face : face + 1])
            if whole[face] < min(_WHOLE * before[face], after):
                swaps.whole.append(start + int(face))
            elif found:
                swaps.pairs[start + int(face)] = found
    # Of objects that turn round, the mean's pairs may all but coincide: then half of a face's pairs
    # are odd, in nearly all faces.
    half = max(2, len(pairs) // 2)
    mostly = len(swaps.whole) + sum(len(found) >= half for found in swaps.pairs.values())
    odd = len(swaps.whole) + len(swaps.pairs)
    if mostly > _MOST_WHOLE * len(shapes_px) or odd > _MOST_ODD * len(shapes_px):
        return SwappedLandmarks([], {}, odd / len(shapes_px))
    return swaps


class _Faces:
    """Alignment of faces to a mean shape, and their pairs' widths."""

    def __init__(self, shapes, mean, pairs, mirrored):
        self.mean, self.pairs, self.mirrored = mean, pairs, mirrored
        self.apart = mean[pairs[:, 0]] - mean[pairs[:, 1]]

    def align(self, shapes, used=None):
        present = np.isfinite(shapes).all(axis=-1)
        weights = present if used is None else present & used
        filled = np.where(present[..., None], shapes, 0.0)
        matrix = fit_similarity(filled, self.mean, weights=weights.astype(float))
        return np.where(present[..., None], apply_affine(matrix, filled), np.nan)

    def distance(self, shapes):
        """Root mean square distances [...] of the aligned points that are there."""
        squares = np.sum((self.align(shapes) - self.mean) ** 2, axis=-1)
        present = np.isfinite(squares)
        total = np.sum(np.where(present, squares, 0.0), axis=-1)
        return np.sqrt(total / np.maximum(present.sum(axis=-1), 1))

    def widths(self, aligned):
        """How far [..., P] pairs point the mean shape's way, over its own; 1 where missing."""
        between = aligned[..., self.pairs[:, 0], :] - aligned[..., self.pairs[:, 1], :]
        width = np.sum(between * self.apart, axis=-1) / np.sum(self.apart**2, axis=-1)
        return np.where(np.isfinite(width), width, 1.0)


def _exchange(faces: _Faces, shape: np.ndarray) -> tuple[list[tuple[int, int]], float]:
    """Exchanges pairs of one face [1, K, 2] while that helps; returns them and the distance."""
    count = len(faces.pairs)
    # Each pair is judged by an alignment of all other points.
    used = np.ones((count, shape.shape[1]), bool)
    used[np.arange(count)[:, None], faces.pairs] = False
    exchanged: list[tuple[int, int]] = []
    best = float(faces.distance(shape)[0])
    for _ in range(count // 2):  # of more, those that were not exchanged would be the odd ones
        aligned = faces.align(np.repeat(shape, count, axis=0), used)
        own = np.diagonal(faces.widths(aligned))
        gap = np.abs(own) * np.linalg.norm(faces.apart, axis=-1)
        usual = max(float(np.median(np.abs(own))), _LEAST_WIDTH)
        candidates = np.flatnonzero((own < _REVERSED * usual) & (gap > _LEAST_GAP))
        if not len(candidates):
            break
        tries = np.repeat(shape, len(candidates), axis=0)
        for attempt, pair in zip(tries, candidates, strict=True):
            attempt[faces.pairs[pair]] = attempt[faces.pairs[pair][::-1]]
        distances = faces.distance(tries)
        chosen = int(np.argmin(distances))
        if distances[chosen] >= best:
            break
        best, shape = float(distances[chosen]), tries[chosen : chosen + 1]
        first, second = faces.pairs[candidates[chosen]].tolist()
        exchanged.append((first, second))
    return sorted(exchanged), best


def reversed_on_average(mean: np.ndarray, scheme: LandmarkScheme) -> list[tuple[int, int]]:
    """Returns pairs of eyes and brows whose left point is right of the other in the mean shape.

    Where all faces have the same fault, none differs from the mean. In marks-up of faces "left" is
    the image's left.
    """
    wrong = []
    for first, second in symmetric_pairs(scheme).tolist():
        for region in ("left_eye", "left_brow"):
            members = scheme.regions.get(region, ())
            if first in members or second in members:
                left, right = (first, second) if first in members else (second, first)
                if mean[left, 0] > mean[right, 0]:
                    wrong.append((left, right))
    return wrong
