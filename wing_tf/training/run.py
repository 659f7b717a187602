"""Training of a network, from a config to a run folder."""

import contextlib
import os
import pathlib
import time
from collections.abc import Mapping

import keras
import ml_collections
import tensorflow as tf

from wing_tf.data.batches import training_batches
from wing_tf.data.label_noise import LabelNoise
from wing_tf.data.pose_balance import PoseBalance
from wing_tf.data.record_checks import raise_undecodable
from wing_tf.data.records import RecordSet, open_records
from wing_tf.evaluation.predict import check_fit, crop_batches
from wing_tf.inference.calibrate_scores import MIN_FACES, calibrate_on_records
from wing_tf.landmarks import BOX_NORMALIZERS
from wing_tf.model_spec import read_model_spec, replace_model_spec
from wing_tf.models.keras_settings import default_keras_settings
from wing_tf.models.saving import find_network, load_network
from wing_tf.training import callbacks
from wing_tf.training.accelerator import make_strategy
from wing_tf.training.initialization import initialize
from wing_tf.training.resolve import complete_config, resolve_config
from wing_tf.training.run_folder import RunFolder
from wing_tf.training.sigma_schedule import SigmaSchedule, sigma_state, sigma_values
from wing_tf.training.tasks import CoordinateTask, make_task
from wing_tf.training.time_limit import TimeLimit
from wing_tf.training.trainer import LandmarkTrainer, make_trainer
from wing_tf.training.validation_images import ValidationImages
from wing_tf.training.visibility import check_occlusion


@default_keras_settings()
def train(config: ml_collections.ConfigDict, workdir: str | pathlib.Path) -> pathlib.Path:
    """Trains a network, or resumes a training that was stopped.

    The same config, records and folder give the same result whether or not the training was
    interrupted: data order and augmentation are functions of (seed, epoch), and weights, optimizer
    state and epoch are saved together.

    Args:
        config: Keys of `wing_tf.training.config.default_config`; others take their defaults.
        workdir: The run folder, which must be local. (Records may be remote.)

    Returns:
        The run folder's path.

    Raises:
        ValueError: On a bad config, bad records, or a folder that holds something else or in which
            another process trains.
        FloatingPointError: If the loss becomes NaN.
    """
    started = time.monotonic()
    with contextlib.closing(RunFolder(workdir)) as run_folder:
        _train(config, run_folder, started)
    return run_folder.path


def _train(config: ml_collections.ConfigDict, run_folder: RunFolder, started: float) -> None:
    # Data, and the config that everything below follows.
    records, validation = _open_data(complete_config(config))
    strategy = make_strategy()
    num_replicas = strategy.num_replicas_in_sync if strategy else 1
    config = resolve_config(config, records, num_replicas)
    balance = _open_balance(config, records)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()

    # The task, and the network that is evaluated and saved: float32, on one device.
    task = make_task(config, records, validation.sources)
    for part in (records, validation):
        check_fit(part, task.spec)
    keras.utils.set_random_seed(config.seed)
    trained_part = task.build_network()
    localizer = task.localizer(trained_part)
    validation_batches = list(crop_batches(validation, task.spec))

    # The trainer. Every error in the config has been raised when the run folder is opened.
    steps_per_epoch = records.num_faces // config.batch_size
    with strategy.scope() if strategy else contextlib.nullcontext():
        trainer = make_trainer(config, task, steps_per_epoch)
        if not callbacks.Backup.found(run_folder.backup):
            initialize(config, trainer, records)
        run_folder.open(config, _input_files(config, task))
        epoch = callbacks.Backup.restore(trainer, run_folder.backup)
    best_score = callbacks.truncate_log(run_folder.metrics, epoch)
    sigma_schedule = _sigma_schedule(config, run_folder)
    limit = _time_limit(config, run_folder, steps_per_epoch, started, sigma_schedule)
    num_epochs = limit.epochs if limit else config.epochs
    if epoch >= num_epochs or _schedule_has_ended(trainer):
        _calibrate_scores(run_folder, validation)
        print(f"{run_folder.path} holds a finished training of {epoch} epochs.")
        return
    print(
        f"{trainer.network.name}: {trainer.network.count_params():,} parameters, "
        f"{records.num_faces} training and {validation.num_faces} validation faces "
        f"({records.scheme.name}), {num_replicas} device(s), {config.precision}, "
        f"epochs {epoch + 1} to {num_epochs}{_minutes(config)}.",
        flush=True,
    )

    # Fit.
    images = None
    if config.num_images:
        images = ValidationImages(
            validation_batches[0], records.scheme, num_images=config.num_images,
            folder=run_folder.validation_images, tensorboard=run_folder.tensorboard / "images",
        )  # fmt: skip
    log = keras.callbacks.CSVLogger(str(run_folder.metrics), append=True)
    try:
        trainer.fit(
            _make_batches(config, task, trainer.augmenter.num_draws, balance, epoch),
            epochs=num_epochs,
            initial_epoch=epoch,
            steps_per_epoch=steps_per_epoch,
            verbose=0,
            shuffle=False,  # the stream is shuffled already
            callbacks=[
                callbacks.StopOnNaN(),
                callbacks.Validation(
                    localizer,
                    task.spec,
                    validation_batches,
                    trained_part=trained_part,
                    folder=run_folder.checkpoints,
                    best=best_score,
                    normalizer=config.normalizer or None,
                    validation_epochs=config.validation_epochs,
                    checkpoint_epochs=config.checkpoint_epochs,
                    images=images,
                ),
                *filter(None, (sigma_schedule, limit)),
                callbacks.Progress(steps_per_epoch * config.batch_size),
                log,
                callbacks.TensorBoard(str(run_folder.tensorboard), write_graph=False),
                callbacks.Backup(run_folder.backup, config.checkpoint_epochs),
            ],
        )
    except tf.errors.InvalidArgumentError:
        raise_undecodable(records.files)
        raise
    finally:
        if log.csv_file:
            log.csv_file.close()  # fit leaves it open when it is interrupted
    _calibrate_scores(run_folder, validation)
    print(f"Trained in {(time.monotonic() - started) / 60:.1f} minutes: {run_folder.path}")


