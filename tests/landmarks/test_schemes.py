"""Golden indices of the schemes, consistency of their fields, and the checks."""

import copy
import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

import wing_tf.landmarks
from wing_tf.landmarks import BOX_NORMALIZERS, SCHEMES, get_scheme

# Written out as published, independently of the compact notation of the source.
GOLDEN_FLIPS = {
    "ibug_68": """
        16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0 26 25 24 23 22 21 20 19 18 17 27 28 29 30
        35 34 33 32 31 45 44 43 42 47 46 39 38 37 36 41 40 54 53 52 51 50 49 48 59 58 57 56 55
        64 63 62 61 60 67 66 65""",
    "wflw_98": """
        32 31 30 29 28 27 26 25 24 23 22 21 20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0
        46 45 44 43 42 50 49 48 47 37 36 35 34 33 41 40 39 38 51 52 53 54 59 58 57 56 55
        72 71 70 69 68 75 74 73 64 63 62 61 60 67 66 65 82 81 80 79 78 77 76 87 86 85 84 83
        92 91 90 89 88 95 94 93 97 96""",
    "cofw_29": """
        1 0 3 2 6 7 4 5 9 8 11 10 14 15 12 13 17 16 19 18 20 21 23 22 24 25 26 27 28""",
    "aflw_19": "5 4 3 2 1 0 11 10 9 8 7 6 14 13 12 17 16 15 18",
    "lapa_106": """
        32 31 30 29 28 27 26 25 24 23 22 21 20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0
        46 45 44 43 42 50 49 48 47 37 36 35 34 33 41 40 39 38 51 52 53 54
        65 64 63 62 61 60 59 58 57 56 55 79 78 77 76 75 82 81 80 83 70 69 68 67 66 73 72 71 74
        90 89 88 87 86 85 84 95 94 93 92 91 100 99 98 97 96 103 102 101 105 104""",
    "celeba_5": "1 0 2 4 3",
    "ibug_51": """
        9 8 7 6 5 4 3 2 1 0 10 11 12 13 18 17 16 15 14 28 27 26 25 30 29 22 21 20 19 24 23
        37 36 35 34 33 32 31 42 41 40 39 38 47 46 45 44 43 50 49 48""",
    "ibug_49": """
        9 8 7 6 5 4 3 2 1 0 10 11 12 13 18 17 16 15 14 28 27 26 25 30 29 22 21 20 19 24 23
        37 36 35 34 33 32 31 42 41 40 39 38 45 44 43 48 47 46""",
    "lsp_14": "5 4 3 2 1 0 11 10 9 8 7 6 12 13",
}

# Adaptive Wing's boundaries: outline, brows, upper and lower lids, nose, lips.
GOLDEN_CURVES_68 = [
    list(range(0, 17)), [17, 18, 19, 20, 21], [22, 23, 24, 25, 26], [36, 37, 38, 39],
    [36, 41, 40, 39], [42, 43, 44, 45], [42, 47, 46, 45], [27, 28, 29, 30], [31, 32, 33, 34, 35],
    [48, 49, 50, 51, 52, 53, 54], [60, 61, 62, 63, 64], [48, 59, 58, 57, 56, 55, 54],
    [60, 67, 66, 65, 64],
]  # fmt: skip
GOLDEN_CURVES_98 = [
    list(range(0, 33)), [33, 34, 35, 36, 37], [42, 43, 44, 45, 46], [60, 61, 62, 63, 64],
    [60, 67, 66, 65, 64], [68, 69, 70, 71, 72], [68, 75, 74, 73, 72], [51, 52, 53, 54],
    [55, 56, 57, 58, 59], [76, 77, 78, 79, 80, 81, 82], [88, 89, 90, 91, 92],
    [76, 87, 86, 85, 84, 83, 82], [88, 95, 94, 93, 92],
]  # fmt: skip

every_scheme = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))


def test_registry_holds_the_documented_schemes():
    assert set(SCHEMES) == set(GOLDEN_FLIPS)
    assert {name: scheme.name for name, scheme in SCHEMES.items()} == {n: n for n in SCHEMES}


