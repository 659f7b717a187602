"""A config and a folder in, a trained network out."""

import contextlib
import inspect
import logging
import pathlib
import time

import keras
import ml_collections
import numpy as np
import tensorflow as tf

from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.read import decode_ratio, training_batches
from wing_tf.data.records import RecordSet, find_shards, open_records
from wing_tf.evaluation.predict import check_fit, crop_batches
from wing_tf.landmarks import BOX_NORMALISERS
from wing_tf.losses import LOSSES
from wing_tf.models import MODELS
from wing_tf.models.saving import Contract, load_network
from wing_tf.training.callbacks import Backup, Progress, StopOnNaN, Validate, cut_log
from wing_tf.training.config import complete_config
from wing_tf.training.optimizer import kernel_regularizer, make_optimizer
from wing_tf.training.output_init import augmented_shapes, initialise_output
from wing_tf.training.run_dir import RunDir
from wing_tf.training.trainer import LandmarkTrainer

_log = logging.getLogger(__name__)


def train(config: ml_collections.ConfigDict, workdir: str | pathlib.Path) -> pathlib.Path:
    """Trains a network, or goes on with a training that was stopped.

    The same config, records and folder give the same result whether or not the training was
    interrupted: data order and augmentation are functions of (seed, epoch), and weights, optimizer
    state and epoch are backed up together.

    Args:
        config: see `wing_tf.training.config`; keys that it leaves out take their defaults.
        workdir: the run folder.

    Returns:
        The run folder's path.

    Raises:
        ValueError: on a bad config, bad records, or a folder that holds something else.
        FloatingPointError: if the loss becomes NaN.
    """
    config = complete_config(config)
    records, held_out, contract = _open_data(config)
    steps_per_epoch = records.num_faces // config.batch_size
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.seed)
    strategy = make_strategy()
    replicas = strategy.num_replicas_in_sync if strategy else 1
    if config.batch_size % replicas:
        raise ValueError(
            f"config.batch_size={config.batch_size} must be a multiple of the {replicas} devices."
        )
    run = RunDir(workdir)
    fresh = not Backup.found(run.backup)
    # All that can be wrong with the config is built before the run folder is touched. The
    # inference network lives on one replica and in float32, whatever trains.
    inference_network = build_network(config, records)
    held_out_batches = list(crop_batches(held_out, contract))
    with strategy.scope() if strategy else contextlib.nullcontext():
        trainer = make_trainer(config, records, steps_per_epoch, replicas)
        if fresh:
            initialise(config, trainer, records)
        run.open(config)
        epoch = Backup.restore(trainer, run.backup)
    best = cut_log(run.metrics, epoch)
    if epoch >= config.epochs:
        print(f"{run.path} holds a finished training of {epoch} epochs.")
        return run.path
    print(
        f"{trainer.network.name}: {trainer.network.count_params():,} parameters, "
        f"{records.num_faces} training and {held_out.num_faces} validation faces "
        f"({records.scheme.name}), {replicas} device(s), epochs {epoch + 1} to {config.epochs}.",
        flush=True,
    )
    batches = training_batches(
        records,
        batch_size=config.batch_size,
        num_draws=Augmenter.num_draws,
        seed=config.seed,
        ratio=decode_ratio(
            records.side, records.context, config.crop_margin, config.model.input_size
        ),
        first_epoch=epoch,
        cache=config.data.cache,
    )
    started = time.monotonic()
    log = keras.callbacks.CSVLogger(str(run.metrics), append=True)
    try:
        trainer.fit(
            batches,
            epochs=config.epochs,
            initial_epoch=epoch,
            steps_per_epoch=steps_per_epoch,
            verbose=0,
            shuffle=False,  # the stream is shuffled already
            callbacks=[
                StopOnNaN(),
                Validate(
                    inference_network,
                    contract,
                    held_out_batches,
                    folder=run.checkpoints,
                    best=best,
                    normaliser=config.normaliser or None,
                    save_every=config.checkpoint_epochs,
                    picture_folder=run.tensorboard / "pictures",
                    num_pictures=config.num_pictures,
                ),
                Progress(config.epochs, steps_per_epoch * config.batch_size),
                log,
                keras.callbacks.TensorBoard(str(run.tensorboard), write_graph=False),
                Backup(run.backup, config.checkpoint_epochs),
            ],
        )
    finally:
        if log.csv_file:
            log.csv_file.close()  # fit leaves it open when it is interrupted
    print(f"Trained in {(time.monotonic() - started) / 60:.1f} minutes: {run.path}")
    return run.path


