"""The models that come with the package."""

import pathlib

from wing_tf.zoo.zoo_model import KERAS, LITERT, Score, ZooModel

_FOLDER = pathlib.Path(__file__).parent

DEFAULT_MODEL = "face_68"

_BOXES = ("ground truth", "moved and scaled by 10 %", "BlazeFace")


def _helen(*scores: tuple[float, float]) -> tuple[Score, ...]:
    """Returns NME and FR8 in percent on the faces of Helen test, by kind of box."""
    return tuple(
        Score(data="Helen test, 330 faces", boxes=boxes, nme=nme, fr8=fr8)
        for boxes, (nme, fr8) in zip(_BOXES, scores, strict=True)
    )


SHIPPED = (
    ZooModel(
        name="face_68",
        scheme="ibug_68",
        input_size=128,
        trained_on="70,200 rendered faces, no image of a person",
        license="Apache-2.0",
        scores=_helen((4.18, 0.9), (4.22, 1.5), (4.23, 1.8)),
        latency_ms=8.1,
        sha256={
            LITERT: "6c9901b2445220acacb5d90cd2c4dc449fbf246759f5dd7a0de4edb9293834dd",
            KERAS: "05b8ad33f304ef1f776f8ae110813a906be0fde747114b707c04afbfb05a843a",
        },
        folder=_FOLDER,
    ),
    ZooModel(
        name="face_68_fast",
        scheme="ibug_68",
        input_size=128,
        trained_on="46,745 rendered faces, no image of a person",
        license="Apache-2.0",
        scores=_helen((4.43, 3.3), (4.50, 3.0), (4.48, 2.1)),
        latency_ms=1.4,
        sha256={
            LITERT: "9f9f1d603a44c060d36752d0d1529ed9130d3ad403a8d6547c4e34cb23b26783",
            KERAS: "47855f10f70611fa256f732c0bc517b01167bc2af7dfad57386df2faa2ed19df",
        },
        folder=_FOLDER,
    ),
)
