"""Layers and tensor functions that Keras lacks."""

from wing_tf.layers.align import AlignToShape, CenterCrop, CropByMap, MapPointsBack
from wing_tf.layers.blur import gaussian_blur
from wing_tf.layers.coordinates import CoordinateChannels
from wing_tf.layers.decode import DecodeHeatmaps
from wing_tf.layers.warp import warp_affine

__all__ = [
    "AlignToShape",
    "CenterCrop",
    "CoordinateChannels",
    "CropByMap",
    "DecodeHeatmaps",
    "MapPointsBack",
    "gaussian_blur",
    "warp_affine",
]
