"""Layers and tensor functions that Keras lacks."""

from wing_tf.layers.align import AlignToShape, CentreCrop, CropByMap, MapPointsBack
from wing_tf.layers.blur import gaussian_blur
from wing_tf.layers.warp import warp_affine

__all__ = [
    "AlignToShape",
    "CentreCrop",
    "CropByMap",
    "MapPointsBack",
    "gaussian_blur",
    "warp_affine",
]
