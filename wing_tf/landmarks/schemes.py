"""The built-in schemes, in the notation papers print them in: `"0-16, 36 41 40 39"`.

Faces name left and right by the side of the IMAGE; `lsp_14` names joints by the person's own
side. Boundary curves follow Adaptive Wing, which leaves out the lower edge of the brows.
"""

from wing_tf.landmarks.scheme import LandmarkScheme
from wing_tf.utils.did_you_mean import did_you_mean


def _points(text: str) -> tuple[int, ...]:
    """Reads `"3-5 9 8-6"` as (3, 4, 5, 9, 8, 7, 6): spans include both ends, in either order."""
    indices: list[int] = []
    for token in text.split():
        first, _, last = token.partition("-")
        start, stop = int(first), int(last or first)
        step = 1 if start <= stop else -1
        indices.extend(range(start, stop + step, step))
    return tuple(indices)


def _curves(text: str) -> tuple[tuple[int, ...], ...]:
    """Reads comma-separated curves."""
    return tuple(_points(curve) for curve in text.split(","))


IBUG_68 = LandmarkScheme(
    name="ibug_68",
    num_landmarks=68,
    flip_permutation=_points(
        "16-0 26-17 27-30 35-31 45-42 47 46 39-36 41 40 54-48 59-55 64-60 67-65"
    ),
    regions={
        "outline": _points("0-16"),
        "left_brow": _points("17-21"),
        "right_brow": _points("22-26"),
        "nose": _points("27-35"),
        "left_eye": _points("36-41"),
        "right_eye": _points("42-47"),
        "mouth": _points("48-67"),
    },
    normalizers={
        "inter_ocular": ((36,), (45,)),
        # Pupils are not marked: the mean of the six points of each eye stands for them.
        "inter_pupil": (_points("36-41"), _points("42-47")),
    },
    default_normalizer="inter_ocular",
    subsets={
        # 49 is 51 without the inner mouth corners, 60 and 64.
        "inner_49": _points("17-59 61-63 65-67"),
        "inner_51": _points("17-67"),
    },
    boundary_curves=_curves(
        "0-16, 17-21, 22-26, 36-39, 36 41 40 39, 42-45, 42 47 46 45, 27-30, 31-35, "
        "48-54, 60-64, 48 59-54, 60 67-64"
    ),
    reference="Sagonas et al., 300 Faces In-the-Wild Challenge, ICCV Workshops 2013.",
)


def _inner(name: str, kept: tuple[int, ...]) -> LandmarkScheme:
    """Returns the part of the 68 points that challenges and papers call the 51 or 49 points."""
    new = {old: i for i, old in enumerate(kept)}

    def renamed(groups):
        parts = (tuple(new[i] for i in group if i in new) for group in groups)
        return tuple(part for part in parts if part)

    return LandmarkScheme(
        name=name,
        num_landmarks=len(kept),
        flip_permutation=renamed([[IBUG_68.flip_permutation[i] for i in kept]])[0],
        regions={
            region: renamed([indices])[0]
            for region, indices in IBUG_68.regions.items()
            if set(indices) & set(kept)
        },
        normalizers={k: renamed(groups) for k, groups in IBUG_68.normalizers.items()},  # type: ignore[misc]
        default_normalizer=IBUG_68.default_normalizer,
        boundary_curves=tuple(c for c in renamed(IBUG_68.boundary_curves) if len(c) > 1),
        reference=IBUG_68.reference,
    )


IBUG_51 = _inner("ibug_51", IBUG_68.subsets["inner_51"])
IBUG_49 = _inner("ibug_49", IBUG_68.subsets["inner_49"])

_WFLW_CURVES = (
    "0-32, 33-37, 42-46, 60-64, 60 67-64, 68-72, 68 75-72, 51-54, 55-59, "
    "76-82, 88-92, 76 87-82, 88 95-92"
)

