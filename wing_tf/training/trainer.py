"""The Keras model that `fit` trains: augmentation, network, losses and update in one step."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import ml_collections
import tensorflow as tf
from keras import ops

from wing_tf.losses import SubpixelResidualLoss, WeightedLossMap
from wing_tf.metrics.keras_metrics import HeatmapMeanSquaredError
from wing_tf.training.accelerator import (
    ExecutionPlan,
    fuse_update,
    multiply_small_maps,
    plan_execution,
    plan_synchronized,
)
from wing_tf.training.batch_norm import fuse_batch_norm
from wing_tf.training.depthwise import spread_strided_gradients
from wing_tf.training.gradient_checkpointing import CheckpointedStacks
from wing_tf.training.optimizer import (
    add_weight_decay,
    configure_layers,
    make_optimizer,
    reduce_gradients_first,
    scale_backbone_rate,
)
from wing_tf.training.resolve import ALL_LOSSES, emits_residuals, loss_options
from wing_tf.training.sigma_schedule import SigmaState
from wing_tf.training.tasks import BatchAugmenter, CoordinateTask


class LandmarkTrainer(keras.Model):
    """Augments each batch on the device, inside the train step, and fits the network to it.

    Only training wraps a network in this class; saved networks are plain.

    Args:
        network: Images to landmarks, or to heatmaps, or to a list of heatmaps, one for each
            hourglass. In place of heatmaps there may be a dictionary of ``maps`` and ``residuals``,
            and also, with ``visibility_weight``, the logits ``visibility``; in place of landmarks a
            dictionary of ``landmarks`` and ``visibility``.
        augmenter: Record batches to images, targets and weights.
        residual_loss: Loss of the residuals, if the network emits them; the augmenter's targets
            must then hold ``positions``.
        residual_weight: Weight of that loss.
        visibility_weight: Weight of the binary cross entropy of the visibility, if the network
            emits it; the augmenter's targets must then hold ``visibility``.
        sigma: The first sigma in heatmap pixels, if it changes during training
            (`wing_tf.training.sigma_schedule.SigmaSchedule`).

    Attributes:
        forward: Function that replaces the network's forward pass; None: the network itself.
        sigma_state: State of `SigmaSchedule`, a weight that is saved and restored with the others;
            its first value is the current sigma. None without ``sigma``.
    """

    def __init__(
        self,
        network: keras.Model,
        augmenter: BatchAugmenter,
        *,
        residual_loss: keras.losses.Loss | None = None,
        residual_weight: float = 1.0,
        visibility_weight: float | None = None,
        sigma: float | None = None,
    ):
        super().__init__(name="trainer")
        self.network = network
        self.forward: Callable | None = None
        self._compiled_gradients: Callable | None = None
        self.augmenter = augmenter
        self.residual_loss, self.residual_weight = residual_loss, residual_weight
        self.visibility_weight = visibility_weight
        self.visibility_loss = keras.losses.BinaryCrossentropy(from_logits=True, dtype="float32")
        self.first_sigma, self.sigma_state = sigma, None
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

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Under a strategy, Keras calls this before the first step. It would average a batch over
        # the replicas, which fails with several workers, and run `call` on raw records, which only
        # `train_step` understands. Everything that it builds is built already.
        pass

    def call(self, inputs, training=None):
        """Runs the network."""
        return (self.forward or self.network)(inputs, training=training)

    def train_step(self, data):
        """Augments a batch of `wing_tf.data.training_batches`, and fits it."""
        if self.sigma_state is not None:
            data = {**data, "sigma": ops.convert_to_tensor(self.sigma_state)[0]}
        if self._compiled_gradients is not None:
            logs = self._apply(*self._compiled_gradients(data))
        else:
            logs = self.learn(self.augmenter(data))
        if isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
            # Keras averages them over their first axis, which scalars do not have.
            logs = {name: ops.reshape(value, (1,)) for name, value in logs.items()}
        return logs

    def learn(self, batch):
        """Fits an augmented batch: forward, loss, backward, update.

        Args:
            batch: Images, targets and weights, as the augmenter returns them.
        """
        return super().train_step(batch)

    def compile_gradients(self):
        """Compiles with XLA what each replica computes by itself, all but the update.

        For several devices. The gradients are summed, clipped and applied after it, uncompiled.
        """
        self._compiled_gradients = tf.function(self._gradients, jit_compile=True, autograph=False)

    def _gradients(self, data):
        """Augments a batch; returns the gradients, the loss, and what metrics compare."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(self.augmenter(data))
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, sample_weight)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_weights)
        # Without metrics besides the loss, XLA does not have to keep the outputs.
        compared = (y, y_pred, sample_weight) if len(self.metrics) > 1 else None
        return gradients, loss, compared

    def _apply(self, gradients, loss, compared):
        """Updates weights and metrics, as Keras' `train_step`; returns the metrics."""
        # The loss is divided by the number of replicas, whose batches are equally large.
        self._loss_tracker.update_state(loss * tf.distribute.get_strategy().num_replicas_in_sync)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        if compared is None:
            return self.get_metrics_result()
        return self.compute_metrics(None, *compared)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the sum of the losses of all hourglasses, of residuals and of visibility.

        With a sigma that changes, the sum is multiplied by the first sigma over the current one.
        One loss for all hourglasses instead of Keras' list of losses, which creates a metric for
        each inside the step and fails on several devices.
        """
        outputs = y_pred if isinstance(y_pred, list) else [y_pred]
        targets = _main(y) if isinstance(_main(y), list) else [_main(y)] * len(outputs)
        first, *others = zip(targets, outputs, strict=True)
        total = super().compute_loss(x, first[0], _main(first[1]), sample_weight, training)
        for target, output in others:
            total = total + self._compile_loss(target, _main(output), sample_weight)
        if self.residual_loss is not None:
            present = sample_weight[:, : y["positions"].shape[1]]
            for output in outputs:
                # Deviates from the paper where the codec's decoder is not "argmax": the residual is
                # then the error of a sub-pixel decoder.
                decoded, _ = self.augmenter.codec.locate(output["maps"])
                error = y["positions"] - ops.stop_gradient(decoded)
                loss = self.residual_loss(error, output["residuals"], sample_weight=present)
                total = total + self.residual_weight * loss
        if self.visibility_weight is not None:
            # The last axis is the one that Keras averages over: each landmark keeps its weight.
            true, logits = y["visibility"][..., None], outputs[-1]["visibility"][..., None]
            present = sample_weight[:, : true.shape[1]]
            loss = self.visibility_loss(true, logits, sample_weight=present)
            total = total + self.visibility_weight * loss
        if self.sigma_state is not None:
            # Gradients are proportional to sigma, as the norm of the difference of two peaks is.
            # Without the factor, Adam's second moments would keep those of larger sigmas for some
            # thousand steps, and these steps would be too short.
            total = total * (self.first_sigma / ops.convert_to_tensor(self.sigma_state)[0])
        return total

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates and returns the metrics, which are of the last hourglass's heatmaps."""
        last = y_pred[-1] if isinstance(y_pred, list) else y_pred
        true = _main(y)[-1] if isinstance(_main(y), list) else _main(y)
        return super().compute_metrics(x, true, _main(last), sample_weight)


