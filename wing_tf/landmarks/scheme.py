"""What a scheme of landmarks is, described as checked, immutable data."""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

BOX_NORMALIZERS = ("box", "box_width", "diagonal")
"""Normalizers every scheme has: sqrt(w h), w and sqrt(w^2 + h^2) of the tight landmark box."""

Indices = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LandmarkScheme:
    """One scheme: how many landmarks there are and what each of them means.

    Flipping an image, normalizing an error, drawing a face and rendering a boundary map all
    need to know which index is which. That knowledge lives here, once, and is checked when the
    object is made, so that a wrong index fails at import and not as a slightly worse error.

    Indices are 0-based. In the names of regions "left" and "right" are sides of the IMAGE
    (`left_eye` has the smaller x on an upright frontal face) unless the scheme says otherwise:
    body joints (`lsp_14`) are named by the person's own side.

    Args:
        name: Key of the registry, for example `"ibug_68"`.
        num_landmarks: Number of landmarks K.
        flip_permutation: K indices. A horizontally flipped face has
            `new[i] = old[flip_permutation[i]]`, with x mirrored; its own inverse.
        regions: Name to indices. Each landmark is in exactly one region. The flip takes
            `left_<part>` to `right_<part>` and every other region to itself.
        normalizers: Name to two groups of indices. The normalizer is the distance between the
            mean points of the groups. A name that begins with `inter_` is a distance between
            mirrored parts: the flip must swap its groups.
        default_normalizer: A key of `normalizers`, or one of `BOX_NORMALIZERS`, which need no
            indices and therefore exist for every scheme.
        subsets: Name to indices that are evaluated on their own, such as the 49 inner points.
        boundary_curves: Curves of the boundary map: indices in the order in which a spline runs
            through them. The flip takes each curve to a curve, in either direction.
        lines: Polylines to draw. Empty (the default) means the boundary curves.
        point_names: K names of the landmarks; none if they have only numbers.
        reference: Where the scheme comes from.

    Raises:
        ValueError: When the fields contradict each other; the message names the field.

    Example:
        >>> from wing_tf.landmarks import get_scheme
        >>> get_scheme("ibug_68").flip_permutation[36]  # outer eye corners: 36 and 45
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
        """Freezes and checks every field, each after those it relies on."""
        if not self.name:
            raise ValueError(f"`name` must not be empty. Received: name={self.name!r}.")
        if not self.reference:
            raise ValueError(
                f"`reference` must not be empty. Received: reference={self.reference!r}."
            )
        if isinstance(self.num_landmarks, bool) or not isinstance(self.num_landmarks, int):
            raise ValueError(
                f"`num_landmarks` must be an integer. Received: num_landmarks={self.num_landmarks}."
            )
        if self.num_landmarks < 1:
            raise ValueError(
                f"`num_landmarks` must be positive. Received: num_landmarks={self.num_landmarks}."
            )
        self._check_flip_permutation()
        self._check_regions()
        self._check_normalizers()
        self._check_subsets()
        self._check_boundary_curves()
        self._check_lines()
        self._set("point_names", tuple(self.point_names))
        if self.point_names and len(set(self.point_names)) != self.num_landmarks:
            raise ValueError(
                f"`point_names` must be {self.num_landmarks} names that differ. "
                f"Received: {len(set(self.point_names))}."
            )

    def __hash__(self) -> int:
        """Hashes the name: equal schemes share it, and the read-only mappings have no hash."""
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles as plain values, because read-only mappings can't be pickled."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        plain = {k: dict(v) if isinstance(v, MappingProxyType) else v for k, v in values.items()}
        return _rebuild, (type(self), plain)

    def is_equivalent_to(self, other: "LandmarkScheme") -> bool:
        """Whether the same points are meant: their number, pairs and normalizers."""
        return (
            self.num_landmarks == other.num_landmarks
            and self.flip_permutation == other.flip_permutation
            and dict(self.normalizers) == dict(other.normalizers)
            and self.default_normalizer == other.default_normalizer
        )

    def subset(self, name: str) -> Indices:
        """Returns the indices of a named subset.

        Args:
            name: A key of `subsets`, for example `"inner_49"`.

        Returns:
            Ascending landmark indices, fit for `landmarks_px[:, list(indices)]`.

        Raises:
            ValueError: When the scheme has no such subset.

        Example:
            >>> from wing_tf.landmarks import get_scheme
            >>> len(get_scheme("ibug_68").subset("inner_49"))  # 68 - 17 - 2
            49
        """
        if name not in self.subsets:
            known = ", ".join(sorted(self.subsets)) or "none"
            raise ValueError(
                f"`name` must be a subset of {self.name} (known: {known}). Received: name={name!r}."
            )
        return self.subsets[name]

    def _set(self, attribute: str, value: object) -> None:
        """Stores the immutable form of a field of this frozen dataclass."""
        object.__setattr__(self, attribute, value)

    def _flipped(self, indices: Iterable[int]) -> Indices:
        """Returns the landmarks that take the place of `indices` in a flipped image."""
        return tuple(self.flip_permutation[index] for index in indices)

    def _check_flip_permutation(self) -> None:
        permutation = _as_indices("flip_permutation", self.flip_permutation)
        self._set("flip_permutation", permutation)
        if len(permutation) != self.num_landmarks:
            raise ValueError(
                f"`flip_permutation` must have {self.num_landmarks} entries. "
                f"Received: {len(permutation)} entries."
            )
        if sorted(permutation) != list(range(self.num_landmarks)):
            raise ValueError(
                f"`flip_permutation` must be a permutation of 0..{self.num_landmarks - 1}. "
                f"Received: flip_permutation={permutation}."
            )
        for index, partner in enumerate(permutation):
            if permutation[partner] != index:
                raise ValueError(
                    f"`flip_permutation` must be an involution. Received: {index} -> {partner} "
                    f"-> {permutation[partner]}."
                )

    def _check_regions(self) -> None:
        regions = {
            name: self._checked(f"regions[{name!r}]", indices)
            for name, indices in self.regions.items()
        }
        self._set("regions", MappingProxyType(regions))
        _check_names("regions", regions)
        owner: dict[int, str] = {}
        for name, indices in regions.items():
            for index in indices:
                if index in owner:
                    raise ValueError(
                        f"`regions` must be disjoint. Received: landmark {index} in both "
                        f"{owner[index]!r} and {name!r}."
                    )
                owner[index] = name
        missing = sorted(set(range(self.num_landmarks)) - set(owner))
        if missing:
            raise ValueError(
                f"`regions` must cover every landmark. Received: no region for {missing}."
            )
        for name, indices in regions.items():
            partner = _mirrored_name(name)
            if set(self._flipped(indices)) != set(regions.get(partner, ())):
                raise ValueError(
                    f"`regions` must be mirrored by `flip_permutation`: {name!r} must map to "
                    f"{partner!r}. Received: {name!r} maps to {sorted(self._flipped(indices))}."
                )

    def _check_normalizers(self) -> None:
        normalizers = {}
        for name, groups in self.normalizers.items():
            label = f"normalizers[{name!r}]"
            if len(groups) != 2:
                raise ValueError(
                    f"`{label}` must be two groups of indices. Received: {len(groups)} groups."
                )
            first, second = (self._checked(label, group) for group in groups)
            if set(first) & set(second):
                raise ValueError(
                    f"`{label}` must be two disjoint groups. Received: {first} and {second}."
                )
            if name.startswith("inter_") and set(self._flipped(first)) != set(second):
                raise ValueError(
                    f"`{label}` must be two groups that the flip swaps. Received: {first} maps to "
                    f"{self._flipped(first)}, not to {second}."
                )
            normalizers[name] = (first, second)
        self._set("normalizers", MappingProxyType(normalizers))
        _check_names("normalizers", normalizers)
        reserved = sorted(set(normalizers) & set(BOX_NORMALIZERS))
        if reserved:
            raise ValueError(
                f"`normalizers` must not redefine {BOX_NORMALIZERS}. Received: {reserved}."
            )
        if self.default_normalizer not in {*normalizers, *BOX_NORMALIZERS}:
            raise ValueError(
                f"`default_normalizer` must be one of {[*normalizers, *BOX_NORMALIZERS]}. "
                f"Received: default_normalizer={self.default_normalizer!r}."
            )

    def _check_subsets(self) -> None:
        subsets = {
            name: tuple(sorted(self._checked(f"subsets[{name!r}]", indices)))
            for name, indices in self.subsets.items()
        }
        self._set("subsets", MappingProxyType(subsets))
        _check_names("subsets", subsets)

    def _check_boundary_curves(self) -> None:
        curves = tuple(self._checked("boundary_curves", curve) for curve in self.boundary_curves)
        self._set("boundary_curves", curves)
        for curve in curves:
            if len(curve) < 2:
                raise ValueError(
                    f"`boundary_curves` must have two or more points each. Received: {curve}."
                )
            flipped = self._flipped(curve)
            if flipped not in curves and flipped[::-1] not in curves:
                raise ValueError(
                    f"`boundary_curves` must be mirrored by `flip_permutation`. "
                    f"Received: {curve}, but no curve {flipped}."
                )

    def _check_lines(self) -> None:
        lines = tuple(_as_indices("lines", line) for line in self.lines) or self.boundary_curves
        self._set("lines", lines)
        for line in lines:
            self._check_range("lines", line)
            if len(line) < 2:
                raise ValueError(f"`lines` must have two or more points each. Received: {line}.")
        # Strokes, not whole lines, are compared: a closed outline may start at any of its points.
        strokes = {frozenset(pair) for line in lines for pair in zip(line, line[1:], strict=False)}
        for stroke in strokes:
            if frozenset(self._flipped(stroke)) not in strokes:
                raise ValueError(
                    f"`lines` must be mirrored by `flip_permutation`. Received: a stroke "
                    f"{sorted(stroke)}, but none {sorted(self._flipped(stroke))}."
                )

    def _checked(self, label: str, indices: Iterable[int]) -> Indices:
        """Returns `indices` as a tuple that is non-empty, in range and free of repeats."""
        checked = _as_indices(label, indices)
        if not checked:
            raise ValueError(f"`{label}` must not be empty. Received: ().")
        self._check_range(label, checked)
        if len(set(checked)) != len(checked):
            raise ValueError(f"`{label}` must not repeat a landmark. Received: {checked}.")
        return checked

    def _check_range(self, label: str, indices: Indices) -> None:
        outside = [index for index in indices if not 0 <= index < self.num_landmarks]
        if outside:
            raise ValueError(
                f"`{label}` must hold indices in 0..{self.num_landmarks - 1}. Received: {outside}."
            )


def _as_indices(label: str, indices: Iterable[int]) -> Indices:
    """Returns a tuple of Python integers; NumPy's are welcome, floats are not."""
    try:
        return tuple(operator.index(index) for index in indices)
    except TypeError as error:
        raise ValueError(f"`{label}` must hold integers. Received: {indices!r}.") from error


def _check_names(label: str, mapping: Mapping[str, object]) -> None:
    if not all(isinstance(name, str) and name for name in mapping):
        raise ValueError(f"`{label}` must have non-empty names. Received: {list(mapping)}.")


def _mirrored_name(name: str) -> str:
    """Returns the region that `name` becomes in a flipped image."""
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name


def _rebuild(cls: type[LandmarkScheme], values: dict[str, Any]) -> LandmarkScheme:
    """Makes a scheme from pickled plain values, checking it again."""
    return cls(**values)
