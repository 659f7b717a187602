"""From a network that emits heatmaps to one that emits landmarks."""

import keras

from wing_tf.codecs import HeatmapCodec
from wing_tf.layers import DecodeHeatmaps

_DECODE = "decode"


def heatmap_localizer(network: keras.Model, num_landmarks: int, codec: HeatmapCodec) -> keras.Model:
    """Returns a network with its last maps decoded: what is judged, saved and used.

    Args:
        network: from images to what a stack emits, or to a list of that, one a stack: heatmaps,
            or a dictionary of ``maps`` and ``residuals`` [B, K, 2], which are added to what is
            found in the maps. It is shared, not copied: training it trains the result.
        num_landmarks: K.
        codec: how the maps were drawn.

    Returns:
        A functional model from images to ``{"landmarks": [B, K, 2], "scores": [B, K]}``: input
        pixels, and the maps' peaks in 0..1. What only earlier stacks' maps need is not in it.

    Raises:
        ValueError: if the network's input or maps are not those of the codec, or too few.
    """
    last, image = network.output, network.inputs[0]
    last = last[-1] if isinstance(last, list) else last
    maps, residuals = (last["maps"], last["residuals"]) if isinstance(last, dict) else (last, None)
    side = codec.heatmap_size
    if tuple(maps.shape[1:3]) != (side, side) or maps.shape[-1] < num_landmarks:
        raise ValueError(
            f"The network must emit {num_landmarks} or more maps of {side} x {side} pixels. "
            f"Received: {tuple(maps.shape)}."
        )
    if tuple(image.shape[1:3]) != (codec.input_size, codec.input_size):
        raise ValueError(
            f"The codec is for inputs of {codec.input_size} pixels, the network takes "
            f"{tuple(image.shape[1:3])}."
        )
    decode = DecodeHeatmaps(num_landmarks, codec.get_config(), name=_DECODE)
    landmarks, scores = decode(maps) if residuals is None else decode(maps, residuals)
    outputs = {"landmarks": landmarks, "scores": scores}
    return keras.Model(image, outputs, name=network.name)


def heatmap_network(localizer: keras.Model) -> tuple[keras.Model, HeatmapCodec] | None:
    """Returns the network of maps inside of a `heatmap_localizer`, and its codec.

    Returns:
        A functional model from images to maps [B, h, w, K or K + 1], before the codec's
        activation, of which the first K are the landmarks', and the codec; None if the network
        decodes no maps.
    """
    found = _decoder(localizer)
    if found is None:
        return None
    layer, inputs = found
    return keras.Model(localizer.input, inputs[0]), layer.codec


def residual_network(localizer: keras.Model) -> keras.Model | None:
    """Returns what emits the residuals [B, K, 2], heatmap pixels, inside of a `heatmap_localizer`.

    None if it has none.
    """
    found = _decoder(localizer)
    if found is None or len(found[1]) < 2:
        return None
    return keras.Model(localizer.input, found[1][1])


def _decoder(localizer: keras.Model) -> tuple[DecodeHeatmaps, list] | None:
    """Returns the layer that decodes maps, and what goes into it."""
    for layer in localizer.layers:
        if isinstance(layer, DecodeHeatmaps) and layer.name == _DECODE:
            inputs = layer.input
            return layer, list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    return None