def _main(values):
    """Returns the heatmaps or landmarks of outputs or targets that hold more; others as is."""
    return values.get("maps", values.get("landmarks")) if isinstance(values, dict) else values


def make_trainer(
    config: ml_collections.ConfigDict, task: CoordinateTask, steps_per_epoch: int
) -> LandmarkTrainer:
    """Builds and compiles network, augmenter, loss and optimizer.

    Call it in the strategy's scope if there is one.
    """
    execution = plan_execution(config)
    with execution.dtype_policy():
        network = task.build_network()
    configure_layers(config, network)
    execution, of_augmentation = plan_synchronized(
        execution, network, required=config.jit_compile == "on"
    )
    add_weight_decay(config, network)
    optimizer = make_optimizer(config, steps_per_epoch)
    scale_backbone_rate(optimizer, network, config, steps_per_epoch)
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
    if config.model.visibility:
        options["visibility_weight"] = config.visibility.weight
    if config.sigma_schedule.temporal_step:
        options["sigma"] = config.heatmap.sigma
    trainer = compile_trainer(
        network, task.augmenter(of_augmentation), optimizer, make_loss(config), execution, metrics,
        **options,
    )  # fmt: skip
    if config.gradient_checkpointing:
        trainer.forward = CheckpointedStacks(network)
    return trainer


def compile_trainer(
    network: keras.Model,
    augmenter: BatchAugmenter,
    optimizer: keras.optimizers.Optimizer,
    loss: keras.losses.Loss,
    execution: ExecutionPlan,
    metrics: Sequence[keras.metrics.Metric] = (),
    **options: Any,
) -> LandmarkTrainer:
    """Returns a compiled trainer that is executed as planned; ``options`` of `LandmarkTrainer`."""
    on_several_devices = tf.distribute.get_strategy().num_replicas_in_sync > 1
    if execution.compile_parts:
        multiply_small_maps(network)
        fuse_batch_norm(network)
        spread_strided_gradients(network)
        if not on_several_devices:
            fuse_update(optimizer, network.trainable_variables)
    if execution.precision == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    if on_several_devices:
        reduce_gradients_first(optimizer)
    optimizer.build(network.trainable_variables)  # or the step would be traced twice
    trainer = LandmarkTrainer(network, augmenter, **options)
    trainer.compile(
        optimizer=optimizer,
        loss=loss,
        weighted_metrics=list(metrics) or None,
        jit_compile=execution.compile_step and not on_several_devices,
    )
    if execution.compile_step and on_several_devices:
        trainer.compile_gradients()
    return trainer


def make_loss(config: ml_collections.ConfigDict) -> keras.losses.Loss:
    """Returns a config's loss."""
    settings = config.loss
    loss = ALL_LOSSES[settings.name](**loss_options(config))
    if settings.map:
        loss = WeightedLossMap(
            loss,
            mask_type=settings.map,
            weight=settings.map_weight,
            threshold=settings.map_threshold,
        )
    return loss
