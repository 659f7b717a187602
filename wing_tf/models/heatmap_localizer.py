"""Landmark localizers that decode the heatmaps of a network."""

import keras

from wing_tf.codecs import HeatmapCodec
from wing_tf.layers import DecodeHeatmaps
from wing_tf.models.keras_settings import default_keras_settings
from wing_tf.models.visibility import visible_probability

_DECODE = "decode"


@default_keras_settings()
def heatmap_localizer(network: keras.Model, num_landmarks: int, codec: HeatmapCodec) -> keras.Model:
    """Returns a network with its last heatmaps decoded, as it is evaluated, saved and used.

    Args:
        network: From images to the output of one stack, or to a list with the output of each
            stack. An output is heatmaps, or a dictionary of ``maps`` and possibly ``residuals``
            [B, K, 2], which are added to the landmarks that are decoded from the maps, and the
            logits ``visibility`` [B, K]. The network is shared, not copied: training it trains the
            result.
        num_landmarks: Number of landmarks K.
        codec: Codec that encodes the heatmaps of the ground truth.

    Returns:
        A functional model from images to ``{"landmarks": [B, K, 2], "scores": [B, K]}``: input
        pixels, and the peak values of the heatmaps in 0..1; and possibly ``visibility`` [B, K],
        probabilities of being visible. Layers that only contribute to the heatmaps of earlier
        stacks are not part of it.

    Raises:
        ValueError: If the network's input or heatmaps do not have the codec's size, or if there
            are fewer than K heatmaps.
    """
    last, image = network.output, network.inputs[0]
    last = last[-1] if isinstance(last, (list, tuple)) else last
    last = last if isinstance(last, dict) else {"maps": last}
    if "maps" not in last:
        raise ValueError(f"The network must emit `maps`. Received: outputs {', '.join(last)}.")
    maps, residuals = last["maps"], last.get("residuals")
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
    if "visibility" in last:
        outputs["visibility"] = visible_probability(last["visibility"])
    return keras.Model(image, outputs, name=network.name)


def change_decoder(
    localizer: keras.Model, *, residuals: bool = True, **codec_options
) -> keras.Model:
    """Returns a `heatmap_localizer` whose heatmaps are decoded in another way; layers are shared.

    Args:
        localizer: A network of `heatmap_localizer`.
        residuals: Whether residuals, if it emits some, are added to the landmarks.
        **codec_options: Arguments of `HeatmapCodec` that replace those of its codec.

    Raises:
        ValueError: If the network does not decode heatmaps, or on an invalid argument.
    """
    found = _decoder(localizer)
    if found is None:
        raise ValueError(f"{localizer.name} does not decode heatmaps.")
    layer, inputs = found
    codec = HeatmapCodec(**(layer.codec.get_config() | codec_options))
    decode = DecodeHeatmaps(layer.num_landmarks, codec.get_config(), name=_DECODE)
    landmarks, scores = decode(*(inputs if residuals else inputs[:1]))
    outputs = dict(localizer.output) | {"landmarks": landmarks, "scores": scores}
    return keras.Model(localizer.input, outputs, name=localizer.name)


def heatmap_network(localizer: keras.Model) -> tuple[keras.Model, HeatmapCodec] | None:
    """Returns the network inside a `heatmap_localizer`, and the codec.

    Returns:
        A functional model from images to heatmaps [B, h, w, K or K + 1] before the codec's
        activation, of which the first K are those of the landmarks, and the codec. None if the
        network does not decode heatmaps.
    """
    found = _decoder(localizer)
    if found is None:
        return None
    layer, inputs = found
    return keras.Model(localizer.input, inputs[0]), layer.codec


def residual_network(localizer: keras.Model) -> keras.Model | None:
    """Returns the network inside a `heatmap_localizer` that emits the residuals.

    Returns:
        A functional model from images to residuals [B, K, 2] in heatmap pixels; None if the
        network has no residuals.
    """
    found = _decoder(localizer)
    if found is None or len(found[1]) < 2:
        return None
    return keras.Model(localizer.input, found[1][1])


def _decoder(localizer: keras.Model) -> tuple[DecodeHeatmaps, list] | None:
    """Returns the decoding layer and its inputs."""
    for layer in localizer.layers:
        if isinstance(layer, DecodeHeatmaps) and layer.name == _DECODE:
            inputs = layer.input
            return layer, list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    return None
