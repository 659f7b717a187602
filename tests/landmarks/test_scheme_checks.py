"""Checks of the fields of a scheme, on a face of two eyes and a nose."""

import numpy as np
import pytest

from wing_tf.landmarks import LandmarkScheme


def toy(**changes):
    """Builds a face of two eyes and a nose, with some fields changed."""
    values = {
        "name": "toy_3",
        "num_landmarks": 3,
        "flip_permutation": (1, 0, 2),
        "regions": {"left_eye": (0,), "right_eye": (1,), "nose": (2,)},
        "normalizers": {"inter_ocular": ((0,), (1,))},
        "default_normalizer": "inter_ocular",
        "subsets": {"eyes": (0, 1)},
        "boundary_curves": ((0, 2), (1, 2)),
        "lines": ((0, 2, 1),),
        "reference": "A test.",
    }
    return LandmarkScheme(**{**values, **changes})


def test_optional_fields_have_defaults():
    scheme = toy(
        flip_permutation=np.array([1, 0, 2]), normalizers={}, default_normalizer="box",
        subsets={"eyes": [1, 0]}, lines=(),
    )  # fmt: skip
    assert scheme.flip_permutation == (1, 0, 2)
    assert all(type(index) is int for index in scheme.flip_permutation)
    assert scheme.subset("eyes") == (0, 1)
    assert scheme.lines == scheme.boundary_curves == ((0, 2), (1, 2))
    assert repr(scheme) == "LandmarkScheme(name='toy_3', num_landmarks=3)"


def test_scheme_copies_its_arguments():
    regions = {"left_eye": [0], "right_eye": [1], "nose": [2]}
    scheme = toy(regions=regions)
    regions["left_eye"].append(2)
    regions["chin"] = [2]
    assert dict(scheme.regions) == {"left_eye": (0,), "right_eye": (1,), "nose": (2,)}


EYES = {"left_eye": (0,), "right_eye": (1,)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "`name` must not be empty"),
        ({"reference": ""}, "`reference` must not be empty"),
        ({"num_landmarks": 0}, "`num_landmarks` must be positive. Received: num_landmarks=0"),
        ({"num_landmarks": 3.0}, "`num_landmarks` must be an integer"),
        ({"flip_permutation": (1, 0)}, "must have 3 entries. Received: 2 entries"),
        ({"flip_permutation": (1, 0, 1)}, r"must be a permutation of 0\.\.2"),
        ({"flip_permutation": (1, 0, 3)}, r"must be a permutation of 0\.\.2"),
        ({"flip_permutation": (1, 2, 0)}, "must be an involution. Received: 0 -> 1 -> 2"),
        ({"flip_permutation": (1.0, 0.0, 2.0)}, "`flip_permutation` must hold integers"),
        ({"regions": EYES}, r"must cover every landmark. Received: no region for \[2\]"),
        ({"regions": {**EYES, "nose": (2, 1)}}, "disjoint. Received: landmark 1 in both 'right_e"),
        ({"regions": {**EYES, "nose": (2, 3)}}, r"indices in 0\.\.2. Received: \[3\]"),
        ({"regions": {**EYES, "nose": (2, -1)}}, r"indices in 0\.\.2. Received: \[-1\]"),
        ({"regions": {**EYES, "nose": (2, 2)}}, "must not repeat a landmark"),
        ({"regions": {**EYES, "nose": (2,), "chin": ()}}, "must not be empty"),
        ({"regions": {**EYES, "": (2,)}}, "`regions` must have non-empty names"),
        ({"regions": {"left_eye": (0,), "right_brow": (1,), "nose": (2,)}}, "to 'right_eye'"),
        ({"regions": {"eye": (0,), "other": (1,), "nose": (2,)}}, "'eye' must map to 'eye'"),
        ({"normalizers": {"inter_ocular": ((0,), (2,))}}, "that the flip swaps"),
        ({"normalizers": {"inter_ocular": ((0,),)}}, "must be two groups of indices. Received: 1"),
        ({"normalizers": {"inter_ocular": ((0,), ())}}, "must not be empty"),
        ({"normalizers": {"inter_ocular": ((0,), (3,))}}, r"indices in 0\.\.2"),
        ({"normalizers": {"depth": ((0, 1), (1, 2))}}, "two disjoint groups"),
        ({"normalizers": {"": ((0,), (1,))}}, "`normalizers` must have non-empty names"),
        ({"normalizers": {"box": ((0,), (1,))}}, "must not redefine"),
        ({"default_normalizer": "inter_pupil"}, "`default_normalizer` must be one of"),
        ({"subsets": {"eyes": (0, 5)}}, r"`subsets\['eyes'\]` must hold indices in 0\.\.2"),
        ({"subsets": {"eyes": ()}}, "must not be empty"),
        ({"subsets": {"": (0,)}}, "`subsets` must have non-empty names"),
        ({"boundary_curves": ((0, 3),)}, r"`boundary_curves` must hold indices in 0\.\.2"),
        ({"boundary_curves": ((2,),)}, "`boundary_curves` must have two or more points"),
        ({"boundary_curves": ((0, 0),)}, "must not repeat a landmark"),
        ({"boundary_curves": ((0, 2),)}, r"must be mirrored .* but no curve \(1, 2\)"),
        ({"lines": ((0, 3),)}, r"`lines` must hold indices in 0\.\.2"),
        ({"lines": ((0,),)}, "`lines` must have two or more points"),
        ({"lines": ((0, 2),)}, r"`lines` must be mirrored .* none \[1, 2\]"),
    ],
)  # fmt: skip
def test_contradictory_fields_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        toy(**changes)


def test_normalizer_without_inter_prefix_need_not_be_mirrored():
    assert toy(normalizers={"depth": ((0,), (2,))}, default_normalizer="depth").normalizers
