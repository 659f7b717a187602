"""Which box of a face the network's crop is cut round: rules by name, as scores depend on them.

About .2 points of NME lie in cropping alone, so records and reports name the rule. This module
imports nothing heavy: the writer's processes start fast.
"""

import dataclasses
import json

from wing_tf.utils.did_you_mean import did_you_mean

BOX_KINDS = (
    "landmark",  # the tight box of the landmarks
    "dataset",  # the data set's own
    "dataset_or_landmark",  # the former; the latter where there is none
    "detector",  # a Haar cascade's, the best match of the landmarks
    "awing_code",  # from the data set's own, as in Adaptive Wing's published code
    "awing_code_widened",  # the same, made wider until it holds all true landmarks
)


DATASET_BOX_KINDS = ("dataset", "awing_code", "awing_code_widened")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropRule:
    """How a face's crop is chosen.

    Attributes:
        name: in records and reports.
        box: one of `BOX_KINDS`: the box that records hold.
        margin: the crop's side over the box's longer side that the rule's authors take; what
            ``config.crop_margin=0`` becomes.
        square: the crop is the square on the longer side; else the box itself, each side times the
            margin, stretched to the network's square input.
        reference: where it comes from.
    """

    name: str
    box: str
    margin: float = 1.0
    square: bool = True
    reference: str = ""

    def __post_init__(self):
        if self.box not in BOX_KINDS:
            raise ValueError(f"`box` must be one of {BOX_KINDS}. Received: box={self.box!r}.")
        if not 1.0 <= self.margin <= 4.0:
            raise ValueError(f"`margin` must be in [1, 4]. Received: margin={self.margin}.")

    @property
    def uses_ground_truth(self) -> bool:
        """Whether test crops are made to hold the true landmarks: scores are then too good."""
        return self.box == "awing_code_widened"

    def to_json(self) -> str:
        """Returns the rule as one line, for a record."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "CropRule":
        """Reads what `to_json` has written. Raises ValueError if it is something else."""
        try:
            return cls(**json.loads(text))
        except (json.JSONDecodeError, TypeError) as error:
            raise ValueError(f"This is no crop rule: {text!r} ({error}).") from error

    def __str__(self) -> str:
        shape = "square" if self.square else "not square"
        mark = ", WIDENED WITH THE TRUE LANDMARKS" if self.uses_ground_truth else ""
        return f"{self.name} ({self.box} box x {self.margin:g}, {shape}{mark})"


CROP_RULES: dict[str, CropRule] = {
    rule.name: rule
    for rule in (
        CropRule(name="landmark_box", box="landmark", reference="The tight landmark box."),
        CropRule(name="dataset_box", box="dataset", reference="The data set's own box."),
        CropRule(
            name="dataset_or_landmark_box",
            box="dataset_or_landmark",
            reference="The data set's own box, the tight landmark box where there is none.",
        ),
        CropRule(
            name="detector_box",
            box="detector",
            reference="OpenCV's frontal-face cascade, its mean error taken off.",
        ),
        CropRule(
            name="wing",
            box="dataset",
            reference="Feng et al., Wing Loss, CVPR 2018: the data set's or a detector's box.",
        ),
        CropRule(
            name="awing",
            box="dataset",
            reference="Wang et al., Adaptive Wing Loss, ICCV 2019: square on the longer side.",
        ),
        CropRule(
            name="awing_wflw",
            box="dataset",
            margin=1.1,
            reference="The same: WFLW's box, a tenth larger in each dimension.",
        ),
        CropRule(
            name="awing_landmarks",
            box="landmark",
            reference="The same: 300-W's private set, and WFLW with true boxes.",
        ),
        CropRule(
            name="awing_official",
            box="awing_code",
            reference="Adaptive Wing's published code: the box padded by 5 %, side .64 (w + h).",
        ),
        CropRule(
            name="awing_official_test",
            box="awing_code_widened",
            reference="Adaptive Wing's published test crops: the same, made wider where a true "
            "landmark lies near or beyond the edge. Not a fair protocol: for comparison only.",
        ),
        CropRule(name="smt", box="landmark", reference="SMT-Net: the tight box."),
        CropRule(
            name="hrnet",
            box="landmark",
            margin=1.25,
            reference="HRNet and mmpose: the landmark box, longer side x 1.25.",
        ),
        CropRule(
            name="pipnet",
            box="landmark",
            margin=1.1,
            square=False,
            reference="PIPNet: the landmark box x 1.1, stretched to a square.",
        ),
        CropRule(
            name="spiga",
            box="landmark",
            margin=1.6,
            reference="SPIGA: the landmark box, longer side x 1.6.",
        ),
        CropRule(
            name="insightface",
            box="landmark",
            margin=1.5,
            reference="insightface's 2d106: the box, longer side x 1.5.",
        ),
    )
}
"""The built-in rules, by name."""


def get_crop_rule(name: str) -> CropRule:
    """Returns a rule by name. Raises ValueError with the known ones if there is none."""
    if name in CROP_RULES:
        return CROP_RULES[name]
    hint = did_you_mean(name, CROP_RULES)
    raise ValueError(
        f"`name` must be one of {', '.join(CROP_RULES)}. Received: name={name!r}.{hint}"
    )
