"""Landmarks of images and videos: `Landmarker`, `Tracker` and what they need.

`Landmarker`, `Face`, `Tracker` and `OneEuroFilter` need NumPy and, for exported models, LiteRT.
Names are imported at their first use, so that these four work where OpenCV is not installed. The
distribution ``wing-tf-runtime`` consists of the same files.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wing_tf.detection import BlazeFaceDetector, HaarDetector, make_detector
    from wing_tf.inference.face import Face
    from wing_tf.inference.images import as_rgb
    from wing_tf.inference.landmarker import Landmarker
    from wing_tf.inference.smoothing import OneEuroFilter
    from wing_tf.inference.tracker import Tracker
    from wing_tf.inference.video import open_video
    from wing_tf.inference.video_writer import VideoWriter

_MODULES = {
    "BlazeFaceDetector": "wing_tf.detection",
    "Face": "wing_tf.inference.face",
    "HaarDetector": "wing_tf.detection",
    "Landmarker": "wing_tf.inference.landmarker",
    "OneEuroFilter": "wing_tf.inference.smoothing",
    "Tracker": "wing_tf.inference.tracker",
    "VideoWriter": "wing_tf.inference.video_writer",
    "as_rgb": "wing_tf.inference.images",
    "make_detector": "wing_tf.detection",
    "open_video": "wing_tf.inference.video",
}

__all__ = [
    "BlazeFaceDetector",
    "Face",
    "HaarDetector",
    "Landmarker",
    "OneEuroFilter",
    "Tracker",
    "VideoWriter",
    "as_rgb",
    "make_detector",
    "open_video",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