WFLW_98 = LandmarkScheme(
    name="wflw_98",
    num_landmarks=98,
    flip_permutation=_points(
        "32-0 46-42 50-47 37-33 41-38 51-54 59-55 72-68 75-73 64-60 67-65 "
        "82-76 87-83 92-88 95-93 97 96"
    ),
    regions={
        "outline": _points("0-32"),
        "left_brow": _points("33-41"),
        "right_brow": _points("42-50"),
        "nose": _points("51-59"),
        "left_eye": _points("60-67 96"),  # 96 and 97 are the pupils
        "right_eye": _points("68-75 97"),
        "mouth": _points("76-95"),
    },
    normalizers={"inter_ocular": ((60,), (72,)), "inter_pupil": ((96,), (97,))},
    default_normalizer="inter_ocular",
    boundary_curves=_curves(_WFLW_CURVES),
    lines=_curves(_WFLW_CURVES + ", 37-41 33, 46-50 42"),  # with the lower edge of the brows
    reference="Wu et al., Look at Boundary: A Boundary-Aware Face Alignment Algorithm, CVPR 2018.",
)

COFW_29 = LandmarkScheme(
    name="cofw_29",
    num_landmarks=29,
    flip_permutation=_points("1 0 3 2 6 7 4 5 9 8 11 10 14 15 12 13 17 16 19 18 20 21 23 22 24-28"),
    regions={
        "outline": (28,),  # the chin is all there is of it
        "left_brow": (0, 4, 2, 5),  # outer end, upper edge, inner end, lower edge
        "right_brow": (1, 6, 3, 7),
        "nose": _points("18-21"),
        "left_eye": (8, 12, 10, 13, 16),  # outer, upper, inner, lower, pupil
        "right_eye": (9, 14, 11, 15, 17),
        "mouth": _points("22-27"),
    },
    normalizers={"inter_ocular": ((8,), (9,)), "inter_pupil": ((16,), (17,))},
    # Both are in use. Inter-ocular is the default because it is what the other face schemes
    # default to, so figures compare across data sets, and what HRNet, PIPNet and mmpose print.
    # Adaptive Wing and STAR quote inter-pupil.
    default_normalizer="inter_ocular",
    boundary_curves=_curves(
        "0 4 2, 0 5 2, 1 6 3, 1 7 3, 8 12 10, 8 13 10, 9 14 11, 9 15 11, 18 21 19, "
        "22 24 23, 22 25 23, 22 26 23, 22 27 23"
    ),
    reference="Burgos-Artizzu et al., Robust Face Landmark Estimation under Occlusion, ICCV 2013.",
)

AFLW_19 = LandmarkScheme(
    name="aflw_19",
    num_landmarks=19,
    flip_permutation=_points("5-0 11-6 14-12 17-15 18"),
    regions={
        "outline": (18,),  # the chin is all there is of it
        "left_brow": _points("0-2"),
        "right_brow": _points("3-5"),
        "nose": _points("12-14"),
        "left_eye": _points("6-8"),  # outer corner, center, inner corner
        "right_eye": _points("9-11"),
        "mouth": _points("15-17"),
    },
    # No distance between eyes: it vanishes on AFLW's profiles. Papers divide by the width of the
    # data set's square face box; without that box, `box_width` is the landmark box's.
    normalizers={},
    default_normalizer="box_width",
    boundary_curves=_curves("0-2, 3-5, 6-8, 9-11, 12-14"),
    lines=_curves("0-2, 3-5, 6-8, 9-11, 12-14, 15-17"),
    reference="Zhu et al., Unconstrained Face Alignment via Cascaded Compositional Learning, "
    "CVPR 2016 (19 of the 21 points of Koestinger et al., AFLW, ICCV Workshops 2011).",
)

# The paper is silent: LaPa has no published boundary curves; these are WFLW's, carried over.
_LAPA_CURVES = (
    "0-32, 33-37, 42-46, 66-70, 66 73-70, 75-79, 75 82-79, 51-54, 55-65, "
    "84-90, 96-100, 84 95-90, 96 103-100"
)

LAPA_106 = LandmarkScheme(
    name="lapa_106",
    num_landmarks=106,
    flip_permutation=_points(
        "32-0 46-42 50-47 37-33 41-38 51-54 65-55 79-75 82-80 83 70-66 73-71 74 "
        "90-84 95-91 100-96 103-101 105 104"
    ),
    regions={
        "outline": _points("0-32"),
        "left_brow": _points("33-41"),
        "right_brow": _points("42-50"),
        "nose": _points("51-65"),
        "left_eye": _points("66-74 104"),  # 74 is the eye's center, 104 the pupil
        "right_eye": _points("75-83 105"),
        "mouth": _points("84-103"),
    },
    normalizers={"inter_ocular": ((66,), (79,))},
    default_normalizer="inter_ocular",
    boundary_curves=_curves(_LAPA_CURVES),
    lines=_curves(_LAPA_CURVES + ", 37-41 33, 46-50 42"),
    reference="Liu et al., A New Dataset and Boundary-Attention Semantic Segmentation for Face "
    "Parsing, AAAI 2020.",
)

