"""The trainer's step on an augmented batch, executed as in a training on this machine."""

import keras
import numpy as np
import tensorflow as tf

from wing_tf.codecs import HeatmapCodec
from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.landmarks import get_scheme
from wing_tf.losses import AdaptiveWingLoss, WeightedLossMap, WingLoss
from wing_tf.models import HEATMAP_MODELS, MODELS
from wing_tf.training.accelerator import ExecutionPlan, plan_execution
from wing_tf.training.resolve import complete_config
from wing_tf.training.trainer import compile_trainer

SCHEME = get_scheme("ibug_68")
RATE, MOMENTUM = 1e-3, 0.9
# The hourglass of configs/awing_300w_cpu.py:first.
HOURGLASS = {"num_stacks": 1, "features": 96, "input_size": 128, "boundary_coordinates": False}


def default_plan(precision: str = "auto") -> ExecutionPlan:
    """Returns the execution that the trainer chooses on this machine."""
    return plan_execution(complete_config({"precision": precision}))


class ReadyStep:
    """Forward, loss, backward and SGD with momentum on a random batch, at each call.

    The loss is Wing loss; that of hourglasses is Adaptive Wing loss with its weighted map.

    Args:
        network_name: Name in `MODELS`, or "hourglass".
        batch_size: Number of faces.
        execution: How the step is executed; see `default_plan`.
        input_size: Input size of the network. Defaults to the network's own.
        **options: Other arguments of the network.
    """

    def __init__(self, network_name, batch_size, execution, input_size=None, **options):
        keras.utils.set_random_seed(0)
        heatmaps = network_name == "hourglass"
        options = (HOURGLASS if heatmaps else {}) | options
        options |= {"input_size": input_size} if input_size else {}
        with execution.dtype_policy():
            network = (HEATMAP_MODELS | MODELS)[network_name]
            self.network = network(SCHEME.num_landmarks, **options)
        side = self.network.input_shape[1]
        augmenter = Augmenter(SCHEME, input_size=side, margin=1.1, augmentation=Augmentation())
        optimizer = keras.optimizers.SGD(RATE, momentum=MOMENTUM)
        self.loss = WeightedLossMap(AdaptiveWingLoss()) if heatmaps else WingLoss()
        trainer = compile_trainer(self.network, augmenter, optimizer, self.loss, execution)
        random = np.random.default_rng(0)
        self.image = random.uniform(0, 255, (batch_size, side, side, 3)).astype(np.float32)
        count = self.network.output_shape[-1] if heatmaps else SCHEME.num_landmarks
        landmarks = random.uniform(0, side - 1, (batch_size, count, 2)).astype(np.float32)
        weights = np.ones((batch_size, count), np.float32)
        self.targets = landmarks
        if heatmaps:
            codec = HeatmapCodec(input_size=side, heatmap_size=side // 4, sigma=1.0)
            self.targets = keras.ops.convert_to_numpy(codec.encode(landmarks, weights)[0])
        batch = tuple(map(tf.constant, (self.image, self.targets, weights)))
        self._step = tf.function(
            lambda: trainer.learn(batch), jit_compile=execution.compile_step or None
        )

    def __call__(self):
        """Takes a step."""
        self._step()


def gflop_per_face(network: keras.Model) -> float:
    """Returns multiplications and additions of the matrix products, forward and backward.

    Each layer has the gradient of its kernel and, except for the first one, of its input.
    """
    total, passes = 0.0, 2
    for layer in network.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            positions = np.prod(layer.output.shape[1:-1])  # 1 for a dense layer
            total += passes * 2 * np.prod(layer.kernel.shape) * positions
            passes = 3
    return float(total) / 1e9
