"""Stacked hourglasses that forget what is inside each of them until the gradients need it."""

import math

import keras
import tensorflow as tf


class CheckpointedStacks:
    """A stacked hourglass as a function that keeps only what goes from stack to stack.

    The stem and each hourglass run as one piece each; for the gradients each piece is run
    again, so that the inside of only one of them is in memory at a time. Same outputs, same
    gradients, same batch statistics, a quarter more time (``docs/performance.md``).

    ``keras.RematScope`` works layer by layer: what a layer keeps is mostly its input, which
    is another one's output, and nothing would be saved.

    Args:
        network: of `wing_tf.models.stacked_hourglass`, several stacks; its batch normalization is
            changed: a piece that is run twice updates its moving averages twice with the same
            values, which is one update with the square of their momentum.

    Raises:
        ValueError: if the network is not of several stacks.
    """

    def __init__(self, network: keras.Model):
        if len(network.outputs) < 2:
            raise ValueError(f"{network.name} has one stack: there is nothing to recompute.")
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = math.sqrt(layer.momentum)
        count = len(network.outputs)
        between = [network.get_layer(f"stack{i}_out").output for i in range(1, count)]
        stem = network.get_layer("stem_block3_sum").output
        self._pieces = [keras.Model(network.inputs[0], stem)]
        for i, maps in enumerate(network.outputs):
            # Features, and the maps before, whose boundary the CoordConv may read.
            inputs = [stem if i == 0 else between[i - 1], *network.outputs[max(i - 1, 0) : i]]
            self._pieces.append(keras.Model(inputs, [maps, *between[i : i + 1]]))

    def __call__(self, image, training=None):
        """Returns the network's outputs for images."""
        features, outputs = None, []
        for number, piece in enumerate(self._pieces):
            inputs = [image] if number == 0 else [features, *outputs[-1:]]
            found = _run_again(piece, inputs) if training else _run(piece, inputs, False)
            outputs += found[:1] if number else []
            features = found[-1]
        return outputs


def _run(piece: keras.Model, inputs: list, training: bool) -> list:
    return tf.nest.flatten(piece(inputs if len(inputs) > 1 else inputs[0], training=training))


def _run_again(piece: keras.Model, inputs: list) -> list:
    """Runs a piece for training, and once more where its gradients are computed.

    ``tf.recompute_grad`` does not say when: in a graph, it may be at once, and all is kept.
    """

    @tf.custom_gradient
    def run(*inputs):
        def gradient(*upstream, variables=()):
            # 0, but not before the gradients from above are there: TensorFlow's optimizer drops
            # control dependencies, and the piece would be run again at once, and kept.
            first = [tf.cast(tf.reshape(u, [-1])[0], tf.float32) for u in upstream]
            late = tf.add_n(first) > tf.float32.max
            again = [x + tf.cast(late, x.dtype) for x in inputs]
            with tf.GradientTape() as tape:
                tape.watch(again)
                outputs = _run(piece, again, True)
            gradients = tape.gradient(
                outputs,
                [*again, *variables],
                output_gradients=list(upstream),
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            return gradients[: len(again)], gradients[len(again) :]

        return _run(piece, list(inputs), True), gradient

    return tf.nest.flatten(run(*inputs))
