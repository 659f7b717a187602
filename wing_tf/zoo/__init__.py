"""Models that come with the package, by name."""

import pathlib

from wing_tf.utils.did_you_mean import did_you_mean

MODELS = {"face_68": "face_68.tflite"}
"""File of each model. ``face_68``: the 68 landmarks of ``ibug_68``, trained on rendered faces."""

DEFAULT_MODEL = "face_68"


def model_path(name: str = DEFAULT_MODEL) -> pathlib.Path:
    """Returns the file of a model of `MODELS`.

    Raises:
        ValueError: If there is no model of that name.
    """
    if name not in MODELS:
        raise ValueError(
            f"No model {name!r}.{did_you_mean(name, MODELS)} There are {', '.join(MODELS)}."
        )
    return pathlib.Path(__file__).with_name(MODELS[name])
