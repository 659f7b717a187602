"""Formats of exported files and precisions of their weights."""

from collections.abc import Sized

FORMATS = {"litert": "model.tflite", "saved_model": "saved_model", "onnx": "model.onnx"}
"""Name of the file or folder by format."""

PRECISIONS = ("float32", "float16", "dynamic", "int8")


def check_precision(precision: str, calibration: Sized | None) -> None:
    """Raises ValueError for an unknown precision, or for int8 without crops to calibrate on."""
    if precision not in PRECISIONS:
        raise ValueError(f"`precision` must be one of {PRECISIONS}. Received: {precision!r}.")
    if precision == "int8" and (calibration is None or not len(calibration)):
        raise ValueError("int8 takes its ranges from typical crops: `calibration` must hold some.")
