"""Crop rules: which box of a face the network's crop is made around, by name.

Cropping alone changes the NME by about .2 points, so records and reports name the rule. This module
has light imports only, so that the processes of the record writer start fast.
"""

import dataclasses
import json

from wing_tf.utils.did_you_mean import did_you_mean
from wing_tf.utils.text_files import parse_json

BOX_KINDS = (
    "landmark",  # the tight box of the landmarks
    "dataset",  # the data set's own box
    "dataset_or_landmark",  # the data set's own box; the landmark box if there is none
    "detector",  # the detection (BlazeFace) that fits the landmarks best
    "awing_code",  # from the data set's own box, as in the published code of Adaptive Wing
    "awing_code_widened",  # the same, widened until it contains all ground truth landmarks
)

DATASET_BOX_KINDS = ("dataset", "awing_code", "awing_code_widened")
"""Kinds of boxes that require the data set's own box."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropRule:
    """How the crop of a face is chosen.

    Attributes:
        name: Name in records and reports.
        box: One of `BOX_KINDS`, the box that records contain.
        margin: Side of the crop over the longer side of the box, as the authors of the rule have
            it; the value of ``config.crop_margin=0``.
        square: Whether the crop is the square on the longer side. Otherwise each side of the box
            is multiplied by the margin, and the crop is stretched to the square network input.
        reference: Source of the rule.
    """

    name: str
    box: str
    margin: float = 1.0
    square: bool = True
    reference: str = ""

    def __post_init__(self):
        texts, flag = (self.name, self.reference), self.square
        if not all(isinstance(text, str) for text in texts) or not isinstance(flag, bool):
            raise ValueError(
                "`name` and `reference` must be text, `square` a bool. Received: "
                f"{self.name!r:.60}, {self.reference!r:.60}, {flag!r:.60}."
            )
        if self.box not in BOX_KINDS:
            raise ValueError(f"`box` must be one of {BOX_KINDS}. Received: box={self.box!r}.")
        if isinstance(self.margin, bool | str) or not 1.0 <= self.margin <= 4.0:
            raise ValueError(f"`margin` must be in [1, 4]. Received: margin={self.margin!r}.")

    @property
    def uses_ground_truth(self) -> bool:
        """Whether test crops are fitted to the ground truth, which makes scores too good."""
        return self.box == "awing_code_widened"

    def to_json(self) -> str:
        """Returns the rule as one line of JSON, for a record."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "CropRule":
        """Returns the rule of a text of `to_json`. Raises ValueError if it is not valid."""
        try:
            return cls(**parse_json(text))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{text!r:.200} is not a valid crop rule ({error}).") from error

    def __str__(self) -> str:
        shape = "square" if self.square else "not square"
        warning = ", WIDENED WITH THE GROUND TRUTH" if self.uses_ground_truth else ""
        return f"{self.name} ({self.box} box x {self.margin:g}, {shape}{warning})"


_RULES = (  # name, box, margin, square, reference
    ("landmark_box", "landmark", 1.0, True, "The tight landmark box."),
    ("dataset_box", "dataset", 1.0, True, "The data set's own box."),
    ("dataset_or_landmark_box", "dataset_or_landmark", 1.0, True,
     "The data set's own box; the tight landmark box if there is none."),
    ("detector_box", "detector", 1.0, True,
     "BlazeFace at three levels, corrected by its mean error."),
    ("wing", "dataset", 1.0, True,
     "Feng et al., Wing Loss, CVPR 2018: the box of the data set or of a detector."),
    ("awing", "dataset", 1.0, True,
     "Wang et al., Adaptive Wing Loss, ICCV 2019: square on the longer side."),
    ("awing_wflw", "dataset", 1.1, True,
     "Adaptive Wing Loss: WFLW's box, enlarged by a tenth in each dimension."),
    ("awing_landmarks", "landmark", 1.0, True,
     "Adaptive Wing Loss: 300-W's private set, and WFLW with ground truth boxes."),
    ("awing_official", "awing_code", 1.0, True,
     "Adaptive Wing's published code: the box padded by 5 %, side .64 (w + h)."),
    ("awing_official_test", "awing_code_widened", 1.0, True,
     "Adaptive Wing's published test crops: as awing_official, but widened if a ground truth "
     "landmark is close to or beyond the edge. Not a fair protocol: for comparison only."),
    ("smt", "landmark", 1.0, True, "SMT-Net: the tight landmark box."),
    ("hrnet", "landmark", 1.25, True,
     "HRNet and mmpose: the landmark box, longer side x 1.25."),
    ("pipnet", "landmark", 1.1, False, "PIPNet: the landmark box x 1.1, stretched to a square."),
    ("spiga", "landmark", 1.6, True, "SPIGA: the landmark box, longer side x 1.6."),
    ("insightface", "landmark", 1.5, True,
     "insightface's 2d106: the landmark box, longer side x 1.5."),
)  # fmt: skip
CROP_RULES: dict[str, CropRule] = {
    name: CropRule(name=name, box=box, margin=margin, square=square, reference=reference)
    for name, box, margin, square, reference in _RULES
}
"""The built-in rules, by name."""


def get_crop_rule(name: str) -> CropRule:
    """Returns a rule by name. Raises ValueError with the known names if it is unknown."""
    if name in CROP_RULES:
        return CROP_RULES[name]
    hint = did_you_mean(name, CROP_RULES)
    raise ValueError(
        f"`name` must be one of {', '.join(CROP_RULES)}. Received: name={name!r}.{hint}"
    )
