"""Optimizers and learning-rate schedules from a config."""

import keras
import ml_collections
import tensorflow as tf
from keras import ops

_NO_DECAY = ["bias", "beta", "gamma"]


@keras.saving.register_keras_serializable(package="wing_tf")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise from 0 over ``warmup_steps``, then ``schedule`` from its beginning."""

    def __init__(self, schedule, warmup_steps: int):
        super().__init__()
        self.schedule = schedule
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        """Returns the rate at a step."""
        step = ops.cast(step, "float32")
        after = self.schedule(ops.maximum(step - self.warmup_steps, 0.0))
        return after * ops.minimum((step + 1.0) / self.warmup_steps, 1.0)

    def get_config(self):
        """Returns what `from_config` needs."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "warmup_steps": self.warmup_steps}

    @classmethod
    def from_config(cls, config):
        """Rebuilds the inner schedule."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["warmup_steps"])


def make_schedule(config: ml_collections.ConfigDict, steps_per_epoch: int):
    """Returns the learning rate by step.

    * cosine: from the rate to rate * final_ratio (Loshchilov and Hutter, 2017).
    * exponential: the same ends, evenly in the logarithm; the Wing paper's 3e-5 -> 3e-7.
    * piecewise: times ``factor`` at each of the epochs ``boundaries``; the Adaptive Wing paper's.
    * constant.
    """
    rate, schedule = config.optimizer.learning_rate, config.schedule
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    total = max(config.epochs * steps_per_epoch - warmup, 1)
    schedules = keras.optimizers.schedules
    if schedule.name == "cosine":
        made = schedules.CosineDecay(rate, total, alpha=schedule.final_ratio)
    elif schedule.name == "exponential":
        made = schedules.ExponentialDecay(rate, total, schedule.final_ratio)
    else:
        epochs = schedule.boundaries if schedule.name == "piecewise" else ()
        values = [rate * schedule.factor**i for i in range(len(epochs) + 1)]
        # Keras keeps a value up to and including its boundary.
        steps = [round(epoch * steps_per_epoch) - warmup - 1 for epoch in epochs]
        # A boundary that is never reached keeps a constant rate in the same class.
        made = schedules.PiecewiseConstantDecay(steps or [total + 1], values * (1 if steps else 2))
    return WarmUp(made, warmup) if warmup else made


def make_optimizer(config: ml_collections.ConfigDict, steps_per_epoch: int):
    """Returns the optimizer of a config; weight decay but AdamW's is in `add_weight_decay`."""
    optimizer = _plain_optimizer(config, make_schedule(config, steps_per_epoch))
    if optimizer.use_ema:
        _begin_average_quickly(optimizer)
    return optimizer


def _begin_average_quickly(optimizer: keras.optimizers.Optimizer) -> None:
    """Lets the moving average's decay after t updates be (1 + t) / (10 + t) at most.

    Keras' begins with the weights after one update, which stay in it for 1 / (1 - decay) more:
    what is validated would be useless for longer than a short training lasts. This is
    ``num_updates`` of ``tf.train.ExponentialMovingAverage``.
    """
    update, decay = optimizer._update_model_variables_moving_average, optimizer.ema_momentum

    def update_average(variables):
        steps = ops.cast(optimizer.iterations, "float32")
        optimizer.ema_momentum = ops.minimum(decay, (1.0 + steps) / (10.0 + steps))
        update(variables)
        optimizer.ema_momentum = decay

    optimizer._update_model_variables_moving_average = update_average


def _plain_optimizer(config: ml_collections.ConfigDict, rate):
    settings = config.optimizer
    common = {
        "learning_rate": rate,
        "global_clipnorm": settings.clip_norm or None,
        "use_ema": settings.ema > 0,
        "ema_momentum": settings.ema or 0.99,
    }
    if settings.name == "sgd":
        return keras.optimizers.SGD(momentum=settings.momentum, **common)
    if settings.name == "rmsprop":
        # PyTorch's defaults, as in the papers' code: rho .99, and epsilon 1e-8 outside of the
        # root. Keras has it inside.
        return keras.optimizers.RMSprop(
            momentum=settings.momentum, rho=0.99, epsilon=1e-16, **common
        )
    if settings.name == "adam":
        return keras.optimizers.Adam(epsilon=1e-8, **common)  # PyTorch's epsilon
    optimizer = keras.optimizers.AdamW(weight_decay=settings.weight_decay, **common)
    # Kernels only, as with SGD. The output layer's bias is the mean shape in pixels: it must not
    # shrink.
    optimizer.exclude_from_weight_decay(var_names=_NO_DECAY)
    return optimizer


def configure_batch_norm(config: ml_collections.ConfigDict, network: keras.Model) -> None:
    """Sets a network's batch normalization for the training that the config describes.

    A body that is fine-tuned (`slow_backbone`) keeps its statistics, scales and shifts: batches of
    a body that rests would change them. On several devices the statistics are those of all.
    """
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = not _fine_tunes(config)
            layer.synchronized = several


def _fine_tunes(config: ml_collections.ConfigDict) -> bool:
    return config.optimizer.backbone_rate != 1 or config.optimizer.frozen_epochs > 0


def add_weight_decay(config: ml_collections.ConfigDict, network: keras.Model) -> None:
    """Gives a network's kernels the papers' weight decay, unless the optimizer is AdamW.

    A gradient term, coupled with momentum and scaling: decay lambda adds lambda * w to the
    gradient, the gradient of (lambda / 2) w^2. # The paper is silent on biases: none.
    """
    settings = config.optimizer
    if settings.name != "adamw" and settings.weight_decay:
        for variable in network.trainable_variables:
            if "kernel" in variable.name:
                variable.regularizer = keras.regularizers.L2(settings.weight_decay / 2)


def slow_backbone(
    optimizer: keras.optimizers.Optimizer,
    network: keras.Model,
    config: ml_collections.ConfigDict,
    steps_per_epoch: int,
) -> None:
    """Gives the body, all but the layer ``output``, its own share of the rate: for fine-tuning.

    ``config.optimizer.backbone_rate`` is the share; the body rests for the first
    ``config.optimizer.frozen_epochs``. It is then left out of decoupled weight decay, which knows
    one rate only.

    Args:
        optimizer: changed in place, if there is a reason to.
        network: what it will train.
        config: of the training.
        steps_per_epoch: the length of an epoch.
    """
    share = config.optimizer.backbone_rate
    frozen_steps = round(config.optimizer.frozen_epochs * steps_per_epoch)
    if not _fine_tunes(config):
        return
    variables = network.trainable_variables
    head = {id(variable) for variable in network.get_layer("output").trainable_variables}
    body = [i for i, variable in enumerate(variables) if id(variable) not in head]
    if optimizer.weight_decay:
        optimizer.exclude_from_weight_decay([variables[i] for i in body], var_names=_NO_DECAY)
    optimizer.build(variables)
    update = optimizer.update_step

    def update_step(gradient, variable, learning_rate):
        # What comes is a TensorFlow variable, which the optimizer itself finds this way.
        if optimizer._get_variable_index(variable) in body:
            awake = ops.cast(optimizer.iterations >= frozen_steps, "float32")
            learning_rate = ops.cast(learning_rate, "float32") * share * awake
        return update(gradient, variable, learning_rate)

    optimizer.update_step = update_step
