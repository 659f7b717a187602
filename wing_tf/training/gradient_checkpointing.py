"""Gradient checkpointing per hourglass."""

import math

import keras
import tensorflow as tf


class CheckpointedStacks:
    """A stacked hourglass as a function that recomputes its activations for the gradients.

    The stem and each hourglass run as one piece each, and only the tensors between pieces are kept.
    For the gradients each piece runs once more, so that the activations of one piece at a time are
    in memory. Outputs, gradients and batch statistics are the same, at 25 % more time
    (``docs/performance/training.md``).

    ``keras.RematScope`` works layer by layer: most of what a layer keeps is its input, which is
    another layer's output, so that it would save nothing here.

    Args:
        network: A network of `wing_tf.models.stacked_hourglass` with several hourglasses. The
            momentum of its batch normalization is changed to its square root: a piece that runs
            twice updates its moving averages twice with the same values.

    Raises:
        ValueError: If the network has fewer than two hourglasses.
    """

    def __init__(self, network: keras.Model):
        outputs = network.output if isinstance(network.output, list) else [network.output]
        if len(outputs) < 2:
            raise ValueError(f"{network.name} has one hourglass: there is nothing to recompute.")
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = math.sqrt(layer.momentum)
        count = len(outputs)
        between = [network.get_layer(f"stack{i}_out").output for i in range(1, count)]
        stem = network.get_layer("stem_block3_sum").output
        self._pieces = [keras.Model(network.inputs[0], stem)]
        for i, maps in enumerate(outputs):
            # Features, and the previous maps, whose boundary map CoordConv may read.
            inputs = [stem if i == 0 else between[i - 1], *outputs[max(i - 1, 0) : i]]
            found = maps if isinstance(maps, dict) else {"maps": maps}
            self._pieces.append(keras.Model(inputs, [*found.values(), *between[i : i + 1]]))
        # The last hourglass may emit more than maps.
        self._last_names = list(found) if isinstance(maps, dict) else None

    def __call__(self, image, training=None):
        """Returns the network's outputs for images."""
        features, outputs = None, []
        for number, piece in enumerate(self._pieces):
            inputs = [image] if number == 0 else [features, *outputs[-1:]]
            found = _run_twice(piece, inputs) if training else _run(piece, inputs, False)
            outputs += found[:1] if number else []
            features = found[-1]
        if self._last_names:
            outputs[-1] = dict(zip(self._last_names, found, strict=True))
        return outputs


def _run(piece: keras.Model, inputs: list, training: bool) -> list:
    return tf.nest.flatten(piece(inputs if len(inputs) > 1 else inputs[0], training=training))


def _run_twice(piece: keras.Model, inputs: list) -> list:
    """Runs a piece for training, and once more when its gradients are computed.

    ``tf.recompute_grad`` does not fix the time: a graph may recompute at once and keep everything.
    """

    @tf.custom_gradient
    def run(*inputs):
        def gradient(*upstream, variables=()):
            # `late` is false, but depends on the upstream gradients. TensorFlow's graph optimizer
            # drops control dependencies; without a data dependency the piece would run at once.
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
