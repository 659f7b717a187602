"""Landmarks on a device: an exported file, LiteRT's interpreter and NumPy; no TensorFlow.

This package and what it imports (`wing_tf.geometry`, `wing_tf.landmarks`, `wing_tf.utils`) need
nothing but NumPy, and ``ai-edge-litert`` once a file is opened. They are also a distribution of
their own, ``wing-tf-runtime``.
"""

from wing_tf.model_spec import ModelSpec, read_model_spec
from wing_tf.runtime.faces import LocatedFace
from wing_tf.runtime.landmarker import Landmarker
from wing_tf.runtime.smoothing import OneEuroFilter
from wing_tf.runtime.tracking import Tracker

__all__ = [
    "Landmarker",
    "LocatedFace",
    "ModelSpec",
    "OneEuroFilter",
    "Tracker",
    "read_model_spec",
]
