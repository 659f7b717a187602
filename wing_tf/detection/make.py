"""Registry of the detectors that commands offer."""

import os
from typing import Any

from wing_tf.detection.blazeface import BlazeFaceDetector
from wing_tf.detection.box_file import BoxFile
from wing_tf.detection.correction import Correction
from wing_tf.detection.detector import Detector
from wing_tf.detection.haar import HaarDetector
from wing_tf.detection.whole_image import WholeImage
from wing_tf.detection.yunet import YuNetDetector
from wing_tf.utils.did_you_mean import did_you_mean

DETECTORS = {
    "blazeface": None,
    "haar": None,
    "yunet": "model_path",
    "boxes": "box_file",
    "whole": None,
}
"""Names of the detectors, and the argument of `make_detector` that is the file each one needs."""


_CLASSES: dict[str, type[Detector]] = {
    "blazeface": BlazeFaceDetector,
    "haar": HaarDetector,
    "yunet": YuNetDetector,
    "boxes": BoxFile,
    "whole": WholeImage,
}


def gives_boxes(detector: Any) -> bool:
    """Returns whether a detector or the one of a name gives boxes of the user.

    See `Detector.is_given`.
    """
    return getattr(_CLASSES[detector] if isinstance(detector, str) else detector, "is_given", False)


def check_detector_name(name: str) -> None:
    """Raises ValueError if a detector is not known."""
    if name not in DETECTORS:
        raise ValueError(
            f"Unknown detector {name!r}.{did_you_mean(name, DETECTORS)} "
            f"Expected one of: {', '.join(DETECTORS)}."
        )


def make_detector(
    name: str,
    *,
    model_path: str | os.PathLike | None = None,
    box_file: str | os.PathLike | None = None,
    correction: Correction | str | os.PathLike | None = None,
    levels: int | None = None,
) -> Detector:
    """Returns a detector by name.

    Args:
        name: "blazeface", "haar", "yunet", "boxes" (boxes of a file) or "whole" (the whole image is
            one face).
        model_path: The ``.onnx`` file of YuNet.
        box_file: See `BoxFile`.
        correction: A `Correction` or the file of one, of this detector. Defaults to its own.
        levels: Number of resolutions that "blazeface" searches; see `BlazeFaceDetector`.

    Raises:
        ValueError: If the name is not known, the detector's file is missing or not valid, or a file
            or `levels` is given that the detector does not use.
        ImportError: If a package that the detector needs is not installed.
    """
    check_detector_name(name)
    if correction is not None and not isinstance(correction, Correction):
        correction = Correction.load(correction, detector=name)
    for argument, path in {"model_path": model_path, "box_file": box_file}.items():
        if path and argument != DETECTORS[name]:
            raise ValueError(
                f"Detector {name!r} does not use `{argument}`. Received: {argument}={path}."
            )
    if name == "blazeface":
        return BlazeFaceDetector(levels=levels, correction=correction)
    if levels is not None:
        raise ValueError(f"Detector {name!r} does not use `levels`. Received: levels={levels}.")
    if name == "yunet":
        if not model_path:
            raise ValueError("Detector 'yunet' needs `model_path`, its .onnx file.")
        return YuNetDetector(model_path, correction=correction)
    if name == "boxes":
        if not box_file:
            raise ValueError("Detector 'boxes' needs `box_file`.")
        return BoxFile(box_file, correction=correction)
    return _CLASSES[name](correction=correction)
