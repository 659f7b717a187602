"""Search for copies of images by perceptual hashes.

A hash is 64 bits of the image's lowest frequencies. Copies that were scaled, compressed or slightly
shifted differ in few of them. With many faces, some images of other people agree in as many bits,
so candidates are confirmed by the correlation of small gray images. On 2342 faces of 300-W, all
pairs within `MAX_DISTANCE` but one are copies, and the correlation of that one is below
`MIN_CORRELATION`.
"""

import collections
import dataclasses
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

HASHED_SIDE = 32
THUMBNAIL_SIDE = 16
MAX_DISTANCE = 7  # bits; guaranteed to be found by four bands with up to one wrong bit each
MIN_CORRELATION = 0.95
MIN_CONTRAST = 4.0  # standard deviation of the gray values of a thumbnail
_MAX_NEIGHBORS = 256  # of a query in a band, on either side
_MAX_PAIRS = 1_000_000
_CHUNK = 1 << 21
_BANDS, _BAND_BITS = 4, 16
# Each band mixes frequencies, because the lowest ones are similar in all faces.
_BIT_ORDER = np.arange(64).reshape(_BAND_BITS, _BANDS).T.ravel()


@dataclasses.dataclass(frozen=True)
class Duplicate:
    """Indices of two faces with nearly identical images."""

    first: int
    second: int
    distance: int
    correlation: float


def image_hash(image: np.ndarray) -> tuple[np.uint64, np.ndarray]:
    """Returns the perceptual hash of an image and its thumbnail.

    Args:
        image: uint8 RGB [side, side, 3], with a side of at least 32.

    Returns:
        64 bits that tell which of the lowest frequencies of the cosine transform of the 32 x 32
        gray image are above their median; and uint8 [256], the central three quarters at 16 x 16.
    """
    size = (HASHED_SIDE, HASHED_SIDE)
    gray = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    frequencies = cv2.dct(gray.astype(np.float32))
    low = np.append(frequencies[:8, :8].ravel()[1:], frequencies[0, 8])
    bits = (low > np.median(low))[_BIT_ORDER]
    edge = HASHED_SIDE // 8
    center = gray[edge:-edge, edge:-edge]  # excludes borders beyond the source image
    thumbnail = cv2.resize(center, (THUMBNAIL_SIDE,) * 2, interpolation=cv2.INTER_AREA)
    return np.packbits(bits).view(">u8").astype(np.uint64)[0], thumbnail.ravel()


def find_duplicates(
    hashes: np.ndarray, thumbnails: np.ndarray, splits: Sequence[str] | Sequence[int]
) -> list[Duplicate]:
    """Finds pairs of faces in different splits with nearly identical images.

    If each face is given a split of its own, such as ``range(N)``, these are all pairs.

    Two hashes that differ in at most 7 bits agree in one of four bands of 16 bits, except for at
    most one bit. Therefore each face of the smaller splits is looked up 4 x 17 times in the sorted
    hashes of the others, and compared with no more than the 512 nearest each time.

    Args:
        hashes: uint64 [N].
        thumbnails: uint8 [N, 256].
        splits: [N].

    Returns:
        Pairs by decreasing correlation; ``first`` is in the smaller split.
    """
    names, codes, counts = np.unique(np.asarray(splits), return_inverse=True, return_counts=True)
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(names))
    rank = rank[codes]
    queries = np.flatnonzero(rank < len(names) - 1)
    if not len(queries):
        return []
    found: set[tuple[int, int]] = set()
    for band in range(_BANDS):
        rotated = _rotate_bits(hashes, band * _BAND_BITS)
        order = np.argsort(rotated, kind="stable")
        for flip in (0, *(1 << bit for bit in range(_BAND_BITS))):
            wanted = rotated[queries] ^ np.uint64(flip << (64 - _BAND_BITS))
            for first, second in _candidates(rotated[order], order, queries, wanted):
                distance = np.bitwise_count(hashes[first] ^ hashes[second])
                good = (rank[first] < rank[second]) & (distance <= MAX_DISTANCE)
                first, second = first[good], second[good]
                good = _correlation(thumbnails, first, second) >= MIN_CORRELATION
                found.update(zip(first[good].tolist(), second[good].tolist(), strict=True))
                if len(found) > _MAX_PAIRS:
                    break
    if not found:
        return []
    first, second = np.array(sorted(found)).T
    distance = np.bitwise_count(hashes[first] ^ hashes[second])
    correlation = _correlation(thumbnails, first, second)
    order = np.argsort(-correlation, kind="stable")
    return [
        Duplicate(int(first[i]), int(second[i]), int(distance[i]), float(correlation[i]))
        for i in order
    ]


def find_copied_images(
    hashes: np.ndarray, thumbnails: np.ndarray, images: Sequence[str]
) -> dict[str, str]:
    """Returns images that share a face with another image.

    Copies of copies are copies, so that the images of one sequence belong together.

    Args:
        hashes: uint64 [N], of the faces.
        thumbnails: uint8 [N, 256].
        images: [N], names of the images that contain the faces.

    Returns:
        Dictionary of each image that has a copy, to the first of all its copies in alphabetic
        order. Images that are nearly uniform have no copy.
    """
    first_of: dict[str, str] = {}

    def find(image: str) -> str:
        while first_of.setdefault(image, image) != image:
            first_of[image] = image = first_of[first_of[image]]
        return image

    textured = np.flatnonzero(thumbnails.std(axis=1) >= MIN_CONTRAST)
    for pair in find_duplicates(hashes[textured], thumbnails[textured], range(len(textured))):
        first, second = sorted(find(images[textured[i]]) for i in (pair.first, pair.second))
        first_of[second] = first
    copies = {image: find(image) for image in sorted(first_of)}
    counts = collections.Counter(copies.values())
    return {image: first for image, first in copies.items() if counts[first] > 1}


def _rotate_bits(hashes: np.ndarray, bits: int) -> np.ndarray:
    """Rotates bits to the left, so that another band comes first."""
    if not bits:
        return hashes
    return (hashes << np.uint64(bits)) | (hashes >> np.uint64(64 - bits))


def _candidates(
    ordered: np.ndarray, order: np.ndarray, queries: np.ndarray, wanted: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields, in chunks, pairs of query and face that agree in the first band."""
    rest = np.uint64((1 << (64 - _BAND_BITS)) - 1)
    place = np.searchsorted(ordered, wanted)
    start = np.maximum(np.searchsorted(ordered, wanted & ~rest), place - _MAX_NEIGHBORS)
    end = np.searchsorted(ordered, wanted | rest, side="right")
    counts = np.minimum(end, place + _MAX_NEIGHBORS) - start
    totals = np.cumsum(counts)
    ends = np.searchsorted(totals, np.arange(_CHUNK, totals[-1] + _CHUNK, _CHUNK), side="right")
    for chunk in np.split(np.arange(len(queries)), np.unique(ends)):
        total = int(counts[chunk].sum())
        if total:
            offsets = np.cumsum(counts[chunk]) - counts[chunk]
            places = np.arange(total) + np.repeat(start[chunk] - offsets, counts[chunk])
            yield np.repeat(queries[chunk], counts[chunk]), order[places]


def _correlation(thumbnails: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the correlation coefficients of pairs of thumbnails; 1 if one is uniform."""
    a, b = (thumbnails[faces].astype(np.float32) for faces in (first, second))
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    size = np.sqrt(np.sum(a * a, axis=1) * np.sum(b * b, axis=1))
    return np.where(size > 0, np.sum(a * b, axis=1) / np.where(size > 0, size, 1), 1.0)
