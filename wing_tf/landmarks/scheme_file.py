"""Reading and writing of landmark schemes as JSON."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from wing_tf.landmarks.scheme import Indices, LandmarkScheme
from wing_tf.landmarks.schemes import is_built_in, register_scheme
from wing_tf.utils.printable import printable
from wing_tf.utils.text_files import parse_json, read_json

_KEYS = (
    "name", "points", "pairs", "normalizer", "normalizers", "regions", "subsets", "curves",
    "lines", "reference",
)  # fmt: skip
_REQUIRED_KEYS = ("name", "points", "pairs")
_MAX_POINTS = 10_000


def scheme_from_dict(values: Mapping[str, Any]) -> LandmarkScheme:
    """Returns the scheme that a JSON object describes.

    The keys ``name``, ``points`` and ``pairs`` are required:

    * ``name``: letters, digits and underscores.
    * ``points``: the number of landmarks, or a list of their names. All other keys take 0-based
      indices or these names.
    * ``pairs``: pairs of landmarks that a horizontal flip swaps. A landmark without a pair lies on
      the face's axis of symmetry.
    * ``normalizer``: the default normalizer of errors: two landmarks, two lists of landmarks
      (whose mean points are used), a key of ``normalizers``, or one of `BOX_NORMALIZERS`. Defaults
      to "box".
    * ``normalizers``: an object of further normalizers by name.
    * ``curves``: lists of landmarks that the boundary curves pass through. Defaults to none.
    * ``lines``: lists of landmarks that drawings connect. Defaults to ``curves``.
    * ``regions``: an object of lists of landmarks that are also evaluated on their own. Each
      landmark is in exactly one region; ``left_...`` and ``right_...`` must be mirror images.
      Defaults to one region.
    * ``subsets``: an object of lists of landmarks that are also evaluated on their own.
    * ``reference``: publication that defines the scheme.

    Raises:
        ValueError: If a key is missing or unknown, or a value is invalid or contradicts another.

    Examples:
        >>> scheme = scheme_from_dict(
        ...     {"name": "eyes_3", "points": ["left", "right", "nose"],
        ...      "pairs": [["left", "right"]], "normalizer": ["left", "right"]})
        >>> scheme.flip_permutation
        (1, 0, 2)
    """
    try:
        return _parse(values)
    except (TypeError, AttributeError) as error:
        raise ValueError(f"This is not a valid scheme ({error}).") from error


def _parse(values: Mapping[str, Any]) -> LandmarkScheme:
    if not isinstance(values, Mapping):
        raise TypeError(f"expected a JSON object, received {values!r}")
    unknown = sorted(set(values) - set(_KEYS))
    absent = [key for key in _REQUIRED_KEYS if key not in values]
    if unknown or absent:
        raise ValueError(
            f"A scheme has the keys {', '.join(_KEYS)}. "
            f"Received: unknown {unknown}, absent {absent}."
        )
    for key in ("name", "normalizer", "reference"):
        kinds = (str, list) if key == "normalizer" else (str, type(None))
        if not isinstance(values.get(key, ""), kinds):
            raise ValueError(f"`{key}` must be text. Received: {values[key]!r:.60}.")
    if not re.fullmatch(r"\w{1,100}", str(values["name"])):
        raise ValueError(f"`name`: letters, digits and _ only. Received: {values['name']!r}.")
    points = values["points"]
    named = isinstance(points, Sequence) and not isinstance(points, str)
    if not named and (isinstance(points, bool) or not isinstance(points, int) or points < 1):
        raise ValueError(f"`points` must be a number or a list of names. Received: {points!r}.")
    names = list(points) if named else []
    if len(set(names)) != len(names) or not all(isinstance(n, str) and n for n in names):
        raise ValueError(f"`points` must be names that differ. Received: {names!r:.200}.")
    if unprintable := [name for name in names if name != printable(name)]:
        raise ValueError(
            f"`points` must be names without control characters. Received: {unprintable[0]!a:.200}."
        )
    position = {name: index for index, name in enumerate(names)}
    count = len(names) if named else points
    if count > _MAX_POINTS:
        raise ValueError(f"A scheme has at most {_MAX_POINTS} points. Received: {count}.")

    def index(point: Any) -> int:
        if isinstance(point, str) and point in position:
            return position[point]
        if isinstance(point, int) and not isinstance(point, bool) and 0 <= point < count:
            return point
        known = f" and the names are {', '.join(names)}" if names else ""
        raise ValueError(f"There is no point {point!r}: indices go from 0 to {count - 1}{known}.")

    def indices(group: Any) -> Indices:
        return tuple(map(index, [group] if isinstance(group, str | int) else group))

    def groups_of(key: str) -> dict[str, Indices]:
        return {name: indices(group) for name, group in values.get(key, {}).items()}

    def two_groups(groups: Any) -> tuple[Indices, Indices]:
        if isinstance(groups, str | int) or len(groups) != 2:
            raise ValueError(f"A normalizer must be two points or two lists. Received: {groups!r}.")
        return indices(groups[0]), indices(groups[1])

    flip = list(range(count))
    for pair in values["pairs"]:
        both = indices(pair)
        if len(both) != 2 or both[0] == both[1]:
            raise ValueError(f"`pairs` must hold pairs of points. Received: {pair!r}.")
        for one, other in (both, both[::-1]):
            if flip[one] != one:
                raise ValueError(f"`pairs` holds the point {one} twice.")
            flip[one] = other
    normalizers = {name: two_groups(two) for name, two in values.get("normalizers", {}).items()}
    default = values.get("normalizer", "box")
    if not isinstance(default, str):
        normalizers["own"] = two_groups(default)
        default = "own"
    return LandmarkScheme(
        name=values["name"],
        num_landmarks=count,
        flip_permutation=tuple(flip),
        regions=groups_of("regions") or {"all": tuple(range(count))},
        normalizers=normalizers,
        default_normalizer=default,
        subsets=groups_of("subsets"),
        boundary_curves=tuple(indices(curve) for curve in values.get("curves", ())),
        lines=tuple(indices(line) for line in values.get("lines", ())),
        point_names=tuple(names),
        reference=values.get("reference") or "The user's own.",
    )


def scheme_to_dict(scheme: LandmarkScheme) -> dict[str, Any]:
    """Returns plain JSON values from which `scheme_from_dict` makes an equal scheme."""
    flip = scheme.flip_permutation

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: plain(part) for name, part in value.items()}
        return [plain(part) for part in value] if isinstance(value, tuple) else value

    return {
        "name": scheme.name,
        "points": list(scheme.point_names) or scheme.num_landmarks,
        "pairs": [[i, flip[i]] for i in range(scheme.num_landmarks) if i < flip[i]],
        "normalizer": scheme.default_normalizer,
        "normalizers": plain(scheme.normalizers),
        "regions": plain(scheme.regions),
        "subsets": plain(scheme.subsets),
        "curves": plain(scheme.boundary_curves),
        "lines": plain(scheme.lines),
        "reference": scheme.reference,
    }


def scheme_from_json(text: str) -> LandmarkScheme:
    """Returns the scheme of a JSON text and registers it, so that its name is known.

    Raises:
        ValueError: If the text is not a valid scheme, or another scheme has its name.
    """
    try:
        values = parse_json(text)
    except ValueError as error:
        raise ValueError(f"This is not a valid scheme ({error}).") from error
    return register_scheme(scheme_from_dict(values))


def load_scheme(path: str | os.PathLike) -> LandmarkScheme:
    """Returns the scheme of a JSON file and registers it; see `scheme_from_dict`.

    Raises:
        ValueError: If the file can't be read or is not a valid scheme. The message names the file.
    """
    try:
        values = read_json(path)
    except OSError as error:
        raise ValueError(f"Cannot read the scheme {path}: {error.strerror}.") from error
    try:
        return register_scheme(scheme_from_dict(values))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def custom_scheme_json(scheme: LandmarkScheme) -> str | None:
    """Returns a scheme as one line of JSON, or None if it is built in."""
    if is_built_in(scheme):
        return None
    return json.dumps(scheme_to_dict(scheme), separators=(",", ":"))
