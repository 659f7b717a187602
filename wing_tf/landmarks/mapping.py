"""From one scheme's landmarks to another's, to judge a model on data of another scheme."""

import json
import pathlib
from dataclasses import dataclass, field

import numpy as np

from wing_tf.landmarks.scheme import LandmarkScheme
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
    register_scheme,
)


@dataclass(frozen=True, kw_only=True)
class SchemeMap:
    """Which landmarks of one scheme stand for each landmark of another.

    Args:
        source: the scheme that a model predicts.
        target: the scheme of the data.
        groups: for each landmark of the target, the source's indices whose mean stands for it;
            empty where nothing does: that landmark is not judged.
        reference: why these.
        known_residual: the map's own error, as a fraction of the target's default normalizer: 0 for
            a part of the same points, None where it was not measured (see `residual`).

    Raises:
        ValueError: if the groups don't fit the schemes, or the map is not the same for a flipped
            face: a sign of a wrong index.

    Example:
        >>> import numpy as np
        >>> from wing_tf.landmarks import find_scheme_map
        >>> mapping = find_scheme_map("ibug_68", "aflw_19")
        >>> mapping.groups[18]  # the chin
        (8,)
        >>> mapping(np.zeros((1, 68, 2))).shape
        (1, 19, 2)
    """

    source: LandmarkScheme
    target: LandmarkScheme
    groups: tuple[tuple[int, ...], ...] = field(repr=False)
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
                    f"`groups` must be mirrored by both schemes' flips: {index} is made of "
                    f"{group}, so {partner} must be of {flipped}. Received: {groups[partner]}."
                )

    def __call__(self, landmarks_px: np.ndarray) -> np.ndarray:
        """Returns landmarks [..., K source, 2] as the target's [..., K target, 2].

        A landmark that nothing stands for is NaN; so is one that a part of is NaN.
        """
        landmarks_px = np.asarray(landmarks_px, np.float64)
        if landmarks_px.shape[-2:] != (self.source.num_landmarks, 2):
            raise ValueError(
                f"`landmarks_px` must be [..., {self.source.num_landmarks}, 2]. "
                f"Received: shape={landmarks_px.shape}."
            )
        missing = np.full((*landmarks_px.shape[:-2], 2), np.nan)
        points = [
            landmarks_px[..., list(group), :].mean(axis=-2) if group else missing
            for group in self.groups
        ]
        return np.stack(points, axis=-2)

    def map_scores(self, scores: np.ndarray) -> np.ndarray:
        """Returns scores [..., K source] as the target's [..., K target], NaN where nothing is."""
        nothing = np.full(np.shape(scores)[:-1], np.nan)
        parts = [
            np.mean(np.asarray(scores)[..., list(group)], axis=-1) if group else nothing
            for group in self.groups
        ]
        return np.stack(parts, axis=-1)

    def residual(
        self, source_px: np.ndarray, target_px: np.ndarray, distance_px: np.ndarray
    ) -> np.ndarray:
        """Returns how far the map is off for each of the target's landmarks [K target].

        Args:
            source_px: the true landmarks [N, K source, 2] of faces in the source's scheme.
            target_px: the same faces' true landmarks [N, K target, 2] in the target's.
            distance_px: [N], what to divide by.

        Returns:
            Mean distances over distance_px; NaN where nothing stands for a landmark, or no face
            has it.
        """
        errors = np.linalg.norm(self(source_px) - target_px, axis=-1) / distance_px[:, None]
        known = np.isfinite(errors)
        counts = known.sum(axis=0)
        sums = np.where(known, errors, 0.0).sum(axis=0)
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def find_scheme_map(source: str | LandmarkScheme, target: str | LandmarkScheme) -> SchemeMap:
    """Returns the built-in map between two schemes.

    Raises:
        ValueError: if there is none; the message lists what there is.
    """
    source, target = get_scheme(source), get_scheme(target)
    key = (source.name, target.name)
    if key not in SCHEME_MAPS:
        known = ", ".join(f"{a} to {b}" for a, b in SCHEME_MAPS)
        raise ValueError(
            f"There is no map from {source.name} to {target.name}. Built in: {known}. Make a "
            "SchemeMap of your own, in a file for --scheme_map."
        )
    return SCHEME_MAPS[key]


