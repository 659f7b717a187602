"""A config and a folder in, a trained network out."""

import contextlib
import pathlib
import time

import keras
import ml_collections
import tensorflow as tf

from wing_tf.data.label_noise import LabelNoise
from wing_tf.data.pose_balance import PoseBalance
from wing_tf.data.read import training_batches
from wing_tf.data.records import RecordSet, find_shards, open_records
from wing_tf.evaluation.predict import check_fit, crop_batches
from wing_tf.landmarks import BOX_NORMALIZERS
from wing_tf.training.accelerator import make_strategy, plan_execution
from wing_tf.training.callbacks import (
    Backup,
    Progress,
    StopOnNaN,
    TensorBoard,
    Validate,
    truncate_log,
)
from wing_tf.training.config import complete_config
from wing_tf.training.initialization import initialize
from wing_tf.training.run_folder import RunFolder
from wing_tf.training.sigma_schedule import SigmaSchedule, sigma_state
from wing_tf.training.tasks import CoordinateTask, make_task
from wing_tf.training.trainer import make_trainer


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
    records, held_out = _open_data(config)
    config.crop_margin = config.crop_margin or records.margin
    stage = make_task(config, records)
    stage.held_out = held_out.sources
    _check_fit(stage, records, held_out)
    balance = _open_balance(config, records)
    inputs = stage.inputs
    if balance:
        inputs = inputs | {"config.balance.path": PoseBalance.resolve_path(config.balance.path)}
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
    device_plan = plan_execution(config, replicas)
    config.precision = device_plan.precision  # a training goes on in the precision it began in
    run = RunFolder(workdir)
    fresh = not Backup.found(run.backup)
    # All that can be wrong with the config is built before the run folder is touched. The
    # inference network lives on one replica and in float32, whatever trains.
    inference_network = stage.network()
    held_out_batches = list(crop_batches(held_out, stage.spec))
    with strategy.scope() if strategy else contextlib.nullcontext():
        trainer = make_trainer(config, stage, steps_per_epoch, device_plan)
        if fresh:
            initialize(config, trainer, records)
        run.open(config, inputs)
        epoch = Backup.restore(trainer, run.backup)
    best = truncate_log(run.metrics, epoch)
    shrinks = trainer.sigma_state is not None
    if epoch >= config.epochs or (shrinks and sigma_state(trainer).done):
        print(f"{run.path} holds a finished training of {epoch} epochs.")
        return run.path
    print(
        f"{trainer.network.name}: {trainer.network.count_params():,} parameters, "
        f"{records.num_faces} training and {held_out.num_faces} validation faces "
        f"({records.scheme.name}), {replicas} device(s), {device_plan.precision}, "
        f"epochs {epoch + 1} to {config.epochs}.",
        flush=True,
    )
    noise = None
    if config.label_noise.fraction and config.label_noise.distance:
        noise = LabelNoise(records.scheme, seed=config.seed, **config.label_noise)
    batches = training_batches(
        records,
        batch_size=config.batch_size,
        num_draws=trainer.augmenter.num_draws,
        seed=config.seed,
        ratio=stage.decode_ratio,
        first_epoch=epoch,
        cache=config.data.cache,
        curves=stage.curves,
        label_noise=noise,
        sampling_weights=balance.relative_weights
        if balance and config.balance.use == "duplicate"
        else None,
    )
    if balance and config.balance.use == "weight":
        batches = batches.map(
            lambda faces: {**faces, "face_weight": balance.relative_weights(faces)}
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
                    stage.whole(inference_network),
                    stage.spec,
                    held_out_batches,
                    trained_part=inference_network,
                    folder=run.checkpoints,
                    best=best,
                    normalizer=config.normalizer or None,
                    every=config.validation_epochs,
                    save_every=config.checkpoint_epochs,
                    image_folder=run.tensorboard / "images",
                    num_images=config.num_images,
                ),
                *([_sigma_schedule(config, run.checkpoints)] if shrinks else []),
                Progress(config.epochs, steps_per_epoch * config.batch_size),
                log,
                TensorBoard(str(run.tensorboard), write_graph=False),
                Backup(run.backup, config.checkpoint_epochs),
            ],
        )
    finally:
        if log.csv_file:
            log.csv_file.close()  # fit leaves it open when it is interrupted
    print(f"Trained in {(time.monotonic() - started) / 60:.1f} minutes: {run.path}")
    return run.path


def _sigma_schedule(config: ml_collections.ConfigDict, folder: pathlib.Path) -> SigmaSchedule:
    settings = config.sigma_schedule
    return SigmaSchedule(
        folder,
        step=settings.temporal_step,
        last=settings.final_sigma,
        patience=settings.patience,
        max_epochs_per_sigma=settings.max_epochs_per_sigma,
    )


def _open_data(config: ml_collections.ConfigDict) -> tuple[RecordSet, RecordSet]:
    """Returns the training and the held-out faces."""
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
    normalizers = [*records.scheme.normalizers, *BOX_NORMALIZERS]
    if config.normalizer and config.normalizer not in normalizers:
        raise ValueError(
            f"config.normalizer must be one of {', '.join(normalizers)} for "
            f"{records.scheme.name}. Received: {config.normalizer!r}."
        )
    return records, held_out


def _open_balance(config: ml_collections.ConfigDict, records: RecordSet) -> PoseBalance | None:
    if not config.balance.path:
        return None
    balance = PoseBalance.load(config.balance.path)
    if balance.scheme_name != records.scheme.name:
        raise ValueError(
            f"config.balance.path is of {balance.scheme_name} faces, the records hold "
            f"{records.scheme.name}."
        )
    return balance


def _check_fit(stage: CoordinateTask, *parts: RecordSet) -> None:
    for part in parts:
        check_fit(part, stage.spec)
