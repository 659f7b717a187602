"""Encoding of landmarks as heatmaps and boundary maps, and decoding."""

from wing_tf.codecs.boundary import boundary_map, sample_curves
from wing_tf.codecs.heatmap import DECODERS, HeatmapCodec

__all__ = ["DECODERS", "HeatmapCodec", "boundary_map", "sample_curves"]
