"""Landmark schemes as checked, immutable data."""

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

BOX_NORMALIZERS = ("box", "box_width", "diagonal")
"""Normalizers that every scheme has: sqrt(w h), w and sqrt(w^2 + h^2) of a face's box.

The box is the data set's if the records hold one, and else the tight box of the landmarks.
"""

Indices = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LandmarkScheme:
    """A landmark scheme: how many landmarks there are and what each index means.

    Flipping an image, normalizing an error, drawing a face and rendering a boundary map all need
    to know which index is which. A scheme holds that knowledge in one place. It is checked when
    the object is created, so a wrong index is an error and not a slightly worse score.

    Indices are 0-based. In the names of regions, "left" and "right" are sides of the image
    (`left_eye` has the smaller x on an upright frontal face), except for body joints (`lsp_14`),
    which are named by the person's own side.

    Args:
        name: Name of the scheme, for example `"ibug_68"`.
        num_landmarks: Number of landmarks K.
        flip_permutation: K indices. A horizontally flipped face has
            `new[i] = old[flip_permutation[i]]`, with mirrored x. Must be its own inverse.
        regions: Mapping of names to indices. Each landmark is in exactly one region. The flip maps
            `left_<part>` to `right_<part>` and every other region to itself.
        normalizers: Mapping of names to two groups of indices. The normalizing distance is the
            distance between the mean points of the groups. If the name begins with `inter_`, the
            flip must swap the groups.
        default_normalizer: A key of `normalizers` or one of `BOX_NORMALIZERS`.
        subsets: Mapping of names to indices that are also evaluated on their own, such as the 49
            inner points. Defaults to no subsets.
        boundary_curves: Curves of the boundary map, each a sequence of indices that a spline passes
            through. The flip maps each curve to a curve, in either direction. Defaults to no
            curves.
        lines: Polylines to draw. Defaults to `boundary_curves`.
        point_names: K names of the landmarks. Defaults to no names.
        reference: Publication that defines the scheme.

    Raises:
        ValueError: If the fields contradict each other. The message names the field.

    Examples:
        >>> from wing_tf.landmarks import get_scheme
        >>> get_scheme("ibug_68").flip_permutation[36]  # The outer eye corners are 36 and 45.
        45
    """

    name: str
    num_landmarks: int
    flip_permutation: Indices = field(repr=False)
    regions: Mapping[str, Indices] = field(repr=False)
    normalizers: Mapping[str, tuple[Indices, Indices]] = field(repr=False)
    default_normalizer: str = field(repr=False)
    subsets: Mapping[str, Indices] = field(default_factory=dict, repr=False)
    boundary_curves: tuple[Indices, ...] = field(default=(), repr=False)
    lines: tuple[Indices, ...] = field(default=(), repr=False)
    point_names: tuple[str, ...] = field(default=(), repr=False)
    reference: str = field(repr=False)

    def __post_init__(self) -> None:
        """Freezes and checks every field, each after the fields that it relies on."""
        for key in ("name", "reference"):
            value = getattr(self, key)
            _require(value, f"`{key}` must not be empty", f"{key}={value!r}")
        count = self.num_landmarks
        is_integer = isinstance(count, int) and not isinstance(count, bool)
        _require(is_integer, "`num_landmarks` must be an integer", f"num_landmarks={count}")
        _require(count > 0, "`num_landmarks` must be positive", f"num_landmarks={count}")
        self._check_flip_permutation()
        self._check_regions()
        self._check_normalizers()
        self._freeze_mapping("subsets", lambda *subset: tuple(sorted(self._checked(*subset))))
        self._check_boundary_curves()
        self._check_lines()
        self._set("point_names", tuple(self.point_names))
        num_names = len(set(self.point_names))
        ok = not self.point_names or num_names == count
        _require(ok, f"`point_names` must be {count} different names", f"{num_names} names")

    def __hash__(self) -> int:
        """Returns the hash of the name: equal schemes share it, and mappings have no hash."""
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles plain values, because read-only mappings can't be pickled."""
        values: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        for name, value in values.items():
            values[name] = dict(value) if isinstance(value, MappingProxyType) else value
        return functools.partial(type(self), **values), ()

    def is_equivalent_to(self, other: "LandmarkScheme") -> bool:
        """Returns whether the number of landmarks, the flip and the normalizers are equal."""
        return (
            self.num_landmarks == other.num_landmarks
            and self.flip_permutation == other.flip_permutation
            and dict(self.normalizers) == dict(other.normalizers)
            and self.default_normalizer == other.default_normalizer
        )

    def subset(self, name: str) -> Indices:
        """Returns the indices of a named subset in ascending order.

        Raises:
            ValueError: If the scheme has no subset of that name.

        Examples:
            >>> from wing_tf.landmarks import get_scheme
            >>> len(get_scheme("ibug_68").subset("inner_49"))  # 68 - 17 - 2
            49
        """
        known = ", ".join(sorted(self.subsets)) or "none"
        expected = f"`name` must be a subset of {self.name} (known: {known})"
        _require(name in self.subsets, expected, f"name={name!r}")
        return self.subsets[name]

    def _set(self, attribute: str, value: object) -> None:
        """Stores the immutable form of a field of this frozen dataclass."""
        object.__setattr__(self, attribute, value)

    def _flipped(self, indices: Iterable[int]) -> Indices:
        """Returns the landmarks that replace `indices` in a flipped image."""
        return tuple(self.flip_permutation[index] for index in indices)

    def _freeze_mapping(self, key: str, freeze: Callable[[str, Any], Any]) -> dict[str, Any]:
        """Makes a field a read-only mapping of checked values and returns a copy of it."""
        values = getattr(self, key)
        checked = {name: freeze(f"{key}[{name!r}]", value) for name, value in values.items()}
        named = all(isinstance(name, str) and name for name in checked)
        _require(named, f"`{key}` must have non-empty names", list(checked))
        self._set(key, MappingProxyType(checked))
        return checked

    def _check_flip_permutation(self) -> None:
        flip = _as_indices("flip_permutation", self.flip_permutation)
        self._set("flip_permutation", flip)
        count = self.num_landmarks
        expected = f"`flip_permutation` must have {count} entries"
        _require(len(flip) == count, expected, f"{len(flip)} entries")
        expected = f"`flip_permutation` must be a permutation of 0..{count - 1}"
        _require(sorted(flip) == list(range(count)), expected, f"flip_permutation={flip}")
        expected = "`flip_permutation` must be an involution"
        for index, partner in enumerate(flip):
            received = f"{index} -> {partner} -> {flip[partner]}"
            _require(flip[partner] == index, expected, received)

    def _check_regions(self) -> None:
        regions = self._freeze_mapping("regions", self._checked)
        owner: dict[int, str] = {}
        for name, indices in regions.items():
            for index in indices:
                received = f"landmark {index} in both {owner.get(index)!r} and {name!r}"
                _require(index not in owner, "`regions` must be disjoint", received)
                owner[index] = name
        rest = sorted(set(range(self.num_landmarks)) - set(owner))
        _require(not rest, "`regions` must cover every landmark", f"no region for {rest}")
        for name, indices in regions.items():
            partner, flipped = _mirrored_name(name), sorted(self._flipped(indices))
            _require(
                flipped == sorted(regions.get(partner, ())),
                f"`regions` must be mirrored by `flip_permutation`: {name!r} must map to "
                f"{partner!r}",
                f"{name!r} maps to {flipped}",
            )

    def _check_normalizers(self) -> None:
        normalizers = self._freeze_mapping("normalizers", self._checked_groups)
        for name, (first, second) in normalizers.items():
            flipped = self._flipped(first)
            _require(
                not name.startswith("inter_") or set(flipped) == set(second),
                f"`normalizers[{name!r}]` must be two groups that the flip swaps",
                f"{first} maps to {flipped}, not to {second}",
            )
        reserved = sorted(set(normalizers) & set(BOX_NORMALIZERS))
        _require(not reserved, f"`normalizers` must not redefine {BOX_NORMALIZERS}", reserved)
        default, known = self.default_normalizer, [*normalizers, *BOX_NORMALIZERS]
        expected = f"`default_normalizer` must be one of {known}"
        _require(default in known, expected, f"default_normalizer={default!r}")

    def _checked_groups(self, label: str, groups: Any) -> tuple[Indices, Indices]:
        expected = f"`{label}` must be two groups of indices"
        _require(len(groups) == 2, expected, f"{len(groups)} groups")
        first, second = (self._checked(label, group) for group in groups)
        expected = f"`{label}` must be two disjoint groups"
        _require(not set(first) & set(second), expected, f"{first} and {second}")
        return first, second

    def _check_boundary_curves(self) -> None:
        curves = tuple(self._checked("boundary_curves", curve) for curve in self.boundary_curves)
        self._set("boundary_curves", curves)
        for curve in curves:
            expected = "`boundary_curves` must have two or more points each"
            _require(len(curve) > 1, expected, curve)
            flipped = self._flipped(curve)
            expected = "`boundary_curves` must be mirrored by `flip_permutation`"
            mirrored = flipped in curves or flipped[::-1] in curves
            _require(mirrored, expected, f"{curve}, but no curve {flipped}")

    def _check_lines(self) -> None:
        lines = tuple(_as_indices("lines", line) for line in self.lines) or self.boundary_curves
        self._set("lines", lines)
        for line in lines:
            self._check_range("lines", line)
            _require(len(line) > 1, "`lines` must have two or more points each", line)
        # Segments are compared because a closed outline may start at any of its points.
        segments = {frozenset(pair) for line in lines for pair in zip(line, line[1:], strict=False)}
        expected = "`lines` must be mirrored by `flip_permutation`"
        for segment in segments:
            flipped = self._flipped(segment)
            received = f"a segment {sorted(segment)}, but none {sorted(flipped)}"
            _require(frozenset(flipped) in segments, expected, received)

    def _checked(self, label: str, indices: Iterable[int]) -> Indices:
        """Returns `indices` as a tuple that is non-empty, in range and free of repeats."""
        checked = _as_indices(label, indices)
        _require(checked, f"`{label}` must not be empty", "()")
        self._check_range(label, checked)
        unique = len(set(checked)) == len(checked)
        _require(unique, f"`{label}` must not repeat a landmark", checked)
        return checked

    def _check_range(self, label: str, indices: Indices) -> None:
        outside = [index for index in indices if not 0 <= index < self.num_landmarks]
        expected = f"`{label}` must hold indices in 0..{self.num_landmarks - 1}"
        _require(not outside, expected, outside)


def _require(condition: object, expected: str, received: object) -> None:
    if not condition:
        raise ValueError(f"{expected}. Received: {received}.")


def _as_indices(label: str, indices: Iterable[int]) -> Indices:
    """Returns a tuple of Python integers; NumPy integers are converted, floats are refused."""
    try:
        return tuple(operator.index(index) for index in indices)
    except TypeError as error:
        raise ValueError(f"`{label}` must hold integers. Received: {indices!r}.") from error


def _mirrored_name(name: str) -> str:
    """Returns the region that `name` becomes in a flipped image."""
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name
