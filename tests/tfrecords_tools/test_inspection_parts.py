"""The parts of inspection that need no records."""

import time

import cv2
import numpy as np
import pytest
from dots import DotSource

from tfrecords_tools.inspection.drawing import number_positions
from tfrecords_tools.inspection.duplicates import MAX_DISTANCE, find_duplicates, image_hash
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


def test_a_pair_of_few_points():
    """Of five points, two that are exchanged turn the whole alignment."""
    source = DotSource(60)
    shapes = np.stack([source.load(item).landmarks_px for item in source.items()])
    mean, _ = procrustes(shapes, source.scheme.flip_permutation)
    assert symmetric_pairs(source.scheme).tolist() == [[0, 1], [3, 4]]
    shapes[7, [0, 1]] = shapes[7, [1, 0]]
    shapes[8, [3, 4]] = shapes[8, [4, 3]]
    shapes[9, 2] = np.nan
    swaps = find_swapped_landmarks(shapes, mean, source.scheme)
    assert swaps.whole == []
    assert swaps.pairs == {7: [(0, 1)], 8: [(3, 4)]}


def test_bodies_may_turn_round():
    body = get_scheme("lsp_14")
    shapes = np.random.default_rng(0).normal(size=(20, 14, 2))
    shapes[1] = shapes[0, list(body.flip_permutation)]
    swaps = find_swapped_landmarks(shapes, shapes[0], body)
    assert (swaps.whole, swaps.pairs) == ([], {})


def _small_scheme(pairs, count=12):
    return scheme_from_dict({"name": "face_12_test", "points": count, "pairs": pairs})


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


def test_a_mark_up_of_ones_own_is_judged_without_names_of_regions(small_faces):
    scheme = _small_scheme(RIGHT_PAIRS)
    assert list(scheme.regions) == ["all"]
    assert _swaps(small_faces, scheme) == SwappedLandmarks([], {})
    shapes = small_faces.copy()
    shapes[[3, 70]] = shapes[[3, 70]][:, list(scheme.flip_permutation)]
    shapes[11, [0, 3]] = shapes[11, [3, 0]]
    shapes[150, [7, 8]] = shapes[150, [8, 7]]
    assert _swaps(shapes, scheme) == SwappedLandmarks([3, 70], {11: [(0, 3)], 150: [(7, 8)]})


@pytest.mark.parametrize("share", [0.3, 0.4, 0.5])
def test_objects_that_turn_round_are_not_listed_one_by_one(small_faces, share):
    scheme = _small_scheme(RIGHT_PAIRS)
    shapes = small_faces.copy()
    turned = int(share * len(shapes))
    shapes[:turned] = shapes[:turned][:, list(scheme.flip_permutation)]
    swaps = _swaps(shapes, scheme)
    assert (swaps.whole, swaps.pairs) == ([], {})
    assert swaps.turned >= share
    fewer = small_faces.copy()
    fewer[:40] = fewer[:40][:, list(scheme.flip_permutation)]
    assert _swaps(fewer, scheme) == SwappedLandmarks(list(range(40)), {})


def _forgotten(shapes, pairs):
    faults = find_pair_errors(shapes, _small_scheme(pairs, shapes.shape[1]))
    assert faults.wrong == faults.right == []
    return faults.forgotten


def test_pairs_that_were_forgotten_are_found(small_faces):
    assert _forgotten(small_faces, RIGHT_PAIRS) == []
    for pair in RIGHT_PAIRS:
        others = [other for other in RIGHT_PAIRS if other != pair]
        assert _forgotten(small_faces, others) == [tuple(pair)]
        assert _forgotten(small_faces, [pair]) == [tuple(other) for other in others]
    assert _forgotten(small_faces, []) == [tuple(pair) for pair in RIGHT_PAIRS]
    # Missing points are left out.
    holes = small_faces.copy()
    holes[::3, 7] = np.nan
    assert _forgotten(holes, RIGHT_PAIRS[:3]) == [(7, 8)]


