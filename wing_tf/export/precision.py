"""The precisions that files of weights have."""

import numpy as np

PRECISIONS = ("float32", "float16", "dynamic", "int8")


def check_precision(precision: str, calibration: np.ndarray | None) -> None:
    """Raises ValueError on an unknown precision, or on int8 without crops to calibrate it."""
    if precision not in PRECISIONS:
        raise ValueError(f"`precision` must be one of {PRECISIONS}. Received: {precision!r}.")
    if precision == "int8" and (calibration is None or not len(calibration)):
        raise ValueError("int8 takes its ranges from typical crops: `calibration` must hold some.")
