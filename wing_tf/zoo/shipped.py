"""The models that come with the package."""

import pathlib

from wing_tf.zoo.zoo_model import KERAS, LITERT, Score, ZooModel

_FOLDER = pathlib.Path(__file__).parent

DEFAULT_MODEL = "face_68"

SHIPPED = (
    ZooModel(
        name="face_68",
        scheme="ibug_68",
        input_size=128,
        trained_on="70,200 rendered faces, no image of a person",
        license="Apache-2.0",
        scores=(
            Score(data="Helen test, 330 faces", boxes="ground truth", nme=4.18, fr8=0.9),
            Score(
                data="Helen test, 330 faces", boxes="moved and scaled by 10 %", nme=4.22, fr8=1.5
            ),
            Score(data="Helen test, 330 faces", boxes="BlazeFace", nme=4.23, fr8=1.8),
        ),
        latency_ms=8.1,
        sha256={
            LITERT: "9b686778e89838a632b54909172058c92f6b700aa41edb79bdb5fcc9c12034b5",
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
        scores=(
            Score(data="Helen test, 330 faces", boxes="ground truth", nme=4.43, fr8=3.3),
            Score(
                data="Helen test, 330 faces", boxes="moved and scaled by 10 %", nme=4.50, fr8=3.0
            ),
            Score(data="Helen test, 330 faces", boxes="BlazeFace", nme=4.48, fr8=2.1),
        ),
        latency_ms=1.4,
        sha256={
            LITERT: "f37ba098047f8067da8551411d2d7c87d39f90733a2a9fb2059cdd2c34e4bc17",
            KERAS: "47855f10f70611fa256f732c0bc517b01167bc2af7dfad57386df2faa2ed19df",
        },
        folder=_FOLDER,
    ),
)
