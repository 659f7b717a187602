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
            LITERT: "c1353b2b698dea9de5e3b649f3e0c11a27770f1f7b003383899629d0926bb4c2",
            KERAS: "16d2a83511ad0ef9eb703e22fcd052cca72f66337b705839ff348a0d02f70283",
        },
        folder=_FOLDER,
    ),
)
