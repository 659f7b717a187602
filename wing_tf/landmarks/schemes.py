"""Built-in landmark schemes and their registry.

Regions of faces are named by the side of the image; `lsp_14` names joints by the person's own side.
Boundary curves follow Adaptive Wing, which leaves out the lower edge of the brows.
"""

from wing_tf.landmarks.scheme import Indices, LandmarkScheme
from wing_tf.utils.did_you_mean import did_you_mean


def parse_indices(text: str) -> Indices:
    """Parses the notation of papers: `"3-5 9 8-6"` is (3, 4, 5, 9, 8, 7, 6)."""
    indices: list[int] = []
    for token in text.split():
        first, _, last = token.partition("-")
        start, stop = int(first), int(last or first)
        step = 1 if start <= stop else -1
        indices.extend(range(start, stop + step, step))
    return tuple(indices)


def _regions(text: str) -> dict[str, Indices]:
    """Parses comma-separated regions, each a name and its indices."""
    named = (region.split(maxsplit=1) for region in text.split(","))
    return {name: parse_indices(indices) for name, indices in named}


def _curves(text: str) -> tuple[Indices, ...]:
    """Parses comma-separated curves."""
    return tuple(parse_indices(curve) for curve in text.split(","))


IBUG_68 = LandmarkScheme(
    name="ibug_68",
    num_landmarks=68,
    flip_permutation=parse_indices(
        "16-0 26-17 27-30 35-31 45-42 47 46 39-36 41 40 54-48 59-55 64-60 67-65"
    ),
    regions=_regions(
        "outline 0-16, left_brow 17-21, right_brow 22-26, nose 27-35, left_eye 36-41, "
        "right_eye 42-47, mouth 48-67"
    ),
    normalizers={
        "inter_ocular": ((36,), (45,)),
        # Pupils are not annotated: the mean of each eye's six points replaces them.
        "inter_pupil": (parse_indices("36-41"), parse_indices("42-47")),
    },
    default_normalizer="inter_ocular",
    subsets={
        # 49 is 51 without the inner mouth corners, 60 and 64.
        "inner_49": parse_indices("17-59 61-63 65-67"),
        "inner_51": parse_indices("17-67"),
    },
    boundary_curves=_curves(
        "0-16, 17-21, 22-26, 36-39, 36 41 40 39, 42-45, 42 47 46 45, 27-30, 31-35, "
        "48-54, 60-64, 48 59-54, 60 67-64"
    ),
    reference="Sagonas et al., 300 Faces In-the-Wild Challenge, ICCV Workshops 2013.",
)


def _inner(name: str, kept: Indices) -> LandmarkScheme:
    """Returns the scheme of some of the 68 points, such as the 51 or 49 points of papers."""
    new = {old: i for i, old in enumerate(kept)}

    def renumber(group: Indices) -> Indices:
        return tuple(new[i] for i in group if i in new)

    return LandmarkScheme(
        name=name,
        num_landmarks=len(kept),
        flip_permutation=renumber(tuple(IBUG_68.flip_permutation[i] for i in kept)),
        regions={
            region: renumber(indices)
            for region, indices in IBUG_68.regions.items()
            if set(indices) & set(kept)
        },
        normalizers={
            k: (renumber(first), renumber(second))
            for k, (first, second) in IBUG_68.normalizers.items()
        },
        default_normalizer=IBUG_68.default_normalizer,
        boundary_curves=tuple(c for c in map(renumber, IBUG_68.boundary_curves) if len(c) > 1),
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
    flip_permutation=parse_indices(
        "32-0 46-42 50-47 37-33 41-38 51-54 59-55 72-68 75-73 64-60 67-65 "
        "82-76 87-83 92-88 95-93 97 96"
    ),
    regions=_regions(  # 96 and 97 are the pupils
        "outline 0-32, left_brow 33-41, right_brow 42-50, nose 51-59, left_eye 60-67 96, "
        "right_eye 68-75 97, mouth 76-95"
    ),
    normalizers={"inter_ocular": ((60,), (72,)), "inter_pupil": ((96,), (97,))},
    default_normalizer="inter_ocular",
    boundary_curves=_curves(_WFLW_CURVES),
    lines=_curves(_WFLW_CURVES + ", 37-41 33, 46-50 42"),  # with the lower edge of the brows
    reference="Wu et al., Look at Boundary: A Boundary-Aware Face Alignment Algorithm, CVPR 2018.",
)

