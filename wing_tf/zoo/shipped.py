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
        trained_on="23,400 rendered faces, no image of a person",
        license="Apache-2.0",
        scores=(
            Score(data="Helen test, 330 faces", boxes="ground truth", nme=4.64, fr8=3.0),
            Score(
                data="Helen test, 330 faces", boxes="moved and scaled by 10 %", nme=4.66, fr8=3.9
            ),
            Score(data="Helen test, 330 faces", boxes="BlazeFace", nme=4.64, fr8=3.9),
        ),
        latency_ms=7.0,
        sha256={
            LITERT: "85282ff9f7c1a16cfb2cbf95fe2c07f52a81b189a169ad1c53c3ddb851eab4dd",
            KERAS: "70183e4a227b0c3cd3654ef187e9fe74f49953913bc640ed89e743fdc6732a3a",
        },
        folder=_FOLDER,
    ),
)
