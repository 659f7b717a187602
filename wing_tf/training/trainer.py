"""The network with its augmenter, as one Keras model for ``fit``."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import ml_collections
import tensorflow as tf
from keras import ops

from wing_tf.data.augment import Augmenter
from wing_tf.losses import COORDINATE_LOSSES, HEATMAP_LOSSES, SubpixelResidualLoss, WeightedLossMap
from wing_tf.metrics.heatmap_error import HeatmapMeanSquaredError
from wing_tf.training.accelerator import (
    ExecutionPlan,
    fuse_batch_norm,
    fuse_update,
    multiply_small_maps,
    plan_execution,
)
from wing_tf.training.config import emits_residuals
from wing_tf.training.gradient_checkpointing import CheckpointedStacks
from wing_tf.training.optimizer import (
    add_weight_decay,
    configure_batch_norm,
    make_optimizer,
    slow_backbone,
)
from wing_tf.training.sigma_schedule import SigmaState
from wing_tf.training.tasks import CoordinateTask


class LandmarkTrainer(keras.Model):
    """Augments each batch on the device, inside the train step, and fits the network to it.

    Only training wraps a network in this class; what is saved is the plain network.

    Args:
        network: images to landmarks, or to what a stack emits, or to a list of that, one a stack:
            maps, or a dictionary of ``maps`` and ``residuals``.
        augmenter: record batches to images, targets and weights.
        residual_loss: of the residuals, if the network emits any; the augmenter's targets must then
            hold ``positions``.
        residual_weight: of that loss.
        sigma: the first kernel radius in heatmap pixels, if it changes in the course of the
            training (`wing_tf.training.sigma_schedule.SigmaSchedule`).

    Attributes:
        forward: a function that computes what the network does in another way; None: it itself.
        sigma_state: what `SigmaSchedule` knows, a weight that is saved and restored with the
            others; its first value is the current radius. None without ``sigma``.
    """

    def __init__(
        self,
        network: keras.Model,
        augmenter: Augmenter,
        *,
        residual_loss: keras.losses.Loss | None = None,
        residual_weight: float = 1.0,
        sigma: float | None = None,
    ):
        super().__init__(name="trainer")
        self.network = network
        self.forward: Callable | None = None
        self.augmenter = augmenter
        self.residual_loss, self.residual_weight = residual_loss, residual_weight
        self.sigma_state = None
        if sigma is not None:
            start = SigmaState(sigma)
            self.sigma_state = self.add_weight(
                shape=(len(start),),
                initializer=lambda shape, dtype: ops.cast(list(start), dtype),
                trainable=False,
                dtype="float32",
                name="sigma_state",
            )
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
        if self.sigma_state is not None:
            data = {**data, "sigma": ops.convert_to_tensor(self.sigma_state)[0]}
        return self.learn(self.augmenter(data))

    def learn(self, batch):
        """Fits an augmented batch: forward, loss, backward, update.

        Args:
            batch: images, targets and weights, as the augmenter returns them.
        """
        return super().train_step(batch)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the loss: its sum over stacks, and over maps and residuals.

        One loss for all stacks, not Keras' list of losses: that makes a metric for each inside of
        the step, which fails on several devices.
        """
        stacks = y_pred if isinstance(y_pred, list) else [y_pred]
        targets = _maps(y) if isinstance(_maps(y), list) else [_maps(y)] * len(stacks)
        first, *others = zip(targets, stacks, strict=True)
        total = super().compute_loss(x, first[0], _maps(first[1]), sample_weight, training)
        for target, stack in others:
            total = total + self._compile_loss(target, _maps(stack), sample_weight)
        if self.residual_loss is not None:
            present = sample_weight[:, : y["positions"].shape[1]]
            for stack in stacks:
                # Deviates from the paper where the codec's decoder is not "argmax": the residual is
                # then what a finer answer leaves over.
                found, _ = self.augmenter.codec.locate(stack["maps"])
                left = y["positions"] - ops.stop_gradient(found)
                loss = self.residual_loss(left, stack["residuals"], sample_weight=present)
                total = total + self.residual_weight * loss
        return total

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates and returns the metrics, which are of the last stack's maps."""
        last = y_pred[-1] if isinstance(y_pred, list) else y_pred
        true = _maps(y)[-1] if isinstance(_maps(y), list) else _maps(y)
        return super().compute_metrics(x, true, _maps(last), sample_weight)


def _maps(values):
    """Returns the maps of a stack or of targets that hold more; all of any other."""
    return values["maps"] if isinstance(values, dict) else values


def make_trainer(
    config: ml_collections.ConfigDict,
    stage: CoordinateTask,
    steps_per_epoch: int,
    device_plan: ExecutionPlan | None = None,
) -> LandmarkTrainer:
    """Builds and compiles network, augmenter, loss and optimizer; call it in a strategy's scope."""
    if device_plan is None:
        device_plan = plan_execution(config, tf.distribute.get_strategy().num_replicas_in_sync)
    with device_plan.dtype_policy():
        network = stage.network()
    configure_batch_norm(config, network)
    add_weight_decay(config, network)
    optimizer = make_optimizer(config, steps_per_epoch)
    slow_backbone(optimizer, network, config, steps_per_epoch)
    augmenter = stage.augmenter(device_plan)
    metrics = []
    if config.heatmap.log_error:
        metrics = [
            HeatmapMeanSquaredError(),
            HeatmapMeanSquaredError(foreground=0.05, name="heatmap_mse_foreground"),
        ]
    options: dict[str, Any] = {}
    if emits_residuals(config):
        options["residual_loss"] = SubpixelResidualLoss(theta=config.residual.theta)
        options["residual_weight"] = config.residual.weight
    if config.sigma_schedule.temporal_step:
        options["sigma"] = config.heatmap.sigma
    trainer = compile_trainer(
        network, augmenter, optimizer, make_loss(config), device_plan, metrics, **options
    )
    if config.gradient_checkpointing:
        trainer.forward = CheckpointedStacks(network)
    return trainer


def compile_trainer(
    network: keras.Model,
    augmenter: Augmenter,
    optimizer: keras.optimizers.Optimizer,
    loss: keras.losses.Loss,
    device_plan: ExecutionPlan,
    metrics: Sequence[keras.metrics.Metric] = (),
    **options: Any,
) -> LandmarkTrainer:
    """Puts the parts together so that they run as the plan says; options of `LandmarkTrainer`."""
    if device_plan.compile_parts:
        multiply_small_maps(network)
        fuse_batch_norm(network)
        fuse_update(optimizer, network.trainable_variables)
    if device_plan.precision == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(network.trainable_variables)  # or the step would be traced twice
    trainer = LandmarkTrainer(network, augmenter, **options)
    trainer.compile(
        optimizer=optimizer,
        loss=loss,
        weighted_metrics=list(metrics) or None,
        jit_compile=device_plan.compile_step,
    )
    return trainer


def make_loss(config: ml_collections.ConfigDict) -> keras.losses.Loss:
    """Builds the config's loss; keys that belong to another loss are left alone."""
    settings = config.loss
    make = (COORDINATE_LOSSES | HEATMAP_LOSSES)[settings.name]
    options = inspect.signature(make).parameters
    loss = make(**{k: v for k, v in settings.items() if k in options and k != "name"})
    if settings.map:
        loss = WeightedLossMap(
            loss,
            mask_type=settings.map,
            weight=settings.map_weight,
            threshold=settings.map_threshold,
        )
    return loss
