import dataclasses
import json

import numpy as np
import pytest

from wing_tf.landmarks import (
    SCHEME_MAPS,
    SchemeMap,
    find_scheme_map,
    get_scheme,
    load_scheme_map,
    scheme_from_dict,
    shared_points,
)
from wing_tf.landmarks.shared_points import IBUG_68_POINTS

IBUG = get_scheme("ibug_68")
# Written out, independently of the compact notation of the source.
GOLDEN = {
    ("ibug_68", "cofw_29"): """
        17 26 21 22 19 - 24 - 36 45 39 42 37+38 40+41 43+44 46+47 36+37+38+39+40+41
        42+43+44+45+46+47 31 35 30 33 48 54 51 62 66 57 8""",
    ("ibug_68", "celeba_5"): "36+37+38+39+40+41 42+43+44+45+46+47 30 48 54",
    ("ibug_68", "ibug_51"): " ".join(str(i) for i in range(17, 68)),
    ("ibug_68", "ibug_49"): " ".join(str(i) for i in range(17, 68) if i not in (60, 64)),
    ("lapa_106", "ibug_68"): """
        1+2 3+4 5+6 7 9 11 12+13 14 16 18 19+20 21 23 25 26+27 28+29 30+31 33 34 35 36 37 42 43 44
        45 46 51 52 53 54 58 59 60 61 62 66 67 69 70 71 73 75 76 78 79 80 82 84 85 86 87 88 89 90 91
        92 93 94 95 96 97 98 99 100 101 102 103""",
    ("wflw_98", "ibug_68"): """
        0 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30 32 33 34 35 36 37 42 43 44 45 46 51 52 53 54 55
        56 57 58 59 60 61 63 64 65 67 68 69 71 72 73 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90
        91 92 93 94 95""",
}
GOLDEN_19 = [
    [17], [19], [21], [22], [24], [26], [36], range(36, 42), [39], [42], range(42, 48), [45], [31],
    [30], [35], [48], [62, 66], [54], [8],
]  # fmt: skip


def test_aflw_19_groups_equal_the_written_out_ones():
    groups = find_scheme_map("ibug_68", "aflw_19").groups
    assert [list(group) for group in groups] == [list(group) for group in GOLDEN_19]


@pytest.mark.parametrize("pair", GOLDEN, ids="-".join)
def test_groups_equal_the_written_out_ones(pair):
    written = ["+".join(map(str, group)) or "-" for group in find_scheme_map(*pair).groups]
    assert written == GOLDEN[pair].split()


def test_groups_are_averaged_and_empty_groups_are_nan():
    landmarks = np.random.default_rng(0).uniform(0, 100, (2, 3, 68, 2))
    mapped = find_scheme_map("ibug_68", "cofw_29")(landmarks)
    assert mapped.shape == (2, 3, 29, 2)
    np.testing.assert_allclose(
        mapped[..., 12, :], (landmarks[..., 37, :] + landmarks[..., 38, :]) / 2
    )
    assert np.isnan(mapped[..., [5, 7], :]).all()
    assert np.isfinite(np.delete(mapped, [5, 7], axis=-2)).all()
    landmarks[0, 0, 37] = np.nan
    assert np.isnan(find_scheme_map("ibug_68", "cofw_29")(landmarks)[0, 0, 12]).all()


@pytest.mark.parametrize(
    "mapping", SCHEME_MAPS.values(), ids=lambda m: f"{m.source.name}-{m.target.name}"
)
def test_mapping_commutes_with_the_flip(mapping):
    landmarks = np.random.default_rng(0).uniform(0, 100, (mapping.source.num_landmarks, 2))
    flipped = mapping(landmarks[list(mapping.source.flip_permutation)])
    np.testing.assert_allclose(flipped, mapping(landmarks)[list(mapping.target.flip_permutation)])


def test_corresponding_landmarks_are_in_regions_of_the_same_name():
    for mapping in SCHEME_MAPS.values():
        for index, group in enumerate(mapping.groups):
            (region,) = (n for n, part in mapping.target.regions.items() if index in part)
            for member in group:
                assert member in mapping.source.regions[region], (mapping, index)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([(0,)] * 18, "must have 19 entries"),
        ([()] * 19, "must not all be empty"),
        ([(99,), *GOLDEN_19[1:]], r"`groups\[0\]` must hold indices in 0..67"),
        ([(17, 17), *GOLDEN_19[1:]], "each once"),
        ([(18,), *GOLDEN_19[1:]], "must be mirrored"),
    ],
)
def test_wrong_groups_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        SchemeMap(source=IBUG, target=get_scheme("aflw_19"), groups=tuple(map(tuple, groups)))


def test_unknown_pairs_and_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="no map from aflw_19 to ibug_68"):
        find_scheme_map("aflw_19", "ibug_68")
    with pytest.raises(ValueError, match=r"must be \[..., 68, 2\]"):
        find_scheme_map("ibug_68", "aflw_19")(np.zeros((1, 67, 2)))


def test_custom_map_is_read_from_json(tmp_path):
    path = tmp_path / "map.json"
    values = {"source": "ibug_68", "target": "aflw_19", "groups": [list(g) for g in GOLDEN_19]}
    path.write_text(json.dumps(values), encoding="utf-8-sig")  # with a byte order mark
    loaded, built_in = load_scheme_map(path), find_scheme_map("ibug_68", "aflw_19")
    assert (loaded.source, loaded.target) == (built_in.source, built_in.target)
    assert loaded.groups == built_in.groups
    path.write_text("[")
    with pytest.raises(ValueError, match="map.json is not valid JSON"):
        load_scheme_map(path)
    for text in ("[]", json.dumps({**values, "groups": 3}), json.dumps({"source": "ibug_68"})):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"map.json(:| must hold| is not a valid scheme map)"):
            load_scheme_map(path)


def test_shared_points_by_map_and_by_name():
    own = scheme_from_dict(
        {"name": "own_4", "points": ["chin", "left_eye_outer", "right_eye_outer", "left_ear"],
         "pairs": [["left_eye_outer", "right_eye_outer"]]}
    )  # fmt: skip
    assert shared_points(IBUG, own) == {0: 8, 1: 36, 2: 45}
    assert shared_points(own, IBUG) == {8: 0, 36: 1, 45: 2}
    renamed = dataclasses.replace(own, name="other_4")
    assert shared_points(own, renamed) == {0: 0, 1: 1, 2: 2, 3: 3}
    assert shared_points(IBUG, get_scheme("celeba_5")) == {2: 30, 3: 48, 4: 54}
    assert shared_points(get_scheme("lsp_14"), own) == {}


def test_named_points_of_ibug_68_are_mirror_images():
    flip = IBUG.flip_permutation
    for name, index in IBUG_68_POINTS.items():
        other = name.replace("left", "right") if "left" in name else name.replace("right", "left")
        assert IBUG_68_POINTS[other] == flip[index], name
