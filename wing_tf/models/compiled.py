"""Networks as compiled functions of NumPy images."""

from collections.abc import Callable

import keras
import numpy as np


def compile_localizer(
    network: keras.Model,
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]:
    """Returns a network as a function of images that is traced once for all batch sizes.

    The function takes images [B, side, side, 3], 0..255, and returns landmarks [B, K, 2] in their
    pixels and scores [B, K], or None for the scores if the network has none.
    """
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)]
    traced = tf.function(lambda image: network(image, training=False), input_signature=signature)

    def run(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        out = traced(tf.constant(image, tf.float32))
        if isinstance(out, dict):
            return out["landmarks"].numpy(), out["scores"].numpy()
        return out.numpy(), None

    return run


def compile_network(network: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a network as a function of images to landmarks; see `compile_localizer`."""
    run = compile_localizer(network)
    return lambda image: run(image)[0]
