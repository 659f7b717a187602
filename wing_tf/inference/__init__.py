"""Using a model: a picture in, landmarks in its pixels out."""

from wing_tf.detection import HaarDetector
from wing_tf.inference.landmarker import Landmarker, LocatedFace

__all__ = ["HaarDetector", "Landmarker", "LocatedFace"]
