"""The model that comes with this package."""

import pathlib


def shipped_model() -> pathlib.Path:
    """Returns the file of the model that comes with this package, of 68 points (``ibug_68``)."""
    return pathlib.Path(__file__).parent / "models" / "face_68.tflite"
