"""Using a model: a picture in, landmarks in its pixels out."""

from wing_tf.detection import HaarDetector
from wing_tf.inference.landmarker import Landmarker
from wing_tf.inference.pictures import as_rgb
from wing_tf.runtime import LocatedFace

__all__ = ["HaarDetector", "Landmarker", "LocatedFace", "as_rgb"]
