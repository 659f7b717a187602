"""Symmetry checks and duplicate search on arrays, without records."""

import cv2
import numpy as np
import pytest
from dots import DotSource

from tfrecords_tools.duplicates import MAX_DISTANCE, find_duplicates, image_hash
from tfrecords_tools.inspection.flip_pairs import PairErrors, find_pair_errors
from tfrecords_tools.inspection.swapped_landmarks import (
    SwappedLandmarks,
    find_swapped_landmarks,
    symmetric_pairs,
)
from tfrecords_tools.sources import Item, SyntheticSource
from tfrecords_tools.synthetic.random_head import random_head
from tfrecords_tools.synthetic.rasterizer import Camera
from wing_tf.geometry import procrustes
from wing_tf.geometry.pose import rotation_matrix
from wing_tf.landmarks import get_scheme, scheme_from_dict


def test_swapped_pair_is_found_among_five_landmarks():
    """Two swapped landmarks of five rotate the whole alignment."""
    source = DotSource(60)
    shapes = np.stack([source.load(item).landmarks_px for item in source.items()])
    mean, _ = procrustes(shapes, source.scheme.flip_permutation)
    assert symmetric_pairs(source.scheme).tolist() == [[0, 1], [3, 4]]
    shapes[7, [0, 1]] = shapes[7, [1, 0]]
    shapes[8, [3, 4]] = shapes[8, [4, 3]]
    shapes[9, 2] = np.nan
    swaps = find_swapped_landmarks(shapes, mean, source.scheme)
    assert swaps.faces == []
    assert swaps.pairs == {7: [(0, 1)], 8: [(3, 4)]}


def test_bodies_are_not_checked_for_swapped_landmarks():
    body = get_scheme("lsp_14")
    shapes = np.random.default_rng(0).normal(size=(20, 14, 2))
    shapes[1] = shapes[0, list(body.flip_permutation)]
    swaps = find_swapped_landmarks(shapes, shapes[0], body)
    assert (swaps.faces, swaps.pairs) == ([], {})


def _small_scheme(pairs, count=12):
    return scheme_from_dict({"name": f"face_{count}_test", "points": count, "pairs": pairs})


RIGHT_PAIRS = [[0, 3], [1, 2], [5, 6], [7, 8]]


@pytest.fixture(scope="module")
def small_faces():
    """12 of the 68 points of rendered faces of any pose, [200, 12, 2]."""
    picked = [36, 39, 42, 45, 30, 31, 35, 48, 54, 51, 57, 8]
    shapes = []
    for index in range(200):
        generator = np.random.default_rng([9, index])
        head = random_head(generator)
        yaw, pitch, roll = generator.normal(0, [25, 8, 8])
        camera = Camera(rotation_matrix(yaw, pitch, roll), 900.0, 1400.0, np.array([90.0, 90.0]))
        shapes.append(camera.project(head.landmarks[picked])[0])
    return np.array(shapes)


def _swaps(shapes, scheme):
    mean, _ = procrustes(shapes, scheme.flip_permutation)
    return find_swapped_landmarks(shapes, mean, scheme)


def test_swapped_landmarks_are_found_without_names_of_regions(small_faces):
    scheme = _small_scheme(RIGHT_PAIRS)
    assert list(scheme.regions) == ["all"]
    assert _swaps(small_faces, scheme) == SwappedLandmarks([], {})
    shapes = small_faces.copy()
    shapes[[3, 70]] = shapes[[3, 70]][:, list(scheme.flip_permutation)]
    shapes[11, [0, 3]] = shapes[11, [3, 0]]
    shapes[150, [7, 8]] = shapes[150, [8, 7]]
    assert _swaps(shapes, scheme) == SwappedLandmarks([3, 70], {11: [(0, 3)], 150: [(7, 8)]})


@pytest.mark.parametrize("count", [2, 4])
def test_swapped_landmarks_on_a_line_are_found(small_faces, count):
    """Corners of the eyes fit as well when they are swapped and turned by 180 degrees."""
    scheme = _small_scheme([[0, 1]] if count == 2 else [[0, 3], [1, 2]], count)
    shapes = small_faces[:, [0, 3] if count == 2 else [0, 1, 2, 3]].copy()
    assert _swaps(shapes, scheme) == SwappedLandmarks([], {})
    wrong = [3, 70, 150]
    shapes[wrong] = shapes[wrong][:, list(scheme.flip_permutation)]
    assert _swaps(shapes, scheme) == SwappedLandmarks(wrong, {})


@pytest.mark.parametrize("fraction", [0.3, 0.4, 0.5])
def test_too_many_swapped_faces_are_not_listed(small_faces, fraction):
    scheme = _small_scheme(RIGHT_PAIRS)
    shapes = small_faces.copy()
    count = int(fraction * len(shapes))
    shapes[:count] = shapes[:count][:, list(scheme.flip_permutation)]
    swaps = _swaps(shapes, scheme)
    assert (swaps.faces, swaps.pairs) == ([], {})
    assert swaps.fraction_reversed >= fraction
    fewer = small_faces.copy()
    fewer[:40] = fewer[:40][:, list(scheme.flip_permutation)]
    assert _swaps(fewer, scheme) == SwappedLandmarks(list(range(40)), {})


def _undeclared(shapes, pairs):
    errors = find_pair_errors(shapes, _small_scheme(pairs, shapes.shape[1]))
    assert errors.asymmetric == errors.suggested == []
    return errors.undeclared


