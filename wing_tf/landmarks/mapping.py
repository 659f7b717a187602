"""Maps between landmark schemes, to evaluate a model on data of another scheme."""

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wing_tf.landmarks.scheme import Indices, LandmarkScheme
from wing_tf.landmarks.scheme_file import load_scheme, scheme_from_dict
from wing_tf.landmarks.schemes import (
    AFLW_19,
    CELEBA_5,
    COFW_29,
    IBUG_49,
    IBUG_51,
    IBUG_68,
    LAPA_106,
    WFLW_98,
    get_scheme,
    parse_indices,
    register_scheme,
)
from wing_tf.utils.json_values import read_json_object
from wing_tf.utils.local_path import local_path


@dataclass(frozen=True, kw_only=True)
class SchemeMap:
    """A map from the landmarks of one scheme to the landmarks of another.

    Args:
        source: Scheme that a model predicts.
        target: Scheme of the data.
        groups: For each landmark of the target, the indices of the source landmarks whose mean
            point replaces it. An empty group means that the landmark is not evaluated.
        reference: Where the correspondence comes from.
        known_residual: Error of the map itself, as a fraction of the target's default normalizer:
            0 if the target's points are among the source's. Defaults to None, not measured (see
            `residual`).

    Raises:
        ValueError: If the groups don't fit the schemes, or the map of a flipped face is not the
            flipped map of the face, which indicates a wrong index.

    Examples:
        >>> import numpy as np
        >>> from wing_tf.landmarks import find_scheme_map
        >>> scheme_map = find_scheme_map("ibug_68", "aflw_19")
        >>> scheme_map.groups[18]  # The chin.
        (8,)
        >>> scheme_map(np.zeros((1, 68, 2))).shape
        (1, 19, 2)
    """

    source: LandmarkScheme
    target: LandmarkScheme
    groups: tuple[Indices, ...] = field(repr=False)
    reference: str = field(default="", repr=False)
    known_residual: float | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Freezes and checks the groups."""
        groups = tuple(tuple(sorted(int(index) for index in group)) for group in self.groups)
        object.__setattr__(self, "groups", groups)
        source, target = self.source, self.target
        if len(groups) != target.num_landmarks:
            raise ValueError(
                f"`groups` must have {target.num_landmarks} entries, one for each landmark of "
                f"{target.name}. Received: {len(groups)}."
            )
        if not any(groups):
            raise ValueError("`groups` must not all be empty.")
        for index, group in enumerate(groups):
            known = all(0 <= i < source.num_landmarks for i in group)
            if not known or len(set(group)) < len(group):
                raise ValueError(
                    f"`groups[{index}]` must hold indices in 0..{source.num_landmarks - 1}, each "
                    f"once. Received: {group}."
                )
            flipped = tuple(sorted(source.flip_permutation[i] for i in group))
            partner = target.flip_permutation[index]
            if groups[partner] != flipped:
                raise ValueError(
                    f"`groups` must be mirrored by both flips: landmark {index} is the mean of "
                    f"{group}, so {partner} must be the mean of {flipped}. "
                    f"Received: {groups[partner]}."
                )

    def __call__(self, landmarks_px: np.ndarray) -> np.ndarray:
        """Maps landmarks [..., K source, 2] to float64 [..., K target, 2].

        A landmark is NaN if its group is empty or holds a landmark that is NaN.
        """
        landmarks_px = np.asarray(landmarks_px, np.float64)
        if landmarks_px.shape[-2:] != (self.source.num_landmarks, 2):
            raise ValueError(
                f"`landmarks_px` must be [..., {self.source.num_landmarks}, 2]. "
                f"Received: shape={landmarks_px.shape}."
            )
        return self._average(landmarks_px)

    def map_scores(self, scores: np.ndarray) -> np.ndarray:
        """Maps scores [..., K source] to [..., K target]; NaN where a group is empty."""
        return self._average(np.asarray(scores)[..., None])[..., 0]

    def _average(self, values: np.ndarray) -> np.ndarray:
        empty = np.full((*values.shape[:-2], values.shape[-1]), np.nan)
        means = (values[..., list(g), :].mean(axis=-2) if g else empty for g in self.groups)
        return np.stack(list(means), axis=-2)

    def residual(
        self, source_px: np.ndarray, target_px: np.ndarray, distance_px: np.ndarray
    ) -> np.ndarray:
        """Measures the map's own error on faces that are annotated in both schemes.

        Args:
            source_px: Ground truth [N, K source, 2] in the source's scheme.
            target_px: Ground truth [N, K target, 2] of the same faces in the target's scheme.
            distance_px: Normalizing distances [N].

        Returns:
            Mean normalized error of each of the target's landmarks [K target]; NaN if its group is
            empty or no face has it.
        """
        errors = np.linalg.norm(self(source_px) - target_px, axis=-1) / distance_px[:, None]
        known = np.isfinite(errors)
        counts = known.sum(axis=0)
        sums = np.where(known, errors, 0.0).sum(axis=0)
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def find_scheme_map(source: str | LandmarkScheme, target: str | LandmarkScheme) -> SchemeMap:
    """Returns the built-in map between two schemes.

    Raises:
        ValueError: If there is no such map. The message lists the built-in maps.
    """
    source, target = get_scheme(source), get_scheme(target)
    key = (source.name, target.name)
    if key not in SCHEME_MAPS:
        known = ", ".join(f"{a} to {b}" for a, b in SCHEME_MAPS)
        raise ValueError(
            f"There is no map from {source.name} to {target.name}. Built in: {known}. Describe "
            "your own in a JSON file for --scheme_map, or make a SchemeMap."
        )
    return SCHEME_MAPS[key]


def load_scheme_map(path: str | os.PathLike) -> SchemeMap:
    """Returns the map of a JSON file.

    The file holds the schemes ``source`` and ``target`` and ``groups``, a list of lists of
    indices; ``reference`` and ``known_residual`` are optional. A scheme is the name of a known
    scheme, the name of a JSON file (relative to this file), or a JSON object as described in
    `wing_tf.landmarks.scheme_from_dict`.

    Raises:
        ValueError: If the file is not valid JSON or does not describe a valid map.
    """
    path = local_path(path)

    def scheme_of(value: Any) -> LandmarkScheme:
        if isinstance(value, dict):
            return register_scheme(scheme_from_dict(value))
        if isinstance(value, str) and value.endswith(".json"):
            return load_scheme(path.parent / value)
        return get_scheme(value)

    scheme = (str, dict)
    values = read_json_object(path, {"source": scheme, "target": scheme, "groups": list})
    reference, residual = values.get("reference", ""), values.get("known_residual")
    try:
        for group in values["groups"]:
            if type(group) is not list or not all(type(index) is int for index in group):
                raise ValueError(f"`groups` must be lists of indices. Received: {group!r:.60}.")
        if not isinstance(reference, str):
            raise ValueError(f"`reference` must be text. Received: {reference!r:.60}.")
        if residual is not None and not (type(residual) in (int, float) and residual >= 0):
            raise ValueError(f"`known_residual` must be at least 0. Received: {residual!r:.60}.")
        return SchemeMap(
            source=scheme_of(values["source"]),
            target=scheme_of(values["target"]),
            groups=tuple(map(tuple, values["groups"])),
            reference=reference,
            known_residual=residual,
        )
    except ValueError as error:
        raise ValueError(f"{path} is not a valid scheme map: {error}") from error


def _groups(text: str) -> tuple[Indices, ...]:
    """Parses `"17 37+38 42-46 -"`: a landmark, the mean of two, five landmarks, no landmark."""
    groups: list[Indices] = []
    for token in text.split():
        if token == "-":
            groups.append(())
        elif "+" in token:
            groups.append(tuple(int(index) for index in token.split("+")))
        else:
            groups.extend((index,) for index in parse_indices(token))
    return tuple(groups)


def _part_of_68(target: LandmarkScheme, subset: str) -> SchemeMap:
    return SchemeMap(
        source=IBUG_68,
        target=target,
        groups=tuple((index,) for index in IBUG_68.subsets[subset]),
        reference="A subset of the 68 points: exact.",
        known_residual=0.0,
    )


_LEFT_EYE, _RIGHT_EYE = "36+37+38+39+40+41", "42+43+44+45+46+47"

_MAPS = (
    SchemeMap(
        source=IBUG_68,
        target=AFLW_19,
        # The ends and the middle of each brow, eyes with their centers, the wings and the tip of
        # the nose, the mouth's corners and its center between the lips' inner edges, chin.
        groups=_groups(
            f"17 19 21 22 24 26 36 {_LEFT_EYE} 39 42 {_RIGHT_EYE} 45 31 30 35 48 62+66 54 8"
        ),
        reference="SMT-Net evaluates a 300-W model on AFLW-19, section 5.3; the paper is silent on "
        "which landmarks correspond.",
    ),
    SchemeMap(
        source=IBUG_68,
        target=COFW_29,
        # 300-W does not annotate the lower edge of the brows.
        groups=_groups(
            "17 26 21 22 19 - 24 - 36 45 39 42 37+38 40+41 43+44 46+47 "
            f"{_LEFT_EYE} {_RIGHT_EYE} 31 35 30 33 48 54 51 62 66 57 8"
        ),
        reference="Read off the published figures of both schemes.",
    ),
    SchemeMap(
        source=IBUG_68,
        target=CELEBA_5,
        groups=_groups(f"{_LEFT_EYE} {_RIGHT_EYE} 30 48 54"),
        reference="The five points that face recognition aligns faces by.",
    ),
    _part_of_68(IBUG_51, "inner_51"),
    _part_of_68(IBUG_49, "inner_49"),
    SchemeMap(
        source=LAPA_106,
        target=IBUG_68,
        # LaPa's outline begins higher: its points lie between those of 300-W.
        groups=_groups(
            "1+2 3+4 5+6 7 9 11 12+13 14 16 18 19+20 21 23 25 26+27 28+29 30+31 33-37 42-46 51-54 "
            "58-62 66 67 69 70 71 73 75 76 78 79 80 82 84-103"
        ),
        reference="As the authors of the 106 points convert them for the challenge of Liu et al., "
        "Grand Challenge of 106-Point Facial Landmark Localization, 2019.",
    ),
    SchemeMap(
        source=WFLW_98,
        target=IBUG_68,
        # Every other point of the outline and the upper edge of the brows. WFLW has three points
        # on each eyelid, of which the outer two are taken.
        groups=_groups(
            "0 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30 32 33-37 42-46 51-59 "
            "60 61 63 64 65 67 68 69 71 72 73 75 76-95"
        ),
        reference="Read off the published figures of both schemes.",
    ),
)

SCHEME_MAPS = {(item.source.name, item.target.name): item for item in _MAPS}
"""The built-in maps by the names of source and target."""
