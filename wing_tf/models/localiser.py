"""From a network that emits heatmaps to one that emits landmarks."""

import keras

from wing_tf.codecs import HeatmapCodec
from wing_tf.layers import DecodeHeatmaps


def heatmap_localiser(network: keras.Model, num_landmarks: int, codec: HeatmapCodec) -> keras.Model:
    """Returns a network with its last maps decoded: what is judged, saved and used.

    Args:
        network: from pictures to heatmaps, or to a list of them, one a stack. It is shared, not
            copied: training it trains the result.
        num_landmarks: K.
        codec: how the maps were drawn.

    Returns:
        A functional model from pictures to ``{"landmarks": [B, K, 2], "scores": [B, K]}``: input
        pixels, and the maps' peaks in 0..1. What only earlier stacks' maps need is not in it.
    """
    maps = network.outputs[-1]
    decode = DecodeHeatmaps(num_landmarks, codec.get_config(), name="decode")
    landmarks, scores = decode(maps)
    outputs = {"landmarks": landmarks, "scores": scores}
    return keras.Model(network.inputs[0], outputs, name=network.name)