def test_undeclared_pairs_are_found(small_faces):
    assert _undeclared(small_faces, RIGHT_PAIRS) == []
    for pair in RIGHT_PAIRS:
        others = [other for other in RIGHT_PAIRS if other != pair]
        assert _undeclared(small_faces, others) == [tuple(pair)]
        assert _undeclared(small_faces, [pair]) == [tuple(other) for other in others]
    assert _undeclared(small_faces, []) == [tuple(pair) for pair in RIGHT_PAIRS]
    # Landmarks that are not annotated are ignored.
    holes = small_faces.copy()
    holes[::3, 7] = np.nan
    assert _undeclared(holes, RIGHT_PAIRS[:3]) == [(7, 8)]


def test_undeclared_pairs_are_found_in_faces_seen_from_one_side(small_faces):
    """The mean is not symmetric, so the declared pairs determine the mirror line."""
    nose = small_faces[:, 4, 0] - small_faces[:, [0, 3], 0].mean(axis=1)
    rotated = small_faces[np.argsort(nose)[:60]]
    for faces in (rotated, rotated * [-1, 1]):
        pairs = RIGHT_PAIRS if faces is rotated else [pair[::-1] for pair in RIGHT_PAIRS]
        assert _undeclared(faces, pairs) == []
        assert _undeclared(faces, pairs[:3]) == [(7, 8)]
        assert _undeclared(faces, []) == []  # no mirror line


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        # Numbered consecutively instead of left and right.
        (
            [[0, 1], [2, 3], [5, 6], [7, 8]],
            PairErrors([(0, 1), (2, 3)], [(0, 3), (1, 2)], []),
        ),
        # Counted from 1.
        (
            [[1, 4], [2, 3], [6, 7], [8, 9]],
            PairErrors([(1, 4), (2, 3), (6, 7), (8, 9)], [(0, 3), (1, 2), (5, 6), (7, 8)], []),
        ),
        # The outer corner of one eye with the inner corner of the other.
        ([[0, 2], [1, 3], [5, 6]], PairErrors([(0, 2), (1, 3)], [(0, 3), (1, 2)], [(7, 8)])),
        # Two points of the lips on the mirror line.
        ([*RIGHT_PAIRS, [9, 10]], PairErrors([(9, 10)], [], [])),
    ],
)
def test_wrong_pairs_are_found_and_corrected(small_faces, pairs, expected):
    assert find_pair_errors(small_faces, _small_scheme(pairs)) == expected


def test_asymmetric_objects_have_no_undeclared_pairs():
    generator = np.random.default_rng(0)
    for count in (1, 2, 5, 21):  # objects without symmetry, such as hands
        for _ in range(20):
            shape = generator.normal(size=(count, 2))
            shapes = shape + generator.normal(0, 0.1, (40, count, 2))
            if count > 1:
                assert _undeclared(shapes, []) == []
    with pytest.raises(ValueError, match="coincide"):
        _undeclared(np.ones((4, 1, 2)), [])


def test_each_undeclared_pair_of_68_landmarks_is_found():
    scheme = get_scheme("ibug_68")
    heads = [random_head(np.random.default_rng([3, i])).landmarks for i in range(100)]
    shapes = np.array(heads)[..., :2]
    assert find_pair_errors(shapes, scheme) == PairErrors([], [], [])
    pairs = symmetric_pairs(scheme).tolist()
    for pair in pairs[::4]:
        assert _undeclared(shapes, [p for p in pairs if p != pair]) == [tuple(pair)]


def test_all_hashes_within_the_maximum_distance_are_found():
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 2**64, 600, np.uint64)
    for copy in range(200):  # 0 to 9 bits off
        bits = generator.choice(64, copy % 10, replace=False)
        hashes[400 + copy] = hashes[copy] ^ np.uint64(sum(1 << int(bit) for bit in bits))
    splits = np.array(["train"] * 350 + ["test"] * 150 + ["validation"] * 100)
    alike = np.tile(np.arange(256, dtype=np.uint8), (600, 1))
    distances = np.bitwise_count(hashes[:, None] ^ hashes)
    expected = np.argwhere((distances <= MAX_DISTANCE) & (splits[:, None] != splits))
    found = find_duplicates(hashes, alike, splits)
    assert {frozenset(pair) for pair in expected.tolist()} == {
        frozenset((pair.first, pair.second)) for pair in found
    }
    assert {(splits[pair.first], splits[pair.second]) for pair in found} == {
        ("test", "train"), ("validation", "train"),
    }  # fmt: skip
    noise = generator.integers(0, 256, (600, 256)).astype(np.uint8)
    assert find_duplicates(hashes, noise, splits) == []  # hashes agree, images do not


def test_number_of_duplicates_of_one_hash_is_limited():
    """100,000 uniform images share one hash: five million pairs, of which some are returned."""
    hashes = np.zeros(100_000, np.uint64)
    thumbnails = np.zeros((100_000, 256), np.uint8)
    splits = ["test"] * 50 + ["train"] * 99_950
    found = find_duplicates(hashes, thumbnails, splits)
    assert 10_000 < len(found) < 30_000
    assert {pair.first for pair in found} <= set(range(50))
    assert min(pair.second for pair in found) >= 50
    assert {(pair.distance, pair.correlation) for pair in found} == {(0, 1.0)}


def test_hash_survives_scaling_and_compression():
    face = SyntheticSource(num_train=1, image_size=256).load(Item("", "", "train", 0)).image
    _, jpeg = cv2.imencode(".jpg", cv2.resize(face, (128, 128)), [cv2.IMWRITE_JPEG_QUALITY, 40])
    ours, thumbnail = image_hash(face)
    theirs, other = image_hash(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
    mirrored, _ = image_hash(face[:, ::-1].copy())
    assert np.bitwise_count(ours ^ theirs) <= 4
    assert np.corrcoef(thumbnail, other)[0, 1] > 0.95
    assert np.bitwise_count(ours ^ mirrored) > 12
