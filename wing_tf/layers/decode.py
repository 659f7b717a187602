"""Heatmaps to landmarks, inside a graph."""

import keras

from wing_tf.codecs import HeatmapCodec


@keras.saving.register_keras_serializable(package="wing_tf")
class DecodeHeatmaps(keras.layers.Layer):
    """Finds the landmarks in heatmaps, as `wing_tf.codecs.HeatmapCodec.decode`.

    Args:
        num_landmarks: K; maps beyond it (the boundary) are left alone.
        codec: arguments of a `HeatmapCodec`.
        **kwargs: of ``keras.layers.Layer``; computes in float32 whatever the policy.

    Call arguments:
        maps: [B, h, w, K or more].
        residuals: [B, K, 2], heatmap pixels, or None.

    Returns:
        Landmarks [B, K, 2] in input pixels and scores [B, K].
    """

    def __init__(self, num_landmarks: int, codec: dict, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.num_landmarks = num_landmarks
        self.codec = HeatmapCodec(**codec)

    def call(self, maps, residuals=None):
        """Decodes."""
        return self.codec.decode(maps[..., : self.num_landmarks], residuals)

    def compute_output_shape(self, maps_shape, residuals_shape=None):
        """Returns [B, K, 2] and [B, K]."""
        del residuals_shape
        shape = (maps_shape[0], self.num_landmarks)
        return (*shape, 2), shape

    def get_config(self):
        """Returns what the constructor takes."""
        own = {"num_landmarks": self.num_landmarks, "codec": self.codec.get_config()}
        return super().get_config() | own
