"""The parts of a training, from its config."""

import inspect
import logging
from collections.abc import Sequence
from typing import Any

import keras
import ml_collections
import numpy as np
import tensorflow as tf

from wing_tf.data.augment import Augmenter
from wing_tf.data.records import RecordSet
from wing_tf.losses import COORDINATE_LOSSES, HEATMAP_LOSSES, SubpixelResidualLoss, WeightedLossMap
from wing_tf.metrics.heatmap_error import HeatmapMeanSquaredError
from wing_tf.models import HEATMAP_MODELS
from wing_tf.models.saving import load_network
from wing_tf.training.config import emits_residuals
from wing_tf.training.cpu import fuse_batch_norm, fuse_update, multiply_small_maps
from wing_tf.training.device import Plan, plan
from wing_tf.training.optimizer import (
    decay_weights,
    make_optimizer,
    prepare_batch_norm,
    slow_body,
)
from wing_tf.training.output_init import augmented_shapes, initialize_output
from wing_tf.training.recompute import RecomputedStacks
from wing_tf.training.stages import OneStage
from wing_tf.training.trainer import LandmarkTrainer

_log = logging.getLogger(__name__)


def make_strategy() -> tf.distribute.Strategy | None:
    """Returns a strategy over all visible devices, or None where there is one device."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        return None
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def make_trainer(
    config: ml_collections.ConfigDict,
    stage: OneStage,
    steps_per_epoch: int,
    device_plan: Plan | None = None,
) -> LandmarkTrainer:
    """Builds and compiles network, augmenter, loss and optimizer; call it in a strategy's scope."""
    if device_plan is None:
        device_plan = plan(config, tf.distribute.get_strategy().num_replicas_in_sync)
    with device_plan.dtype_policy():
        network = stage.network()
    prepare_batch_norm(config, network)
    decay_weights(config, network)
    optimizer = make_optimizer(config, steps_per_epoch)
    slow_body(optimizer, network, config, steps_per_epoch)
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
    if config.kernel.temporal_step:
        options["sigma"] = config.heatmap.sigma
    trainer = compile_trainer(
        network, augmenter, optimizer, make_loss(config), device_plan, metrics, **options
    )
    if config.recompute:
        trainer.forward = RecomputedStacks(network)
    return trainer


def compile_trainer(
    network: keras.Model,
    augmenter: Augmenter,
    optimizer: keras.optimizers.Optimizer,
    loss: keras.losses.Loss,
    device_plan: Plan,
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


def initialize(
    config: ml_collections.ConfigDict, trainer: LandmarkTrainer, records: RecordSet
) -> None:
    """Sets the output layer from the training shapes and takes over another model's layers."""
    network, augmenter = trainer.network, trainer.augmenter
    if config.model.name not in HEATMAP_MODELS:
        shapes = augmented_shapes(records, augmenter, seed=config.seed)
        warn_if_normalized(shapes)
        if config.output_init:
            initialize_output(
                network.get_layer("output"), shapes, scale=config.output_init, seed=config.seed
            )
    if config.init_from:
        last = network.output[-1] if isinstance(network.output, list) else network.output
        # Saved networks hold what the last stack needs, and no more.
        copied, left = take_over(
            keras.Model(network.inputs, last), load_network(config.init_from)[0]
        )
        if not copied:
            raise ValueError(f"config.init_from: no layer of {config.init_from} fits.")
        print(f"From {config.init_from}: {', '.join(copied)}. New: {', '.join(left) or 'none'}.")


def take_over(network: keras.Model, other: keras.Model) -> tuple[list[str], list[str]]:
    """Copies the weights of layers that have the same name and shapes in another network.

    From the input on, up to the first layer that does not fit: what follows it there has learned
    to read other features.

    Returns:
        The names of the layers that were copied, and of those with weights that were not.
    """
    # Of a two-stage network, the stage that has this one's name.
    other = next((layer for layer in other.layers if layer.name == network.name), other)
    theirs = {layer.name: layer.get_weights() for layer in other.layers}
    copied: list[str] = []
    left: list[str] = []
    for layer in network.layers:
        shapes = [w.shape for w in layer.get_weights()]
        if not shapes:
            continue
        if not left and [w.shape for w in theirs.get(layer.name, [])] == shapes:
            layer.set_weights(theirs[layer.name])
            copied.append(layer.name)
        else:
            left.append(layer.name)
    return copied, left


def warn_if_normalized(landmarks_px: np.ndarray) -> bool:
    """Warns when targets [N, K, 2] look scaled to [0, 1]; returns whether it did."""
    extent = np.max(np.ptp(landmarks_px, axis=1), axis=1)
    normalized = bool(np.percentile(extent, 99) <= 1.5)
    if normalized:
        _log.warning(
            "The targets look normalized to [0, 1]. Errors are then far below Wing loss's width, "
            "and it is only a scaled L1: use pixels of the network's input."
        )
    return normalized
