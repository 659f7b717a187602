import json
import pickle

import pytest

from wing_tf.landmarks import (
    SCHEMES,
    custom_scheme_json,
    get_scheme,
    load_scheme,
    load_scheme_map,
    register_scheme,
    scheme_from_dict,
    scheme_from_json,
    scheme_to_dict,
)

HAND = {
    "name": "hand_4",
    "points": ["wrist", "thumb", "little", "middle"],
    "pairs": [["thumb", "little"]],
    "normalizer": ["wrist", "middle"],
    "curves": [["thumb", "wrist", "little"]],
}


@pytest.fixture(autouse=True)
def _restore_registry():
    known = dict(SCHEMES)
    yield
    for name in set(SCHEMES) - set(known):
        del SCHEMES[name]


def test_points_are_given_by_name_or_index():
    scheme = scheme_from_dict(HAND)
    assert scheme.flip_permutation == (0, 2, 1, 3)
    assert scheme.normalizers["own"] == ((0,), (3,))
    assert scheme.default_normalizer == "own"
    assert scheme.regions == {"all": (0, 1, 2, 3)}
    assert scheme.boundary_curves == ((1, 0, 2),)
    by_index = HAND | {
        "points": 4, "pairs": [[1, 2]], "normalizer": [0, 3], "curves": [[1, 0, 2]],
    }  # fmt: skip
    assert scheme.is_equivalent_to(scheme_from_dict(by_index))
    assert scheme.point_names == ("wrist", "thumb", "little", "middle")
    assert scheme_from_dict(by_index).point_names == ()


def test_only_name_points_and_pairs_are_required():
    scheme = scheme_from_dict({"name": "dots_2", "points": 2, "pairs": []})
    assert scheme.flip_permutation == (0, 1)
    assert scheme.default_normalizer == "box"
    groups = scheme_from_dict(
        {"name": "dots_4", "points": 4, "pairs": [[0, 1], [2, 3]], "normalizer": "inter_eye",
         "normalizers": {"inter_eye": [[0, 2], [1, 3]]}, "subsets": {"upper": [0, 1]}}
    )  # fmt: skip
    assert groups.normalizers == {"inter_eye": ((0, 2), (1, 3))}
    assert groups.subset("upper") == (0, 1)


@pytest.mark.parametrize(
    "scheme", [*SCHEMES.values(), scheme_from_dict(HAND)], ids=lambda s: s.name
)
def test_json_and_pickle_round_trip(scheme):
    values = json.loads(json.dumps(scheme_to_dict(scheme)))
    assert scheme_from_dict(values) == scheme
    assert pickle.loads(pickle.dumps(scheme)) == scheme


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": [["thumb", "pinky"]]}, "no point 'pinky': .* names are wrist, thumb"),
        ({"pairs": [["thumb", "little"], ["little", "middle"]]}, "holds the point 2 twice"),
        ({"pairs": [["thumb"]]}, "must hold pairs"),
        ({"points": 0}, "must be a number or a list"),
        ({"points": ["a", "a"], "pairs": []}, "names that differ"),
        (
            {"points": ["a", "\x1b[2Jb"], "pairs": []},
            r"without control characters.*\\x1b",
        ),
        ({"color": 3}, r"unknown \['color'\]"),
        ({"name": "my hand"}, "letters, digits and _ only"),
        ({"normalizer": ["wrist"]}, "two points or two lists"),
        ({"normalizer": "size"}, "`default_normalizer` must be one of"),
        ({"curves": [["thumb", "wrist"]]}, "must be mirrored"),
    ],
)
def test_invalid_values_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        scheme_from_dict(HAND | change)


def test_scheme_is_read_from_json(tmp_path):
    path = tmp_path / "hand.json"
    path.write_text(json.dumps(HAND), encoding="utf-8-sig")  # with a byte order mark
    scheme = load_scheme(path)
    assert get_scheme("hand_4") is scheme
    assert custom_scheme_json(get_scheme("ibug_68")) is None
    assert scheme_from_json(custom_scheme_json(scheme)) == scheme
    for text in ("{", "[]", '"hand"', '{"name": "x"}', '{"name": "x", "points": 2, "pairs": 3}'):
        path.write_text(text)
        with pytest.raises(ValueError, match="hand.json"):
            load_scheme(path)
    with pytest.raises(ValueError, match="Cannot read the scheme"):
        load_scheme(tmp_path / "absent.json")


def test_two_schemes_cannot_share_a_name():
    register_scheme(scheme_from_dict(HAND))
    register_scheme(scheme_from_dict(HAND))
    drawn = scheme_from_dict(HAND | {"lines": [["wrist", "middle"]], "subsets": {"tip": [3]}})
    assert register_scheme(drawn) is drawn  # the same points: the later one's lines are taken
    assert get_scheme("hand_4").lines == ((0, 3),)
    with pytest.raises(ValueError, match="Another scheme named 'hand_4' is in use"):
        register_scheme(scheme_from_dict(HAND | {"pairs": [], "curves": []}))
    with pytest.raises(ValueError, match="Another scheme named 'ibug_68' is built in"):
        register_scheme(scheme_from_dict(HAND | {"name": "ibug_68"}))


def test_scheme_map_may_define_its_schemes(tmp_path):
    (tmp_path / "hand.json").write_text(json.dumps(HAND))
    small = {"name": "tips_2", "points": 2, "pairs": [[0, 1]]}
    values = {"source": "hand.json", "target": small, "groups": [[1], [2]]}
    (tmp_path / "map.json").write_text(json.dumps(values))
    mapping = load_scheme_map(tmp_path / "map.json")
    assert (mapping.source.name, mapping.target.name) == ("hand_4", "tips_2")
    assert get_scheme("tips_2") is mapping.target