def _open_data(config: ml_collections.ConfigDict) -> tuple[RecordSet, RecordSet, Contract]:
    """Returns the training and the held-out faces and what the network's input will be."""
    records = open_records(find_shards(config.data.path, config.data.train_split))
    held_out = open_records(find_shards(config.data.path, config.data.validation_split))
    if overlap := set(records.files) & set(held_out.files):
        raise ValueError(
            f"config.data: training and validation share {sorted(overlap)[0]}. "
            "Name record folders, or splits that differ."
        )
    if config.batch_size > records.num_faces:
        raise ValueError(
            f"config.batch_size={config.batch_size} is more than the {records.num_faces} faces."
        )
    normalisers = [*records.scheme.normalisers, *BOX_NORMALISERS]
    if config.normaliser and config.normaliser not in normalisers:
        raise ValueError(
            f"config.normaliser must be one of {', '.join(normalisers)} for "
            f"{records.scheme.name}. Received: {config.normaliser!r}."
        )
    contract = Contract(
        scheme_name=records.scheme.name,
        input_size=config.model.input_size,
        margin=config.crop_margin,
    )
    for part in (records, held_out):
        check_fit(part, contract)
    return records, held_out, contract


def make_strategy() -> tf.distribute.Strategy | None:
    """Returns a strategy over all visible devices, or None where there is one device."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        return None
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def build_network(config: ml_collections.ConfigDict, records: RecordSet) -> keras.Model:
    """Builds the config's network for the records' mark-up."""
    return MODELS[config.model.name](
        records.scheme.num_landmarks,
        input_size=config.model.input_size,
        kernel_regularizer=kernel_regularizer(config),
    )


def make_trainer(
    config: ml_collections.ConfigDict, records: RecordSet, steps_per_epoch: int, replicas: int = 1
) -> LandmarkTrainer:
    """Builds and compiles network, augmenter, loss and optimizer; call it in a strategy's scope.

    What is compiled by XLA when ``config.jit_compile`` is "auto": nothing on several devices
    (Keras fails there) or under op determinism; the whole step on a GPU; the augmentation alone on
    a CPU, where the network is faster without.
    """
    augmenter = Augmenter(
        records.scheme,
        input_size=config.model.input_size,
        margin=config.crop_margin,
        augmentation=Augmentation(**config.augment),
    )
    policy = keras.config.dtype_policy()
    if config.mixed_precision:
        keras.config.set_dtype_policy("mixed_float16")
    try:
        network = build_network(config, records)
    finally:
        keras.config.set_dtype_policy(policy)
    single = replicas == 1
    automatic = config.jit_compile == "auto"
    may_compile = automatic and single and not config.deterministic
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    whole_step = config.jit_compile == "on" or (may_compile and on_gpu)
    if whole_step and not single:
        raise ValueError("config.jit_compile='on' works on one device only. Use 'auto'.")
    trainer = LandmarkTrainer(network, augmenter, compile_augmenter=may_compile and not whole_step)
    optimizer = make_optimizer(config, steps_per_epoch)
    if config.mixed_precision:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    trainer.compile(optimizer=optimizer, loss=make_loss(config), jit_compile=whole_step)
    return trainer


def make_loss(config: ml_collections.ConfigDict) -> keras.losses.Loss:
    """Builds the config's loss; keys that belong to another loss are left alone."""
    loss = LOSSES[config.loss.name]
    options = inspect.signature(loss).parameters
    return loss(**{k: v for k, v in config.loss.items() if k in options and k != "name"})


def initialise(
    config: ml_collections.ConfigDict, trainer: LandmarkTrainer, records: RecordSet
) -> None:
    """Sets the output layer from the training shapes and takes over another model's layers."""
    network, augmenter = trainer.network, trainer.augmenter
    shapes = augmented_shapes(records, augmenter, seed=config.seed)
    warn_if_normalised(shapes)
    if config.output_init:
        initialise_output(
            network.get_layer("output"), shapes, scale=config.output_init, seed=config.seed
        )
    if config.init_from:
        copied, left = take_over(network, load_network(config.init_from)[0])
        if not copied:
            raise ValueError(f"config.init_from: no layer of {config.init_from} fits.")
        print(f"From {config.init_from}: {', '.join(copied)}. New: {', '.join(left) or 'none'}.")


def take_over(network: keras.Model, other: keras.Model) -> tuple[list[str], list[str]]:
    """Copies the weights of layers that have the same name and shapes in another network.

    Returns:
        The names of the layers that were copied, and of those with weights that were not.
    """
    theirs = {layer.name: layer.get_weights() for layer in other.layers}
    copied, left = [], []
    for layer in network.layers:
        shapes = [w.shape for w in layer.get_weights()]
        if not shapes:
            continue
        if [w.shape for w in theirs.get(layer.name, [])] == shapes:
            layer.set_weights(theirs[layer.name])
            copied.append(layer.name)
        else:
            left.append(layer.name)
    return copied, left


def warn_if_normalised(landmarks_px: np.ndarray) -> bool:
    """Warns when targets [N, K, 2] look scaled to [0, 1]; returns whether it did."""
    extent = np.max(np.ptp(landmarks_px, axis=1), axis=1)
    normalised = bool(np.percentile(extent, 99) <= 1.5)
    if normalised:
        _log.warning(
            "The targets look normalised to [0, 1]. Errors are then far below Wing loss's width, "
            "and it is only a scaled L1: use pixels of the network's input."
        )
    return normalised