CELEBA_5 = LandmarkScheme(
    name="celeba_5",
    num_landmarks=5,
    flip_permutation=(1, 0, 2, 4, 3),
    regions={"left_eye": (0,), "right_eye": (1,), "nose": (2,), "mouth": (3, 4)},
    normalizers={"inter_pupil": ((0,), (1,))},  # the eyes are marked at their centers
    default_normalizer="inter_pupil",
    lines=((3, 4),),
    reference="Liu et al., Deep Learning Face Attributes in the Wild, ICCV 2015.",
)

LSP_14 = LandmarkScheme(
    name="lsp_14",
    num_landmarks=14,
    flip_permutation=_points("5-0 11-6 12 13"),
    # Person-centric: the right leg is the person's own, whichever side of the image it is on.
    regions={
        "right_leg": (0, 1, 2),  # ankle, knee, hip
        "left_leg": (3, 4, 5),  # hip, knee, ankle
        "right_arm": (6, 7, 8),  # wrist, elbow, shoulder
        "left_arm": (9, 10, 11),  # shoulder, elbow, wrist
        "head": (12, 13),  # neck, top
    },
    # Left shoulder to right hip, as the public MATLAB scripts have it: `norm(gt(:, 10) - gt(:, 3))`
    # in get_dist_pck.m, `[3, 10]` in bearpaw/eval_pose, 1-based. The paper is silent: Adaptive Wing
    # only says "torso dimension". It is one diagonal, so a flipped image measures the other one.
    normalizers={"torso": ((9,), (2,))},
    default_normalizer="torso",
    lines=_curves("0-2, 5-3, 2 3, 6-8, 11-9, 8 12 9, 12 13, 2 8, 3 9"),
    reference="Johnson and Everingham, Clustered Pose and Nonlinear Appearance Models for Human "
    "Pose Estimation, BMVC 2010.",
)

SCHEMES: dict[str, LandmarkScheme] = {
    scheme.name: scheme
    for scheme in (
        IBUG_68, WFLW_98, COFW_29, AFLW_19, LAPA_106, CELEBA_5, LSP_14, IBUG_51, IBUG_49,
    )
}  # fmt: skip
"""The known schemes by name: built in, and registered in this process."""

_BUILT_IN = frozenset(SCHEMES)


def is_built_in(scheme: LandmarkScheme) -> bool:
    """Says whether a scheme is one of this package's."""
    return scheme.name in _BUILT_IN


def register_scheme(scheme: LandmarkScheme) -> LandmarkScheme:
    """Makes a scheme known to `get_scheme` in this process, and returns it.

    Records and models hold their scheme when it is not built in, and register it when opened. Of
    two that mean the same points, the later one's sub-sets, curves and lines are taken.

    Raises:
        ValueError: if the name is a built-in scheme's, or another one's with other points.
    """
    known = SCHEMES.get(scheme.name, scheme)
    if is_built_in(scheme) and known != scheme:
        raise ValueError(f"Another scheme named {scheme.name!r} is built in. Rename yours.")
    if not known.is_equivalent_to(scheme):
        raise ValueError(
            f"Another scheme named {scheme.name!r} is in use, with other points, pairs or "
            "normalizers. If its points mean something else, give yours another name; if it was "
            "changed, write the records and train again."
        )
    SCHEMES[scheme.name] = scheme
    return scheme


def get_scheme(name: str | LandmarkScheme) -> LandmarkScheme:
    """Returns a scheme by name.

    Functions that take a scheme call this first, so that callers may pass `"wflw_98"` or an
    object of their own.

    Args:
        name: A key of `SCHEMES`, or a `LandmarkScheme`, which is returned as it is.

    Returns:
        The scheme.

    Raises:
        ValueError: When the name is unknown; the message lists the known ones.

    Example:
        >>> get_scheme("wflw_98").num_landmarks
        98
    """
    if isinstance(name, LandmarkScheme):
        return name
    if name in SCHEMES:
        return SCHEMES[name]
    hint = did_you_mean(name, SCHEMES)
    raise ValueError(
        f"`name` must be one of {', '.join(SCHEMES)} or a LandmarkScheme. "
        f"Received: name={name!r}.{hint}"
    )
