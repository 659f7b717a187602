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
        trained_on="9000 rendered faces, no image of a person",
        license="Apache-2.0",
        scores=(
            Score(data="Helen test, 330 faces", boxes="ground truth", nme=5.38, fr8=7.0),
            Score(
                data="Helen test, the 318 faces that Haar finds", boxes="Haar", nme=5.52, fr8=8.8
            ),
        ),
        latency_ms=7.0,
        sha256={
            LITERT: "988e6761fb903ac4bc51b92e66d2a728cf3e56edf2a37dc2d3afa0583ae37ae7",
            KERAS: "9f139b80c5f9dc4caf308012ec77ba90670d1ea68fde9d6ec6c72cef2bf60c11",
        },
        folder=_FOLDER,
    ),
)
