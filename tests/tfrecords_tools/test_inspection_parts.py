"""The parts of inspection that need no records."""

import cv2
import numpy as np
from dots import DotSource

from tfrecords_tools.inspection.duplicates import MOST_DISTANCE, find_duplicates, picture_hash
from tfrecords_tools.inspection.sheets import number_places
from tfrecords_tools.inspection.swaps import find_swaps, symmetric_pairs
from tfrecords_tools.sources import Item, SyntheticSource
from wing_tf.geometry import procrustes
from wing_tf.landmarks import get_scheme


def test_a_pair_of_few_points():
    """Of five points, two that are exchanged turn the whole alignment."""
    source = DotSource(60)
    shapes = np.stack([source.load(item).landmarks_px for item in source.items()])
    mean, _ = procrustes(shapes, source.scheme.flip_permutation)
    assert symmetric_pairs(source.scheme).tolist() == [[0, 1], [3, 4]]
    shapes[7, [0, 1]] = shapes[7, [1, 0]]
    shapes[8, [3, 4]] = shapes[8, [4, 3]]
    shapes[9, 2] = np.nan
    swaps = find_swaps(shapes, mean, source.scheme)
    assert swaps.whole == []
    assert swaps.pairs == {7: [(0, 1)], 8: [(3, 4)]}


def test_bodies_may_turn_round():
    body = get_scheme("lsp_14")
    shapes = np.random.default_rng(0).normal(size=(20, 14, 2))
    shapes[1] = shapes[0, list(body.flip_permutation)]
    swaps = find_swaps(shapes, shapes[0], body)
    assert (swaps.whole, swaps.pairs) == ([], {})


def test_all_near_hashes_are_found_without_comparing_all():
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 2**64, 600, np.uint64)
    for copy in range(200):  # 0 to 9 bits off
        bits = generator.choice(64, copy % 10, replace=False)
        hashes[400 + copy] = hashes[copy] ^ np.uint64(sum(1 << int(bit) for bit in bits))
    splits = np.array(["train"] * 350 + ["test"] * 150 + ["validation"] * 100)
    alike = np.tile(np.arange(256, dtype=np.uint8), (600, 1))
    distances = np.bitwise_count(hashes[:, None] ^ hashes)
    expected = np.argwhere((distances <= MOST_DISTANCE) & (splits[:, None] != splits))
    found = find_duplicates(hashes, alike, splits)
    assert {frozenset(pair) for pair in expected.tolist()} == {
        frozenset((pair.first, pair.second)) for pair in found
    }
    assert {(splits[pair.first], splits[pair.second]) for pair in found} == {
        ("test", "train"), ("validation", "train"),
    }  # fmt: skip
    noise = generator.integers(0, 256, (600, 256)).astype(np.uint8)
    assert find_duplicates(hashes, noise, splits) == []  # hashes agree, pictures don't


def test_a_hundred_thousand_plain_pictures_are_no_trouble():
    hashes = np.zeros(100_000, np.uint64)
    thumbnails = np.zeros((100_000, 256), np.uint8)
    splits = ["test"] * 50 + ["train"] * 99_950
    found = find_duplicates(hashes, thumbnails, splits)
    assert {pair.first for pair in found} <= set(range(50))


def test_a_hash_stays_through_scaling_and_compression():
    face = SyntheticSource(count=1, size=256).load(Item("", "", "train", 0)).image
    _, jpeg = cv2.imencode(".jpg", cv2.resize(face, (128, 128)), [cv2.IMWRITE_JPEG_QUALITY, 40])
    ours, thumbnail = picture_hash(face)
    theirs, other = picture_hash(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
    mirrored, _ = picture_hash(face[:, ::-1].copy())
    assert np.bitwise_count(ours ^ theirs) <= 4
    assert np.corrcoef(thumbnail, other)[0, 1] > 0.95
    assert np.bitwise_count(ours ^ mirrored) > 12


def test_numbers_stand_beside_their_points():
    scheme = get_scheme("ibug_68")
    source = SyntheticSource(count=1, wide_yaw=0, yaw_deg=0)
    landmarks = source.load(source.items()[0]).landmarks_px * 4
    landmarks[5] = np.nan
    places = number_places(landmarks, scheme, 10.0)
    away = np.linalg.norm(places - landmarks, axis=1)
    assert np.flatnonzero(np.isnan(away)).tolist() == [5]
    assert np.nanmin(away) > 6.9
    assert np.nanmax(away) < 10.1
    assert places[8, 1] > landmarks[8, 1]  # below the chin
    assert places[24, 1] < landmarks[24, 1]  # above the brow
