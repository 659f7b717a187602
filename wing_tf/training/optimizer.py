"""Optimizers, learning-rate schedules and weight decay."""

from collections.abc import Callable
from typing import Any

import keras
import ml_collections
import tensorflow as tf
from keras import ops

from wing_tf.models.hourglass import MAPS
from wing_tf.models.visibility import HEAD
from wing_tf.training.paced_schedule import PacedSchedule
from wing_tf.training.warm_up import WarmUp

_NO_DECAY = ["bias", "beta", "gamma"]
_HEADS = ("output", MAPS, HEAD)


def _cosine(rate, total_steps, config, steps_per_epoch, warmup_steps):
    alpha = config.schedule.final_ratio
    return keras.optimizers.schedules.CosineDecay(rate, total_steps, alpha=alpha)


def _exponential(rate, total_steps, config, steps_per_epoch, warmup_steps):
    ratio = config.schedule.final_ratio
    return keras.optimizers.schedules.ExponentialDecay(rate, total_steps, ratio)


def _piecewise(rate, total_steps, config, steps_per_epoch, warmup_steps):
    boundaries, factor = config.schedule.boundaries, config.schedule.factor
    if not boundaries:
        return _constant(rate, total_steps, config, steps_per_epoch, warmup_steps)
    # Keras keeps a value up to and including its boundary.
    steps = [round(epoch * steps_per_epoch) - warmup_steps - 1 for epoch in boundaries]
    values = [rate * factor**i for i in range(len(steps) + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(steps, values)


def _constant(rate, total_steps, config, steps_per_epoch, warmup_steps):
    # One boundary that is never reached.
    return keras.optimizers.schedules.PiecewiseConstantDecay([total_steps + 1], [rate, rate])


SCHEDULES: dict[str, Callable] = {
    "cosine": _cosine,
    "exponential": _exponential,
    "piecewise": _piecewise,
    "constant": _constant,
}


def make_schedule(
    config: ml_collections.ConfigDict, steps_per_epoch: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate by step.

    * cosine: From the rate to rate * final_ratio (Loshchilov and Hutter, 2017).
    * exponential: The same ends, linear in the logarithm; the Wing paper's 3e-5 -> 3e-7.
    * piecewise: Multiplied by ``factor`` at each of the epochs ``boundaries``; the Adaptive Wing
      paper's.
    * constant.
    """
    warmup_steps = round(config.schedule.warmup_epochs * steps_per_epoch)
    total_steps = max(config.epochs * steps_per_epoch - warmup_steps, 1)
    make = SCHEDULES[config.schedule.name]
    rate = config.optimizer.learning_rate
    schedule = make(rate, total_steps, config, steps_per_epoch, warmup_steps)
    if config.time_limit_minutes:
        schedule = PacedSchedule(schedule)
    return WarmUp(schedule, warmup_steps) if warmup_steps else schedule


def _adamw(settings: ml_collections.ConfigDict, common: dict[str, Any]):
    optimizer = keras.optimizers.AdamW(
        weight_decay=settings.weight_decay, epsilon=settings.epsilon or 1e-7, **common
    )
    # Kernels only, as with SGD. The output layer's bias is the mean shape in pixels and must not
    # decay.
    optimizer.exclude_from_weight_decay(var_names=_NO_DECAY)
    return optimizer


def _adam(settings: ml_collections.ConfigDict, common: dict[str, Any]):
    return keras.optimizers.Adam(epsilon=settings.epsilon or 1e-8, **common)  # PyTorch's epsilon


def _sgd(settings: ml_collections.ConfigDict, common: dict[str, Any]):
    return keras.optimizers.SGD(momentum=settings.momentum, **common)


def _rmsprop(settings: ml_collections.ConfigDict, common: dict[str, Any]):
    # PyTorch's defaults, as in the papers' code: rho .99, and epsilon 1e-8 outside of the square
    # root. Keras has it inside.
    return keras.optimizers.RMSprop(momentum=settings.momentum, rho=0.99, epsilon=1e-16, **common)


OPTIMIZERS: dict[str, Callable] = {
    "adamw": _adamw, "adam": _adam, "sgd": _sgd, "rmsprop": _rmsprop,
}  # fmt: skip


def make_optimizer(
    config: ml_collections.ConfigDict, steps_per_epoch: int
) -> keras.optimizers.Optimizer:
    """Returns a config's optimizer; the weight decay of all but AdamW is in `add_weight_decay`."""
    settings = config.optimizer
    common = {
        "learning_rate": make_schedule(config, steps_per_epoch),
        "global_clipnorm": settings.clip_norm or None,
        "use_ema": settings.ema > 0,
        "ema_momentum": settings.ema or 0.99,
    }
    optimizer = OPTIMIZERS[settings.name](settings, common)
    if optimizer.use_ema:
        _warm_up_average(optimizer)
    return optimizer


def _warm_up_average(optimizer: keras.optimizers.Optimizer) -> None:
    """Limits the moving average's decay after t updates to (1 + t) / (10 + t).

    Keras starts the average at the weights after one update, which dominate it for 1 / (1 - decay)
    updates: validation would be meaningless for longer than a short training lasts. This is
    ``num_updates`` of ``tf.train.ExponentialMovingAverage``.
    """
    update, decay = optimizer._update_model_variables_moving_average, optimizer.ema_momentum

    def update_average(variables):
        steps = ops.cast(optimizer.iterations, "float32")
        optimizer.ema_momentum = ops.minimum(decay, (1.0 + steps) / (10.0 + steps))
        update(variables)
        optimizer.ema_momentum = decay

    optimizer._update_model_variables_moving_average = update_average


def reduce_gradients_first(optimizer: keras.optimizers.Optimizer) -> None:
    """Sums the gradients of all replicas before the optimizer uses them.

    Keras sums them last: each replica clips its own part, and with float16 the overflows of the
    first replica alone decide whether a step is skipped. That is another training than on one
    device.

    Args:
        optimizer: The optimizer that `fit` calls, with its loss scaling. Changed in place.
    """
    apply, inner = optimizer.apply, getattr(optimizer, "inner_optimizer", optimizer)
    all_reduce = inner._all_reduce_sum_gradients

    def apply_sum(grads, trainable_variables):
        pairs = all_reduce(zip(grads, trainable_variables, strict=True))
        apply([gradient for gradient, _ in pairs], trainable_variables)

    inner._all_reduce_sum_gradients = lambda grads_and_vars: grads_and_vars
    optimizer.apply = apply_sum


def configure_layers(config: ml_collections.ConfigDict, network: keras.Model) -> None:
    """Sets which of a network's layers are trained, and its batch normalization.

    A backbone whose rate is 0 is not trained: no gradients are computed for it. One that is
    fine-tuned (`scale_backbone_rate`) keeps the statistics, scales and shifts of its batch
    normalization, which batches would change even while it is frozen. On several devices the
    statistics are those of all devices together.
    """
    synchronized = tf.distribute.get_strategy().num_replicas_in_sync > 1
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = not _fine_tunes(config)
            layer.synchronized = synchronized
        if config.optimizer.backbone_rate == 0 and not layer.name.endswith(_HEADS):
            layer.trainable = False


def _fine_tunes(config: ml_collections.ConfigDict) -> bool:
    return config.optimizer.backbone_rate != 1 or config.optimizer.frozen_epochs > 0


def add_weight_decay(config: ml_collections.ConfigDict, network: keras.Model) -> None:
    """Gives a network's kernels the papers' weight decay, unless the optimizer is AdamW.

    The decay lambda is coupled: it adds lambda * w to the gradient, which is the gradient of
    (lambda / 2) w^2, and passes through momentum. # The paper is silent on biases: no decay.
    """
    settings = config.optimizer
    if settings.name != "adamw" and settings.weight_decay:
        for variable in network.trainable_variables:
            if "kernel" in variable.name:
                variable.regularizer = keras.regularizers.L2(settings.weight_decay / 2)


def scale_backbone_rate(
    optimizer: keras.optimizers.Optimizer,
    network: keras.Model,
    config: ml_collections.ConfigDict,
    steps_per_epoch: int,
) -> None:
    """Gives the backbone its own learning rate for fine-tuning.

    The backbone is all but the layers that emit landmarks, heatmaps or visibility. Its rate is
    multiplied by ``config.optimizer.backbone_rate``, and it is frozen for the first
    ``config.optimizer.frozen_epochs``. It has no decoupled weight decay then, which knows one rate
    only.

    Args:
        optimizer: Changed in place, unless the config has no fine-tuning.
        network: The network that the optimizer trains.
        config: The training's config.
        steps_per_epoch: Number of steps per epoch.
    """
    if not _fine_tunes(config):
        return
    ratio = config.optimizer.backbone_rate
    frozen_steps = round(config.optimizer.frozen_epochs * steps_per_epoch)
    variables = network.trainable_variables
    heads = [layer for layer in network.layers if layer.name.endswith(_HEADS)]
    head = {id(variable) for layer in heads for variable in layer.trainable_variables}
    backbone = [i for i, variable in enumerate(variables) if id(variable) not in head]
    if optimizer.weight_decay:
        optimizer.exclude_from_weight_decay([variables[i] for i in backbone], var_names=_NO_DECAY)
    optimizer.build(variables)
    update = optimizer.update_step

    def update_step(gradient, variable, learning_rate):
        # `variable` is a TensorFlow variable, which the optimizer itself looks up this way.
        if optimizer._get_variable_index(variable) in backbone:
            trains = ops.cast(optimizer.iterations >= frozen_steps, "float32")
            learning_rate = ops.cast(learning_rate, "float32") * ratio * trains
        return update(gradient, variable, learning_rate)

    optimizer.update_step = update_step
