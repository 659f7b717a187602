"""The model ``face_68_300w`` of wing_tf: 68 landmarks, trained on 300-W, for research only.

`MODEL` is found by its name through the entry-point group ``wing_tf.models``.
"""

import pathlib

from wing_tf.model_spec import read_model_spec
from wing_tf.zoo import Score, ZooModel

_NAME = "face_68_300w"
_FOLDER = pathlib.Path(__file__).parent
_HELEN = "Helen test, 330 faces"
_SPEC = read_model_spec(_FOLDER / f"{_NAME}.tflite")


def _read_sha256() -> dict[str, str]:
    """Returns the SHA-256 of the model's files by suffix; ``sha256sum`` wrote them."""
    lines = (_FOLDER / "SHA256SUMS").read_text(encoding="utf-8").split("\n")
    pairs = (line.split() for line in lines if line)
    return {pathlib.PurePath(file).suffix: digest for digest, file in pairs}


MODEL = ZooModel(
    name=_NAME,
    scheme=_SPEC.scheme_name,
    input_size=_SPEC.input_size,
    trained_on=f"{sum(_SPEC.trained_on.values())} faces ({', '.join(_SPEC.trained_on)})",
    license="research only",
    scores=(
        Score(data=_HELEN, boxes="ground truth", nme=2.89, fr8=0.3),
        Score(data=_HELEN, boxes="moved and scaled by 10 %", nme=3.01, fr8=0.3),
        Score(data=_HELEN, boxes="BlazeFace", nme=2.95, fr8=0.0),
    ),
    sha256=_read_sha256(),
    folder=_FOLDER,
    notice="For research only: trained on the images and annotations of 300-W. Commercial use is "
    "excluded; see the license of wing-tf-face-68-300w.",
)
