"""Visibility of landmarks, a further output of networks.

A network that is trained emits logits; the localizer, which is evaluated, saved and exported, emits
probabilities of being visible.
"""

import keras
from keras import layers

from wing_tf.models.keras_settings import default_keras_settings

HEAD = "visibility"
"""Prefix of the names of the layers that only the visibility needs."""


def visibility_head(features, num_landmarks: int):
    """Maps features [B, F], or feature maps [B, h, w, C], to logits [B, K] of being visible.

    It is float32 under mixed precision, as all output layers.
    """
    if len(features.shape) == 4:
        features = layers.Flatten("channels_last", name=f"{HEAD}_flat")(features)
    return layers.Dense(num_landmarks, dtype="float32", name=HEAD)(features)


def visible_probability(logits):
    """Maps logits [B, K] of `visibility_head` to probabilities of being visible."""
    return layers.Activation("sigmoid", dtype="float32", name=f"{HEAD}_probability")(logits)


@default_keras_settings()
def visibility_localizer(network: keras.Model) -> keras.Model:
    """Returns a network that emits landmarks, as it is evaluated, saved and used.

    Args:
        network: From images to landmarks, or to a dictionary of ``landmarks`` and of logits
            ``visibility``. It is shared, not copied: training it trains the result.

    Returns:
        A network that emits landmarks itself; else a functional model from images to
        ``{"landmarks": [B, K, 2], "visibility": [B, K]}``, probabilities of being visible.
    """
    found = network.output
    if not isinstance(found, dict):
        return network
    outputs = {
        "landmarks": found["landmarks"],
        "visibility": visible_probability(found["visibility"]),
    }
    return keras.Model(network.input, outputs, name=network.name)


def without_visibility(network: keras.Model) -> keras.Model:
    """Returns a network of `visibility_localizer` with the landmarks as its only output."""
    if not isinstance(network.output, dict) or set(network.output) != {"landmarks", "visibility"}:
        return network
    return keras.Model(network.input, network.output["landmarks"], name=network.name)
