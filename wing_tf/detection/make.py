"""Detectors by their names, as commands take them."""

import os

from wing_tf.detection.box_file import BoxFile
from wing_tf.detection.correction import Correction
from wing_tf.detection.haar import HaarDetector
from wing_tf.detection.whole_image import WholeImage
from wing_tf.detection.yunet import YuNetDetector
from wing_tf.utils.did_you_mean import did_you_mean

# Which file each needs.
DETECTORS = {"haar": None, "yunet": "model_path", "boxes": "box_file", "whole": None}


def check_detector_name(name: str) -> None:
    """Raises ValueError if there is no detector of this name."""
    if name not in DETECTORS:
        raise ValueError(
            f"No detector {name!r}.{did_you_mean(name, DETECTORS)} "
            f"There are {', '.join(DETECTORS)}."
        )


def make_detector(
    name: str,
    *,
    model_path: str | os.PathLike | None = None,
    box_file: str | os.PathLike | None = None,
    correction: Correction | str | os.PathLike | None = None,
) -> HaarDetector | YuNetDetector | BoxFile | WholeImage:
    """Returns a detector.

    Args:
        name: "haar", "yunet", "boxes" (a box file's) or "whole" (the image is the face's).
        model_path: YuNet's ``.onnx`` file.
        box_file: see `BoxFile`.
        correction: or the file of one; see `Correction`. The detector's own if None.

    Raises:
        ValueError: if there is no such detector, its file is missing or none of its kind, or a file
            is given that it has no use for.
    """
    check_detector_name(name)
    if correction is not None and not isinstance(correction, Correction):
        correction = Correction.load(correction)
    for argument, path in {"model_path": model_path, "box_file": box_file}.items():
        if path and argument != DETECTORS[name]:
            raise ValueError(f"Detector {name!r} has no use for `{argument}`. Received: {path}.")
    if name == "yunet":
        if not model_path:
            raise ValueError("Detector 'yunet' needs its model (.onnx): give `model_path`.")
        return YuNetDetector(model_path, correction=correction)
    if name == "boxes":
        if not box_file:
            raise ValueError("Detector 'boxes' needs its file of boxes: give `box_file`.")
        return BoxFile(box_file, correction=correction)
    return (HaarDetector if name == "haar" else WholeImage)(correction=correction)
