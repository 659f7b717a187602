"""Landmarks that two schemes share."""

from wing_tf.landmarks.mapping import SCHEME_MAPS
from wing_tf.landmarks.scheme import LandmarkScheme
from wing_tf.landmarks.schemes import IBUG_68

IBUG_68_POINTS = {
    "chin": 8, "left_brow_outer": 17, "left_brow_inner": 21, "right_brow_inner": 22,
    "right_brow_outer": 26, "nasion": 27, "nose_tip": 30, "left_nostril": 31, "right_nostril": 35,
    "left_eye_outer": 36, "left_eye_inner": 39, "right_eye_inner": 42, "right_eye_outer": 45,
    "left_mouth_corner": 48, "upper_lip": 51, "right_mouth_corner": 54, "lower_lip": 57,
}  # fmt: skip
"""Names of some of the 68 landmarks, by which schemes of one's own share them; left is the image's
left. The lips' are the middles of their outer edges."""


def shared_points(source: LandmarkScheme, target: LandmarkScheme) -> dict[int, int]:
    """Returns the landmarks of a scheme that are also in another one.

    Of equal schemes all, of two schemes with a built-in map those that are a single landmark of the
    other, and else those of equal names: the schemes' ``point_names``, for ``ibug_68``
    `IBUG_68_POINTS`.

    Args:
        source: The other scheme.
        target: The scheme.

    Returns:
        The indices in ``source`` by the indices in ``target``.

    Examples:
        >>> from wing_tf.landmarks import get_scheme
        >>> shared_points(get_scheme("ibug_68"), get_scheme("aflw_19"))[18]  # the chin
        8
    """
    if source.is_equivalent_to(target):
        return {index: index for index in range(target.num_landmarks)}
    scheme_map = SCHEME_MAPS.get((source.name, target.name))
    if scheme_map is not None:
        groups = enumerate(scheme_map.groups)
        return {index: group[0] for index, group in groups if len(group) == 1}
    theirs, ours = _points(source), _points(target)
    return {index: theirs[name] for name, index in ours.items() if name in theirs}


def _points(scheme: LandmarkScheme) -> dict[str, int]:
    if scheme.name == IBUG_68.name:
        return IBUG_68_POINTS
    return {name: index for index, name in enumerate(scheme.point_names)}
