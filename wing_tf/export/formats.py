"""Formats of exported files and precisions of their weights."""

from collections.abc import Sized

import numpy as np

FORMATS = {"litert": "model.tflite", "saved_model": "saved_model", "onnx": "model.onnx"}
"""Name of the file or folder by format."""

PRECISIONS = ("float32", "float16", "dynamic", "int8")


def check_precision(precision: str, calibration: Sized | None) -> None:
    """Raises ValueError for an unknown precision, or for int8 without crops to calibrate on."""
    if precision not in PRECISIONS:
        raise ValueError(f"`precision` must be one of {PRECISIONS}. Received: {precision!r}.")
    if precision == "int8" and (calibration is None or not len(calibration)):
        raise ValueError("int8 takes its ranges from typical crops: `calibration` must hold some.")


def calibration_batches(crops: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Returns crops [N, ...] in batches of a fixed size, the last one filled with the first crops.

    Black crops would widen int8's ranges.
    """
    filled = np.resize(crops, (-(-len(crops) // batch_size) * batch_size, *crops.shape[1:]))
    return np.split(filled, len(filled) // batch_size)
