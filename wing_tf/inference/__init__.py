"""Using a model: images and videos in, landmarks in their pixels out."""

from wing_tf.detection import HaarDetector, make_detector
from wing_tf.inference.images import as_rgb
from wing_tf.inference.landmarker import Landmarker
from wing_tf.inference.video import VideoWriter, open_video
from wing_tf.runtime import LocatedFace, OneEuroFilter, Tracker

__all__ = [
    "HaarDetector",
    "Landmarker",
    "LocatedFace",
    "OneEuroFilter",
    "Tracker",
    "VideoWriter",
    "as_rgb",
    "make_detector",
    "open_video",
]