COFW_29 = LandmarkScheme(
    name="cofw_29",
    num_landmarks=29,
    flip_permutation=parse_indices(
        "1 0 3 2 6 7 4 5 9 8 11 10 14 15 12 13 17 16 19 18 20 21 23 22 24-28"
    ),
    regions=_regions(
        # The only point of the outline is the chin. Brows: outer end, upper edge, inner end, lower
        # edge; eyes: outer corner, upper lid, inner corner, lower lid, pupil.
        "outline 28, left_brow 0 4 2 5, right_brow 1 6 3 7, nose 18-21, left_eye 8 12 10 13 16, "
        "right_eye 9 14 11 15 17, mouth 22-27"
    ),
    normalizers={"inter_ocular": ((8,), (9,)), "inter_pupil": ((16,), (17,))},
    # Both are in use. Inter-ocular is the default of the other face schemes too, so that scores
    # compare across data sets, and what HRNet, PIPNet and mmpose report. Adaptive Wing and STAR
    # report inter-pupil.
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
    flip_permutation=parse_indices("5-0 11-6 14-12 17-15 18"),
    regions=_regions(
        # The only point of the outline is the chin. Eyes: outer corner, center, inner corner.
        "outline 18, left_brow 0-2, right_brow 3-5, nose 12-14, left_eye 6-8, right_eye 9-11, "
        "mouth 15-17"
    ),
    # No distance between eyes: it vanishes on AFLW's profiles. Papers divide by the width of the
    # data set's square face box; without that box, `box_width` is the landmark box's.
    normalizers={},
    default_normalizer="box_width",
    boundary_curves=_curves("0-2, 3-5, 6-8, 9-11, 12-14"),
    lines=_curves("0-2, 3-5, 6-8, 9-11, 12-14, 15-17"),
    reference="Zhu et al., Unconstrained Face Alignment via Cascaded Compositional Learning, "
    "CVPR 2016 (19 of the 21 points of Koestinger et al., AFLW, ICCV Workshops 2011).",
)

# The paper is silent: LaPa has no published boundary curves. These correspond to WFLW's.
_LAPA_CURVES = (
    "0-32, 33-37, 42-46, 66-70, 66 73-70, 75-79, 75 82-79, 51-54, 55-65, "
    "84-90, 96-100, 84 95-90, 96 103-100"
)

LAPA_106 = LandmarkScheme(
    name="lapa_106",
    num_landmarks=106,
    flip_permutation=parse_indices(
        "32-0 46-42 50-47 37-33 41-38 51-54 65-55 79-75 82-80 83 70-66 73-71 74 "
        "90-84 95-91 100-96 103-101 105 104"
    ),
    regions=_regions(  # 74 and 83 are the eyes' centers, 104 and 105 the pupils
        "outline 0-32, left_brow 33-41, right_brow 42-50, nose 51-65, left_eye 66-74 104, "
        "right_eye 75-83 105, mouth 84-103"
    ),
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
    normalizers={"inter_pupil": ((0,), (1,))},  # the eyes are annotated at their centers
    default_normalizer="inter_pupil",
    lines=((3, 4),),
    reference="Liu et al., Deep Learning Face Attributes in the Wild, ICCV 2015.",
)

LSP_14 = LandmarkScheme(
    name="lsp_14",
    num_landmarks=14,
    flip_permutation=parse_indices("5-0 11-6 12 13"),
    # Person-centric: the right leg is the person's own, whichever side of the image it is on.
    regions={
        "right_leg": (0, 1, 2),  # ankle, knee, hip
        "left_leg": (3, 4, 5),  # hip, knee, ankle
        "right_arm": (6, 7, 8),  # wrist, elbow, shoulder
        "left_arm": (9, 10, 11),  # shoulder, elbow, wrist
        "head": (12, 13),  # neck, top
    },
    # The paper is silent: Adaptive Wing only says "torso dimension". Left shoulder to right hip is
    # what the public MATLAB scripts use: `norm(gt(:, 10) - gt(:, 3))` in get_dist_pck.m, `[3, 10]`
    # in bearpaw/eval_pose, 1-based. A flipped image measures the other diagonal.
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
"""Known schemes by name: the built-in ones, and those registered in this process."""

_BUILT_IN = frozenset(SCHEMES)


def is_built_in(scheme: LandmarkScheme) -> bool:
    """Returns whether a scheme comes with the package."""
    return scheme.name in _BUILT_IN


def register_scheme(scheme: LandmarkScheme) -> LandmarkScheme:
    """Registers a scheme for `get_scheme` in this process, and returns it.

    Records and models store their scheme if it is not built in, and register it when they are
    opened. A scheme that is equivalent to a registered one of the same name replaces it.

    Raises:
        ValueError: If another scheme of that name is built in, or is registered with other
            landmarks, pairs or normalizers.
    """
    known = SCHEMES.get(scheme.name, scheme)
    if is_built_in(scheme) and known != scheme:
        raise ValueError(f"Another scheme named {scheme.name!r} is built in. Rename yours.")
    if not known.is_equivalent_to(scheme):
        raise ValueError(
            f"Another scheme named {scheme.name!r} is in use, with other points, pairs or "
            "normalizers. Give yours another name, or, if you changed the scheme, write the "
            "records and train again."
        )
    SCHEMES[scheme.name] = scheme
    return scheme


def get_scheme(name: str | LandmarkScheme) -> LandmarkScheme:
    """Returns a scheme by name; a `LandmarkScheme` is returned as it is.

    Raises:
        ValueError: If the name is unknown. The message lists the known names.

    Examples:
        >>> get_scheme("wflw_98").num_landmarks
        98
    """
    if isinstance(name, LandmarkScheme):
        return name
    if name in SCHEMES:
        return SCHEMES[name]
    hint = did_you_mean(name, SCHEMES, cutoff=0.6)
    raise ValueError(
        f"`name` must be one of {', '.join(SCHEMES)}, or a LandmarkScheme such as that of a JSON "
        f"file (`load_scheme`). Received: name={name!r}.{hint}"
    )