def load_scheme_map(path: str | pathlib.Path) -> SchemeMap:
    """Reads a map from a JSON file.

    The file holds the schemes ``source`` and ``target`` and ``groups``, a list of lists of
    indices; ``reference`` and ``known_residual`` are welcome. A scheme is a known name, a JSON
    file's (relative to this one) or a JSON object as in such a file
    (`wing_tf.landmarks.scheme_from_dict`).

    Raises:
        ValueError: if the file is not such a file, or the map is wrong.
    """
    path = pathlib.Path(path)

    def scheme_of(value):
        if isinstance(value, dict):
            return register_scheme(scheme_from_dict(value))
        if isinstance(value, str) and value.endswith(".json"):
            return load_scheme(path.parent / value)
        return get_scheme(value)

    try:
        values = json.loads(path.read_text())
        return SchemeMap(
            source=scheme_of(values["source"]),
            target=scheme_of(values["target"]),
            groups=tuple(tuple(group) for group in values["groups"]),
            reference=values.get("reference", ""),
            known_residual=values.get("known_residual"),
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no map of landmarks: a JSON object with source, target and groups. "
            f"({type(error).__name__}: {error})"
        ) from error


def _groups(text: str) -> tuple[tuple[int, ...], ...]:
    """Reads `"17 37+38 -"`: a landmark, the mean of two, nothing."""
    words = text.split()
    return tuple(
        () if word == "-" else tuple(int(index) for index in word.split("+")) for word in words
    )


_LEFT_EYE, _RIGHT_EYE = "36+37+38+39+40+41", "42+43+44+45+46+47"

SCHEME_MAPS: dict[tuple[str, str], SchemeMap] = {
    (mapping.source.name, mapping.target.name): mapping
    for mapping in (
        SchemeMap(
            source=IBUG_68,
            target=AFLW_19,
            # The ends and the middle of each brow, eyes with their centers, the wings and the tip
            # of the nose, the mouth's corners and its center between the lips' inner edges, chin.
            groups=_groups(
                f"17 19 21 22 24 26 36 {_LEFT_EYE} 39 42 {_RIGHT_EYE} 45 31 30 35 48 62+66 54 8"
            ),
            reference="SMT-Net tests a 300-W model on AFLW-19, section 5.3; the paper is silent on "
            "which landmarks stand for which.",
        ),
        SchemeMap(
            source=IBUG_68,
            target=COFW_29,
            # 300-W has no lower edge of the brows.
            groups=_groups(
                "17 26 21 22 19 - 24 - 36 45 39 42 37+38 40+41 43+44 46+47 "
                f"{_LEFT_EYE} {_RIGHT_EYE} 31 35 30 33 48 54 51 62 66 57 8"
            ),
            reference="By the schemes' images.",
        ),
        SchemeMap(
            source=IBUG_68,
            target=CELEBA_5,
            groups=_groups(f"{_LEFT_EYE} {_RIGHT_EYE} 30 48 54"),
            reference="The five points that face recognition aligns by.",
        ),
        *(
            SchemeMap(
                source=IBUG_68,
                target=part,
                groups=tuple((index,) for index in IBUG_68.subsets[subset]),
                reference="A part of the 68 points: exact.",
                known_residual=0.0,
            )
            for part, subset in ((IBUG_51, "inner_51"), (IBUG_49, "inner_49"))
        ),
        SchemeMap(
            source=LAPA_106,
            target=IBUG_68,
            # LaPa's outline begins higher: its points lie between 300-W's.
            groups=_groups(
                "1+2 3+4 5+6 7 9 11 12+13 14 16 18 19+20 21 23 25 26+27 28+29 30+31 "
                + " ".join(str(index) for index in (
                    *range(33, 38), *range(42, 47), *range(51, 55), *range(58, 63),
                    66, 67, 69, 70, 71, 73, 75, 76, 78, 79, 80, 82, *range(84, 104),
                ))
            ),
            reference="As the owners of the 106 points convert them for the challenge of Liu et "
            "al., Grand Challenge of 106-Point Facial Landmark Localization, 2019.",
        ),
        SchemeMap(
            source=WFLW_98,
            target=IBUG_68,
            # Every other point of the outline, the upper edge of the brows; the eyes' upper and
            # lower lids have three points in WFLW, the outer two of which are taken.
            groups=_groups(
                " ".join(str(index) for index in (
                    *range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 60),
                    60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75, *range(76, 96),
                ))
            ),
            reference="By the schemes' images, as is usual.",
        ),
    )
}  # fmt: skip
"""The built-in maps, by the names of source and target."""
