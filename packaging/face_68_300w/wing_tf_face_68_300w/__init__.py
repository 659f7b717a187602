"""Models of wing_tf for 68 landmarks, trained on 300-W, for research only.

`FACE_68_300W` and `FACE_68_300W_FAST` are found by their names through the entry-point group
``wing_tf.models``.
"""

import pathlib

from wing_tf.model_spec import read_model_spec
from wing_tf.zoo import Score, ZooModel

_FOLDER = pathlib.Path(__file__).parent
_HELEN = "Helen test, 330 faces"
_BOXES = ("ground truth", "moved and scaled by 10 %", "BlazeFace")


def _read_sha256(name: str) -> dict[str, str]:
    """Returns the SHA-256 of a model's files by suffix; ``sha256sum`` wrote them."""
    lines = (_FOLDER / "SHA256SUMS").read_text(encoding="utf-8").split("\n")
    pairs = [(pathlib.PurePath(line.split()[1]), line.split()[0]) for line in lines if line]
    return {file.suffix: digest for file, digest in pairs if file.stem == name}


def _model(name: str, *scores: tuple[float, float]) -> ZooModel:
    """Returns a model with its NME and FR8 in percent by kind of box."""
    spec = read_model_spec(_FOLDER / f"{name}.tflite")
    return ZooModel(
        name=name,
        scheme=spec.scheme_name,
        input_size=spec.input_size,
        trained_on=f"{sum(spec.trained_on.values())} faces ({', '.join(spec.trained_on)})",
        license="research only",
        scores=tuple(
            Score(data=_HELEN, boxes=boxes, nme=nme, fr8=fr8)
            for boxes, (nme, fr8) in zip(_BOXES, scores, strict=True)
        ),
        sha256=_read_sha256(name),
        folder=_FOLDER,
        notice="For research only: trained on the images and annotations of 300-W. Commercial use "
        "is excluded; see the license of wing-tf-face-68-300w.",
    )


FACE_68_300W = _model("face_68_300w", (2.89, 0.3), (3.01, 0.3), (2.95, 0.0))
FACE_68_300W_FAST = _model("face_68_300w_fast", (3.25, 0.3), (3.40, 0.3), (3.32, 0.3))