@every_scheme
def test_flip_equals_the_published_permutation(scheme):
    assert scheme.flip_permutation == tuple(map(int, GOLDEN_FLIPS[scheme.name].split()))


@every_scheme
def test_name_ends_with_the_number_of_landmarks(scheme):
    assert scheme.name.endswith(f"_{scheme.num_landmarks}")
    assert len(scheme.flip_permutation) == scheme.num_landmarks


@every_scheme
def test_flip_twice_is_the_identity_and_flip_once_is_not(scheme):
    flip = np.array(scheme.flip_permutation)
    np.testing.assert_array_equal(flip[flip], np.arange(scheme.num_landmarks))
    assert (flip != np.arange(scheme.num_landmarks)).any()


@every_scheme
def test_regions_hold_each_landmark_once(scheme):
    together = sorted(index for indices in scheme.regions.values() for index in indices)
    assert together == list(range(scheme.num_landmarks))


@every_scheme
def test_flip_swaps_left_and_right_regions(scheme):
    sided = [name.removeprefix("left_") for name in scheme.regions if name.startswith("left_")]
    assert sided
    for part in sided:
        flipped = {scheme.flip_permutation[i] for i in scheme.regions[f"left_{part}"]}
        assert flipped == set(scheme.regions[f"right_{part}"])
        assert flipped.isdisjoint(scheme.regions[f"left_{part}"])


@every_scheme
def test_curves_and_lines_are_valid(scheme):
    for curve in (*scheme.boundary_curves, *scheme.lines):
        assert len(curve) >= 2
        assert all(0 <= index < scheme.num_landmarks for index in curve)
    curves = {frozenset(curve) for curve in scheme.boundary_curves}
    assert {frozenset(scheme.flip_permutation[i] for i in curve) for curve in curves} == curves
    assert scheme.lines


@every_scheme
def test_curves_stay_within_a_region(scheme):
    for curve in scheme.boundary_curves:
        assert sum(set(curve) <= set(indices) for indices in scheme.regions.values()) == 1


@every_scheme
def test_default_normalizer_exists(scheme):
    assert scheme.default_normalizer in {*scheme.normalizers, *BOX_NORMALIZERS}


@every_scheme
def test_pickle_and_deepcopy_round_trip(scheme):
    for twin in (pickle.loads(pickle.dumps(scheme)), copy.deepcopy(scheme)):
        assert twin == scheme
        assert hash(twin) == hash(scheme)
        assert isinstance(twin.regions, MappingProxyType)


@every_scheme
def test_scheme_is_immutable(scheme):
    with pytest.raises(dataclasses.FrozenInstanceError):
        scheme.name = "other"
    for mapping in (scheme.regions, scheme.normalizers, scheme.subsets):
        with pytest.raises(TypeError):
            mapping["new"] = (0,)
        assert all(isinstance(value, tuple) for value in mapping.values())


def test_flip_of_68_pairs_the_known_landmarks():
    flip = SCHEMES["ibug_68"].flip_permutation
    # outer and inner eye corners, mouth corners, ends of the outline, nostrils, outer brow ends
    for left, right in [(36, 45), (39, 42), (48, 54), (0, 16), (31, 35), (17, 26)]:
        assert (flip[left], flip[right]) == (right, left)
    # bridge and tip of the nose, chin, middle of the lips lie on the mirror's axis
    for middle in (8, 27, 28, 29, 30, 33, 51, 57, 62, 66):
        assert flip[middle] == middle


@pytest.mark.parametrize(
    ("name", "normalizer", "expected"),
    [
        ("ibug_68", "inter_ocular", ((36,), (45,))),
        ("ibug_68", "inter_pupil", ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47))),
        ("wflw_98", "inter_ocular", ((60,), (72,))),
        ("wflw_98", "inter_pupil", ((96,), (97,))),
        ("cofw_29", "inter_ocular", ((8,), (9,))),
        ("cofw_29", "inter_pupil", ((16,), (17,))),
        ("lapa_106", "inter_ocular", ((66,), (79,))),
        ("celeba_5", "inter_pupil", ((0,), (1,))),
        ("lsp_14", "torso", ((9,), (2,))),  # left shoulder, right hip
    ],
)
def test_normalizers_use_the_published_landmarks(name, normalizer, expected):
    assert SCHEMES[name].normalizers[normalizer] == expected


