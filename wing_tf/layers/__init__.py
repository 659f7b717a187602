"""Layers and batched image operations that Keras does not have."""

from wing_tf.layers.align import AffineCrop, AlignToShape, InverseAffine, ResizedCenterCrop
from wing_tf.layers.blur import gaussian_blur
from wing_tf.layers.channels import ReverseChannels
from wing_tf.layers.coordinates import CoordinateChannels
from wing_tf.layers.decode import DecodeHeatmaps
from wing_tf.layers.warp import warp_affine

__all__ = [
    "AffineCrop",
    "AlignToShape",
    "CoordinateChannels",
    "DecodeHeatmaps",
    "InverseAffine",
    "ResizedCenterCrop",
    "ReverseChannels",
    "gaussian_blur",
    "warp_affine",
]
