"""Networks as compiled functions of NumPy images."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from wing_tf.model_spec import ordered_outputs

Localizer = Callable[[np.ndarray], tuple[Any, ...]]
"""Images [B, side, side, 3] to the outputs of `wing_tf.model_spec.ordered_outputs`."""


def compile_localizer(network: keras.Model) -> Localizer:
    """Returns a network as a function of images that is traced once for all batch sizes."""
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)]
    traced = tf.function(
        lambda image: network(image, training=False), input_signature=signature, autograph=False
    )

    def run(image: np.ndarray) -> tuple[Any, ...]:
        out = traced(tf.constant(image, tf.float32))
        out = out if isinstance(out, dict) else {"landmarks": out}
        return ordered_outputs({name: values.numpy() for name, values in out.items()})

    return run


def compile_network(network: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a network as a function of images to landmarks; see `compile_localizer`."""
    run = compile_localizer(network)
    return lambda image: run(image)[0]