def test_default_normalizers():
    assert {name: scheme.default_normalizer for name, scheme in SCHEMES.items()} == {
        "ibug_68": "inter_ocular",
        "wflw_98": "inter_ocular",
        "cofw_29": "inter_ocular",
        "aflw_19": "box_width",
        "lapa_106": "inter_ocular",
        "celeba_5": "inter_pupil",
        "lsp_14": "torso",
        "ibug_51": "inter_ocular",
        "ibug_49": "inter_ocular",
    }


def test_pupils_are_in_the_region_of_their_eye():
    for name, left, right in [("wflw_98", 96, 97), ("cofw_29", 16, 17), ("lapa_106", 104, 105)]:
        assert left in SCHEMES[name].regions["left_eye"]
        assert right in SCHEMES[name].regions["right_eye"]


def test_inner_subsets_of_68():
    scheme = SCHEMES["ibug_68"]
    inner_49, inner_51 = scheme.subset("inner_49"), scheme.subset("inner_51")
    assert (len(inner_49), len(inner_51)) == (49, 51)  # 68 - 17 - 2 and 68 - 17
    assert inner_51 == tuple(range(17, 68))
    assert set(inner_51) - set(inner_49) == {60, 64}
    assert {scheme.flip_permutation[index] for index in inner_49} == set(inner_49)


def test_unknown_subset_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"known: inner_49, inner_51\). Received: name='inner'"):
        SCHEMES["ibug_68"].subset("inner")
    with pytest.raises(ValueError, match="known: none"):
        SCHEMES["lsp_14"].subset("inner_49")


@pytest.mark.parametrize(
    ("name", "curves"), [("ibug_68", GOLDEN_CURVES_68), ("wflw_98", GOLDEN_CURVES_98)]
)
def test_boundary_curves_equal_the_published_ones(name, curves):
    assert SCHEMES[name].boundary_curves == tuple(map(tuple, curves))


def test_number_of_boundary_curves():
    counts = {name: len(scheme.boundary_curves) for name, scheme in SCHEMES.items()}
    assert counts == {
        "ibug_68": 13, "wflw_98": 13, "cofw_29": 13, "aflw_19": 5, "lapa_106": 13,
        "celeba_5": 0, "lsp_14": 0, "ibug_51": 12, "ibug_49": 12,
    }  # fmt: skip


def test_lines_default_to_the_boundary_curves():
    assert SCHEMES["ibug_68"].lines == SCHEMES["ibug_68"].boundary_curves
    assert len(SCHEMES["wflw_98"].lines) == 13 + 2  # and the lower edges of two brows


def test_get_scheme_takes_names_and_schemes():
    assert get_scheme("ibug_68") is SCHEMES["ibug_68"]
    own = dataclasses.replace(SCHEMES["ibug_68"], name="own_68")
    assert get_scheme(own) is own


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("ibug68", "ibug_68"), ("wflw", "wflw_98"), ("lapa_160", "lapa_106"), ("LSP_14", "lsp_14")],
)
def test_get_scheme_suggests_the_nearest_name(name, suggestion):
    with pytest.raises(ValueError, match=f"Received: name='{name}'. Did you mean '{suggestion}'"):
        get_scheme(name)


def test_get_scheme_lists_the_known_names():
    with pytest.raises(ValueError, match=r"ibug_68, wflw_98, .* Received: name='xyzzy'\.$"):
        get_scheme("xyzzy")
    with pytest.raises(ValueError, match=r"Received: name=68\.$"):
        get_scheme(68)


def test_importing_landmarks_does_not_import_tensorflow_or_opencv():
    code = (
        "import sys, wing_tf.landmarks; "
        "print(sorted({'tensorflow', 'keras', 'cv2', 'jax', 'torch'} & set(sys.modules)))"
    )
    root = Path(wing_tf.landmarks.__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
