"""Schemes as JSON: your own ones in, any one out."""

import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from wing_tf.landmarks.scheme import LandmarkScheme
from wing_tf.landmarks.schemes import is_built_in, register_scheme

_KEYS = (
    "name", "points", "pairs", "normalizer", "normalizers", "regions", "subsets", "curves",
    "lines", "reference",
)  # fmt: skip


def scheme_from_dict(values: Mapping[str, Any]) -> LandmarkScheme:
    """Returns the scheme that a JSON object describes.

    Keys, of which ``name``, ``points`` and ``pairs`` must be there:

    * ``name``: letters, digits and _.
    * ``points``: how many, or a list of their names; each place below takes indices (from 0) or
      these names.
    * ``pairs``: pairs of points that change places in a mirrored image. A point that is in none
      lies on the mirror line and stays itself.
    * ``normalizer``: what errors are divided by: two points (or two lists of points, whose means
      count), or "box", "box_width", "diagonal": of the data set's own face box where records hold
      one, else of the landmarks. "box" if absent.
    * ``normalizers``: an object of more such distances by name; ``normalizer`` may name one.
    * ``curves``: lists of points through which the boundary map's curves run.
    * ``lines``: lists of points that images join; the curves if absent.
    * ``regions``: an object of lists that scores are also given for, each point in exactly one;
      all in one if absent. left_... and right_... must be mirror images.
    * ``subsets``: an object of lists that scores are also given for.
    * ``reference``: where it comes from.

    Raises:
        ValueError: if a key is missing or unknown, a point is, or the parts contradict each other.

    Example:
        >>> scheme = scheme_from_dict(
        ...     {"name": "eyes_3", "points": ["left", "right", "nose"],
        ...      "pairs": [["left", "right"]], "normalizer": ["left", "right"]})
        >>> scheme.flip_permutation
        (1, 0, 2)
    """
    unknown = sorted(set(values) - set(_KEYS))
    absent = [key for key in ("name", "points", "pairs") if key not in values]
    if unknown or absent:
        raise ValueError(
            f"A scheme has the keys {', '.join(_KEYS)}. "
            f"Received: unknown {unknown}, absent {absent}."
        )
    points = values["points"]
    named = isinstance(points, Sequence) and not isinstance(points, str)
    if not named and (isinstance(points, bool) or not isinstance(points, int) or points < 1):
        raise ValueError(f"`points` must be a number or a list of names. Received: {points!r}.")
    names = list(points) if named else []
    if len(set(names)) != len(names) or not all(isinstance(n, str) and n for n in names):
        raise ValueError("`points` must be names that differ.")
    count = len(names) if named else points

    def index(point: Any) -> int:
        if isinstance(point, str) and point in names:
            return names.index(point)
        if isinstance(point, int) and not isinstance(point, bool) and 0 <= point < count:
            return point
        raise ValueError(
            f"There is no point {point!r}: indices go from 0 to {count - 1}"
            f"{' and the names are ' + ', '.join(names) if names else ''}."
        )

    def indices(group: Any) -> tuple[int, ...]:
        if isinstance(group, str | int):
            return (index(group),)
        return tuple(index(point) for point in group)

    permutation = list(range(count))
    for pair in values["pairs"]:
        both = indices(pair)
        if len(both) != 2 or both[0] == both[1]:
            raise ValueError(f"`pairs` must hold pairs of points. Received: {pair!r}.")
        for one, other in (both, both[::-1]):
            if permutation[one] != one:
                raise ValueError(f"`pairs` holds the point {one} twice.")
            permutation[one] = other

    def distance(groups: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if isinstance(groups, str | int) or len(groups) != 2:
            raise ValueError(f"A normalizer is two points or two lists. Received: {groups!r}.")
        return indices(groups[0]), indices(groups[1])

    normalizers = {name: distance(two) for name, two in values.get("normalizers", {}).items()}
    if not re.fullmatch(r"\w+", str(values["name"])):
        raise ValueError(f"`name`: letters, digits and _ only. Received: {values['name']!r}.")
    default = values.get("normalizer", "box")
    if not isinstance(default, str):
        normalizers["own"] = distance(default)
        default = "own"

    def groups_of(key: str) -> dict[str, tuple[int, ...]]:
        return {name: indices(group) for name, group in values.get(key, {}).items()}

    return LandmarkScheme(
        name=values["name"],
        num_landmarks=count,
        flip_permutation=tuple(permutation),
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
    """Returns what `scheme_from_dict` makes an equal scheme of; plain JSON types."""
    flip = scheme.flip_permutation

    def plain(groups: Mapping[str, Sequence]) -> dict[str, list]:
        return {name: [_plain(part) for part in group] for name, group in groups.items()}

    return {
        "name": scheme.name,
        "points": list(scheme.point_names) or scheme.num_landmarks,
        "pairs": [[i, flip[i]] for i in range(scheme.num_landmarks) if i < flip[i]],
        "normalizer": scheme.default_normalizer,
        "normalizers": plain(scheme.normalizers),
        "regions": plain(scheme.regions),
        "subsets": plain(scheme.subsets),
        "curves": [list(curve) for curve in scheme.boundary_curves],
        "lines": [list(line) for line in scheme.lines],
        "reference": scheme.reference,
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def scheme_from_json(text: str) -> LandmarkScheme:
    """Reads a scheme from JSON text and registers it, so that its name is known.

    Raises:
        ValueError: if it is no such text, or if another scheme has the name.
    """
    try:
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("not a JSON object")
        return register_scheme(scheme_from_dict(values))
    except (json.JSONDecodeError, TypeError, AttributeError) as error:
        raise ValueError(f"This is no scheme ({type(error).__name__}: {error}).") from error


def load_scheme(path: str | pathlib.Path) -> LandmarkScheme:
    """Reads a scheme from a JSON file and registers it; see `scheme_from_dict`.

    Raises:
        ValueError: if there is no such file, or it is wrong; the message names the file.
    """
    path = pathlib.Path(path)
    try:
        return scheme_from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"Cannot read the scheme {path}: {error.strerror}.") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def custom_scheme_json(scheme: LandmarkScheme) -> str | None:
    """Returns a scheme that is not built in as one line of JSON; None for a built-in one."""
    if is_built_in(scheme):
        return None
    return json.dumps(scheme_to_dict(scheme), separators=(",", ":"))
