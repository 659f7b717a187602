"""Landmarks and what a network emits for them: encoding and decoding in one place."""

from wing_tf.codecs.boundary import boundary_map, sample_curves
from wing_tf.codecs.heatmap import DECODERS, HeatmapCodec

__all__ = ["DECODERS", "HeatmapCodec", "boundary_map", "sample_curves"]