def _calibrate_scores(run_folder: RunFolder, validation: RecordSet) -> None:
    """Adds the calibration of `Face.score` to the saved model, unless it has one."""
    if validation.num_faces < MIN_FACES:
        return
    path = find_network(run_folder.path)
    if read_model_spec(path).score_calibration is None:
        network, spec = load_network(path)
        replace_model_spec(path, calibrate_on_records(network, spec, validation))


def _open_data(config: ml_collections.ConfigDict) -> tuple[RecordSet, RecordSet]:
    """Returns the training and the validation faces."""
    records = open_records(config.data.path, split=config.data.train_split)
    validation = open_records(config.data.path, split=config.data.validation_split)
    if overlap := set(records.files) & set(validation.files):
        raise ValueError(
            f"config.data: training and validation share {sorted(overlap)[0]}. "
            "Name record folders, or splits that differ."
        )
    if config.model.visibility:
        check_occlusion(records)
    normalizers = [*records.scheme.normalizers, *BOX_NORMALIZERS]
    if config.normalizer and config.normalizer not in normalizers:
        raise ValueError(
            f"config.normalizer must be one of {', '.join(normalizers)} for "
            f"{records.scheme.name}. Received: {config.normalizer!r}."
        )
    return records, validation


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


def _input_files(
    config: ml_collections.ConfigDict, task: CoordinateTask
) -> Mapping[str, str | os.PathLike]:
    """Returns the files besides the records that every start reads, by their config keys."""
    if not config.balance.path:
        return task.input_files
    balance_file = PoseBalance.resolve_path(config.balance.path)
    return {**task.input_files, "config.balance.path": balance_file}


def _make_batches(
    config: ml_collections.ConfigDict,
    task: CoordinateTask,
    num_draws: int,
    balance: PoseBalance | None,
    epoch: int,
) -> tf.data.Dataset:
    """Returns the stream of training batches from an epoch on."""
    noise = None
    if config.label_noise.fraction:
        noise = LabelNoise(task.records.scheme, seed=config.seed, **config.label_noise)
    return training_batches(
        task.records,
        batch_size=config.batch_size,
        num_draws=num_draws,
        seed=config.seed,
        ratio=task.decode_ratio,
        epochs=tf.data.Dataset.counter(epoch),
        cache=config.data.cache,
        curves=task.boundary_curves,
        label_noise=noise,
        sampling_weights=balance if config.balance.use == "duplicate" else None,
        loss_weights=balance if config.balance.use == "weight" else None,
    )


def _sigma_schedule(
    config: ml_collections.ConfigDict, run_folder: RunFolder
) -> SigmaSchedule | None:
    """Returns the config's schedule of sigma, if there is one."""
    settings = config.sigma_schedule
    if not settings.temporal_step:
        return None
    return SigmaSchedule(
        run_folder.checkpoints,
        step=settings.temporal_step,
        final_sigma=settings.final_sigma,
        patience=settings.patience,
        max_epochs_per_sigma=settings.max_epochs_per_sigma,
    )


def _time_limit(
    config: ml_collections.ConfigDict,
    run_folder: RunFolder,
    steps_per_epoch: int,
    started: float,
    sigma_schedule: SigmaSchedule | None,
) -> TimeLimit | None:
    """Returns the config's limit of time, if there is one."""
    if not config.time_limit_minutes:
        return None
    sigmas = config.sigma_schedule
    return TimeLimit(
        run_folder.time_limit,
        minutes=config.time_limit_minutes,
        max_epochs=config.epochs,
        steps_per_epoch=steps_per_epoch,
        warmup_epochs=config.schedule.warmup_epochs,
        validation_epochs=config.validation_epochs,
        started=started,
        sigma_schedule=sigma_schedule,
        num_sigmas=len(
            sigma_values(config.heatmap.sigma, sigmas.temporal_step, sigmas.final_sigma)
        ) if sigma_schedule else 1,
    )  # fmt: skip


def _minutes(config: ml_collections.ConfigDict) -> str:
    minutes = config.time_limit_minutes
    return f", as many as fit into {minutes:g} minutes" if minutes else ""


def _schedule_has_ended(trainer: LandmarkTrainer) -> bool:
    return trainer.sigma_state is not None and bool(sigma_state(trainer).done)
