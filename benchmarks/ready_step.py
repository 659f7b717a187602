"""The trainer's step on an augmented batch, executed as in a training on this machine."""

import keras
import numpy as np
import tensorflow as tf

from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.landmarks import get_scheme
from wing_tf.losses import WingLoss
from wing_tf.models import MODELS
from wing_tf.training.accelerator import ExecutionPlan, plan_execution
from wing_tf.training.resolve import complete_config
from wing_tf.training.trainer import compile_trainer

SCHEME = get_scheme("ibug_68")
RATE, MOMENTUM = 1e-3, 0.9


def default_plan(precision: str = "auto") -> ExecutionPlan:
    """Returns the execution that the trainer chooses on this machine."""
    return plan_execution(complete_config({"precision": precision}))


class ReadyStep:
    """Forward, Wing loss, backward and SGD with momentum on a random batch, at each call.

    Args:
        network_name: Name in the registry.
        batch_size: Number of faces.
        execution: How the step is executed; see `default_plan`.
        input_size: Input size of the network. Defaults to the network's own.
        optimizer: Defaults to SGD with momentum.
    """

    def __init__(self, network_name, batch_size, execution, input_size=None, optimizer=None):
        keras.utils.set_random_seed(0)
        options = {"input_size": input_size} if input_size else {}
        with execution.dtype_policy():
            self.network = MODELS[network_name](SCHEME.num_landmarks, **options)
        side = self.network.input_shape[1]
        augmenter = Augmenter(SCHEME, input_size=side, margin=1.1, augmentation=Augmentation())
        optimizer = optimizer or keras.optimizers.SGD(RATE, momentum=MOMENTUM)
        trainer = compile_trainer(self.network, augmenter, optimizer, WingLoss(), execution)
        random = np.random.default_rng(0)
        count = SCHEME.num_landmarks
        self.image = random.uniform(0, 255, (batch_size, side, side, 3)).astype(np.float32)
        self.landmarks = random.uniform(0, side, (batch_size, count, 2)).astype(np.float32)
        weights = np.ones((batch_size, count), np.float32)
        batch = tuple(map(tf.constant, (self.image, self.landmarks, weights)))
        self._step = tf.function(
            lambda: trainer.learn(batch), jit_compile=execution.compile_step or None
        )

    def __call__(self):
        """Takes a step."""
        self._step()
