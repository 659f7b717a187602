"""The network with its augmenter, as one Keras model for ``fit``."""

from collections.abc import Callable

import keras

from wing_tf.data.augment import Augmenter


class LandmarkTrainer(keras.Model):
    """Augments each batch on the device, inside the train step, and fits the network to it.

    Only training wraps a network in this class; what is saved is the plain network.

    Args:
        network: pictures to landmarks, or to maps, or to a list of maps.
        augmenter: record batches to pictures, targets and weights.

    Attributes:
        forward: a function that computes what the network does in another way; None: it itself.
    """

    def __init__(self, network: keras.Model, augmenter: Augmenter):
        super().__init__(name="trainer")
        self.network = network
        self.forward: Callable | None = None
        self.augmenter = augmenter
        self.build(network.input_shape)

    def build(self, input_shape):
        """Does nothing: the network is built already."""
        self.built = True

    def _symbolic_build(self, iterator=None, data_batch=None):
        # Under a strategy, Keras calls this before the first step and would run `call` on a raw
        # record batch, which only `train_step` understands. All that it builds is built already,
        # but for the optimizer's state.
        self.optimizer.build(self.trainable_variables)

    def call(self, inputs, training=None):
        """Runs the network."""
        return (self.forward or self.network)(inputs, training=training)

    def train_step(self, data):
        """Takes a batch of `wing_tf.data.read.training_batches`."""
        return self.learn(self.augmenter(data))

    def learn(self, batch):
        """Fits an augmented batch: forward, loss, backward, update.

        Args:
            batch: pictures, targets (landmarks or maps) and weights, as the augmenter returns them.
        """
        return super().train_step(batch)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the loss; its sum over the outputs of a network of several stacks.

        All of them have the same targets. One loss for all, not Keras' list of losses: that makes
        a metric for each inside of the step, which fails on several devices.
        """
        stacks = y_pred if isinstance(y_pred, list) else [y_pred]
        total = super().compute_loss(x, y, stacks[0], sample_weight, training)
        for maps in stacks[1:]:
            total = total + self._compile_loss(y, maps, sample_weight)
        return total

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates and returns the metrics, which are of the last stack."""
        last = y_pred[-1] if isinstance(y_pred, list) else y_pred
        return super().compute_metrics(x, y, last, sample_weight)
