"""Networks as compiled functions of NumPy images."""

from collections.abc import Callable

import keras
import numpy as np

Localizer = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
"""Images [B, side, side, 3] to landmarks [B, K, 2] in their pixels and scores [B, K] or None."""


def compile_localizer(network: keras.Model) -> Localizer:
    """Returns a network as a function of images that is traced once for all batch sizes.

    Scores are None if the network has none.
    """
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)]
    traced = tf.function(lambda image: network(image, training=False), input_signature=signature)

    def run(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        out = traced(tf.constant(image, tf.float32))
        if isinstance(out, dict):
            scores = out["scores"].numpy() if "scores" in out else None
            return out["landmarks"].numpy(), scores
        return out.numpy(), None

    return run


def compile_network(network: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a network as a function of images to landmarks; see `compile_localizer`."""
    run = compile_localizer(network)
    return lambda image: run(image)[0]
