"""Evaluation protocols of the literature: test faces, groups and normalizers, by name."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from wing_tf.utils.did_you_mean import did_you_mean


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """Definition of the scores of a test set.

    Attributes:
        name: Name for ``wing-evaluate --protocol``.
        scheme: Landmark scheme of the records; any if "".
        source: Data set of the published scores; any if "".
        groups: Splits or attributes by the group's title. A face belongs to each group that has one
            of its splits or attributes, and to every group without names. The first group contains
            all faces that are evaluated.
        splits: Splits that are read. Defaults to all but train and validation.
        official_counts: Number of faces of each group according to the data set's authors; "each"
            for joints.
        score: "nme" or "pck".
        normalizer: See `wing_tf.metrics.normalizing_distance`.
        normalizer_box: The box of box normalizers: "dataset_or_landmark", "landmark" (the tight box
            of the ground truth landmarks), or "dataset" (faces without one have no score).
        thresholds: Of failure rate and AUC, or of PCK; fractions.
        note: Text for the report.
    """

    name: str
    scheme: str
    source: str = ""
    groups: Mapping[str, tuple[str, ...]]
    splits: tuple[str, ...] = ()
    official_counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    score: str = "nme"
    normalizer: str
    normalizer_box: str = "dataset_or_landmark"
    thresholds: tuple[float, ...] = (0.08, 0.10)
    note: str = ""


_COMMON = ("test_helen", "test_lfpw")
_300W: dict[str, Any] = {
    "scheme": "ibug_68",
    "source": "ibug_300w",
    "groups": {"full": (*_COMMON, "test_ibug"), "common": _COMMON, "challenge": ("test_ibug",)},
    "splits": (*_COMMON, "test_ibug"),
    "official_counts": {"full": 689, "common": 554, "challenge": 135},
}
_PRIVATE = ("test_indoor", "test_outdoor")
_COFW: dict[str, Any] = {
    "groups": {"test": ("test",)},
    "splits": ("test",),
    "official_counts": {"test": 507},
}
_WFLW_COUNTS = {
    "full": 2500, "pose": 326, "expression": 314, "illumination": 698, "make_up": 206,
    "occlusion": 736, "blur": 773,
}  # fmt: skip
_AFLW: dict[str, Any] = {
    "scheme": "aflw_19",
    "splits": ("test",),
    "normalizer": "box_width",
    "normalizer_box": "dataset",
    "source": "aflw",
    "note": "Divided by the width of AFLW's square face box.",
}
_MENPO: dict[str, Any] = {
    "scheme": "",
    "groups": {"all": ()},
    "normalizer_box": "landmark",
    "thresholds": (0.07,),
}

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(name="300w_interocular", normalizer="inter_ocular", **_300W),
        Protocol(
            name="300w_interpupil",
            normalizer="inter_pupil",
            **_300W,
            note="Pupils are the means of the six points of each eye; about 1.36 to 1.41 times the "
            "inter-ocular NME, depending on the group.",
        ),
        Protocol(
            name="300w_private",
            scheme="ibug_68",
            source="ibug_300w",
            groups={"all": _PRIVATE, "indoor": _PRIVATE[:1], "outdoor": _PRIVATE[1:]},
            splits=_PRIVATE,
            official_counts={"all": 600, "indoor": 300, "outdoor": 300},
            normalizer="inter_ocular",
        ),
        Protocol(
            name="wflw",
            scheme="wflw_98",
            source="wflw",
            groups={"full": ("test",)} | {name: (name,) for name in list(_WFLW_COUNTS)[1:]},
            splits=("test",),
            official_counts=_WFLW_COUNTS,
            normalizer="inter_ocular",
            thresholds=(0.10,),
        ),
        Protocol(
            name="cofw_interpupil",
            scheme="cofw_29",
            source="cofw",
            **_COFW,
            normalizer="inter_pupil",
            note="AWing and STAR quote this one.",
        ),
        Protocol(
            name="cofw_interocular",
            scheme="cofw_29",
            source="cofw",
            **_COFW,
            normalizer="inter_ocular",
            note="HRNet, PIPNet and mmpose quote this one.",
        ),
        Protocol(
            name="cofw68",
            scheme="ibug_68",
            source="cofw68",
            **_COFW,
            normalizer="inter_ocular",
            note="Between data sets: models are trained on 300-W.",
        ),
        Protocol(
            name="aflw_full", groups={"full": ("test",)}, official_counts={"full": 4386}, **_AFLW
        ),
        Protocol(
            name="aflw_frontal",
            groups={"frontal": ("frontal",)},
            official_counts={"frontal": 1314},
            **_AFLW,
        ),
        Protocol(
            name="lsp_pck",
            scheme="lsp_14",
            source="lsp",
            groups={"test": ("test",)},
            splits=("test",),
            official_counts={"each": 1000},
            score="pck",
            normalizer="torso",
            thresholds=(0.2,),
            note="PCK is person-centric, as annotated; PCK observer is observer-centric: left and "
            "right are the sides of the image, in ground truth and prediction.",
        ),
        Protocol(
            name="menpo_diagonal",
            normalizer="diagonal",
            **_MENPO,
            note="Divided by the diagonal of the tight box of the ground truth landmarks.",
        ),
        Protocol(
            name="menpo_box",
            normalizer="box",
            **_MENPO,
            note="Divided by sqrt(w h) of the tight box of the ground truth landmarks.",
        ),
    )
}
"""The protocols by name; `wing_tf.evaluation.published` has published scores of each."""


def get_protocol(name: str) -> Protocol:
    """Returns a protocol by name; raises ValueError with the known names if it does not exist."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    hint = did_you_mean(name, PROTOCOLS)
    raise ValueError(f"`protocol` must be one of {', '.join(PROTOCOLS)}. Received: {name!r}.{hint}")
