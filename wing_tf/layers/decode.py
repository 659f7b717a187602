"""Heatmap decoding as a layer."""

import keras

from wing_tf.codecs.heatmap import HeatmapCodec
from wing_tf.layers.align import Float32Layer


@keras.saving.register_keras_serializable(package="wing_tf")
class DecodeHeatmaps(Float32Layer):
    """Decodes heatmaps to landmarks with `wing_tf.codecs.HeatmapCodec.decode`.

    Args:
        num_landmarks: Number of landmarks K. Further maps (the boundary map) are ignored.
        codec: A `HeatmapCodec`, or its arguments.
        **kwargs: Arguments of `keras.layers.Layer`. `dtype` defaults to float32.

    Call arguments:
        maps: Heatmaps [B, h, w, K or more], as emitted by the network.
        residuals: Subpixel residuals [B, K, 2] in heatmap pixels, or None. Defaults to None.

    Returns:
        Landmarks [B, K, 2] in input pixels and scores [B, K].
    """

    def __init__(self, num_landmarks: int, codec: HeatmapCodec | dict, **kwargs):
        super().__init__(**kwargs)
        self.num_landmarks = num_landmarks
        self.codec = codec if isinstance(codec, HeatmapCodec) else HeatmapCodec(**codec)

    def call(self, maps, residuals=None):
        """Returns the landmarks and the scores."""
        self.compute_output_shape(maps.shape)
        return self.codec.decode(maps[..., : self.num_landmarks], residuals)

    def compute_output_shape(self, maps_shape, residuals_shape=None):
        """Returns [B, K, 2] and [B, K]. Raises ValueError if there are fewer than K maps."""
        del residuals_shape
        if maps_shape[-1] is not None and maps_shape[-1] < self.num_landmarks:
            raise ValueError(
                f"`maps` must be {self.num_landmarks} or more. Received: {tuple(maps_shape)}."
            )
        shape = (maps_shape[0], self.num_landmarks)
        return (*shape, 2), shape

    def get_config(self):
        """Returns the constructor's arguments."""
        own = {"num_landmarks": self.num_landmarks, "codec": self.codec.get_config()}
        return super().get_config() | own
