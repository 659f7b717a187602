"""Landmarks and what a network emits for them: each codec encodes and decodes, so neither drifts."""

from wing_tf.codecs.boundary import boundary_map, sample_curves
from wing_tf.codecs.heatmap import DECODERS, HeatmapCodec

__all__ = ["DECODERS", "HeatmapCodec", "boundary_map", "sample_curves"]