def test_forgotten_pairs_of_faces_that_turn_to_one_side(small_faces):
    """The mean is not symmetric then: the declared pairs say where the mirror line is."""
    nose = small_faces[:, 4, 0] - small_faces[:, [0, 3], 0].mean(axis=1)
    turned = small_faces[np.argsort(nose)[:60]]
    for faces in (turned, turned * [-1, 1]):
        pairs = RIGHT_PAIRS if faces is turned else [pair[::-1] for pair in RIGHT_PAIRS]
        assert _forgotten(faces, pairs) == []
        assert _forgotten(faces, pairs[:3]) == [(7, 8)]
        assert _forgotten(faces, []) == []  # nothing says where it is


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        # In the order of the points instead of left and right.
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
        # Lip and lip: both are on the mirror line.
        ([*RIGHT_PAIRS, [9, 10]], PairErrors([(9, 10)], [], [])),
    ],
)
def test_pairs_that_are_wrong_are_found(small_faces, pairs, expected):
    assert find_pair_errors(small_faces, _small_scheme(pairs)) == expected


def test_nothing_is_said_of_pairs_where_nothing_is_known():
    generator = np.random.default_rng(0)
    for count in (1, 2, 5, 21):  # objects that have no symmetry, as hands
        for _ in range(20):
            shape = generator.normal(size=(count, 2))
            shapes = shape + generator.normal(0, 0.1, (40, count, 2))
            if count > 1:
                assert _forgotten(shapes, []) == []
    with pytest.raises(ValueError, match="coincide"):
        _forgotten(np.ones((4, 1, 2)), [])


def test_each_forgotten_pair_of_68_points_is_found():
    scheme = get_scheme("ibug_68")
    heads = [random_head(np.random.default_rng([3, i])).landmarks for i in range(100)]
    shapes = np.array(heads)[..., :2]
    assert find_pair_errors(shapes, scheme) == PairErrors([], [], [])
    pairs = symmetric_pairs(scheme).tolist()
    for pair in pairs[::4]:
        assert _forgotten(shapes, [p for p in pairs if p != pair]) == [tuple(pair)]


def test_all_near_hashes_are_found_without_comparing_all():
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
    assert find_duplicates(hashes, noise, splits) == []  # hashes agree, images don't


def test_a_hundred_thousand_plain_images_are_no_trouble():
    """They share one hash: five million pairs, of which the first ones are enough to say so."""
    hashes = np.zeros(100_000, np.uint64)
    thumbnails = np.zeros((100_000, 256), np.uint8)
    splits = ["test"] * 50 + ["train"] * 99_950
    start = time.process_time()
    found = find_duplicates(hashes, thumbnails, splits)
    assert time.process_time() - start < 20
    assert 10_000 < len(found) < 30_000
    assert {pair.first for pair in found} <= set(range(50))
    assert min(pair.second for pair in found) >= 50
    assert {(pair.distance, pair.correlation) for pair in found} == {(0, 1.0)}


def test_a_hash_stays_through_scaling_and_compression():
    face = SyntheticSource(num_train=1, image_size=256).load(Item("", "", "train", 0)).image
    _, jpeg = cv2.imencode(".jpg", cv2.resize(face, (128, 128)), [cv2.IMWRITE_JPEG_QUALITY, 40])
    ours, thumbnail = image_hash(face)
    theirs, other = image_hash(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
    mirrored, _ = image_hash(face[:, ::-1].copy())
    assert np.bitwise_count(ours ^ theirs) <= 4
    assert np.corrcoef(thumbnail, other)[0, 1] > 0.95
    assert np.bitwise_count(ours ^ mirrored) > 12


def test_numbers_stand_beside_their_points():
    scheme = get_scheme("ibug_68")
    source = SyntheticSource(num_train=1, wide_yaw_fraction=0, yaw_std_deg=0)
    landmarks = source.load(source.items()[0]).landmarks_px * 4
    landmarks[5] = np.nan
    places = number_positions(landmarks, scheme, 10.0)
    away = np.linalg.norm(places - landmarks, axis=1)
    assert np.flatnonzero(np.isnan(away)).tolist() == [5]
    assert np.nanmin(away) > 6.9
    assert np.nanmax(away) < 10.1
    assert places[8, 1] > landmarks[8, 1]  # below the chin
    assert places[24, 1] < landmarks[24, 1]  # above the brow
