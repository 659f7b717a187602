"""Training of a network, from a config to a run folder."""

import contextlib
import functools
import json
import math
import os
import pathlib
import time
from collections.abc import Mapping

import keras
import ml_collections
import tensorflow as tf

from wing_tf.data.batches import training_batches
from wing_tf.data.pose_balance import PoseBalance
from wing_tf.data.record_checks import raise_undecodable
from wing_tf.data.records import RecordSet, open_records
from wing_tf.evaluation.predict import check_fit, crop_batches
from wing_tf.inference.calibrate_scores import MIN_FACES, calibrate_on_records, replace_model_spec
from wing_tf.landmarks import BOX_NORMALIZERS
from wing_tf.model_spec import read_model_spec
from wing_tf.models.keras_settings import default_keras_settings
from wing_tf.models.saving import find_network, load_network
from wing_tf.training import callbacks
from wing_tf.training.accelerator import make_strategy
from wing_tf.training.initialization import initialize
from wing_tf.training.labels import FaceChange, label_change
from wing_tf.training.logs import MetricsLog, TensorBoard
from wing_tf.training.resolve import complete_config, resolve_config
from wing_tf.training.run_folder import RunFolder, flatten, hash_files, truncate_log
from wing_tf.training.sigma_schedule import make_sigma_schedule, sigma_state
from wing_tf.training.tasks import CoordinateTask, make_task
from wing_tf.training.time_limit import make_time_limit
from wing_tf.training.trainer import LandmarkTrainer, make_trainer
from wing_tf.training.validation_images import ValidationImages
from wing_tf.training.visibility import check_occlusion
from wing_tf.training.workers import Workers


@default_keras_settings()
def train(
    config: ml_collections.ConfigDict,
    workdir: str | pathlib.Path,
    *,
    workers: Workers | None = None,
) -> pathlib.Path:
    """Trains a network, or resumes a training that was stopped.

    The same config, records and folder give the same result whether or not the training was
    interrupted: data order and augmentation are functions of (seed, epoch), and weights, optimizer
    state and epoch are saved together.

    Args:
        config: Keys of `wing_tf.training.config.default_config`; others take their defaults.
        workdir: The run folder, which must be local. (Records may be remote.) Only the first one of
            several workers uses it.
        workers: The processes that train together, from `wing_tf.training.cluster.join_workers`,
            each of which needs the records and the config's other files. Defaults to this process,
            with all its devices.

    Returns:
        The run folder's path.

    Raises:
        ValueError: On a bad config, bad records, or a folder that holds something else or in which
            another process trains.
        FloatingPointError: If the loss becomes NaN.
    """
    started = time.monotonic()
    with contextlib.closing(RunFolder(workdir)) as run_folder:
        _train(config, run_folder, started, workers)
    return run_folder.path


def _train(
    config: ml_collections.ConfigDict,
    run_folder: RunFolder,
    started: float,
    workers: Workers | None,
) -> None:
    # Data, and the config that everything below follows.
    records, validation = _open_data(complete_config(config))
    workers = workers or Workers(make_strategy())
    config = resolve_config(config, records, workers.num_replicas)
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
    validation_batches = list(crop_batches(validation, task.spec)) if workers.is_chief else []

    # The trainer. Every error in the config has been raised when the run folder is opened.
    input_files = _input_files(config, task)
    if workers.count > 1:
        workers.check_same(_facts(config, records, input_files))
    steps_per_epoch = records.num_faces // config.batch_size
    with workers.scope():
        trainer = make_trainer(config, task, steps_per_epoch)

    def initialize_or_restore() -> int:
        if not callbacks.Backup.found(run_folder.backup):
            initialize(config, trainer, records)
        run_folder.open(config, input_files)
        return callbacks.Backup.restore(trainer, run_folder.backup)

    epoch = int(workers.run_on_chief(initialize_or_restore))
    workers.share_variables([*trainer.weights, *trainer.optimizer.variables])
    best_score = truncate_log(run_folder.metrics, epoch) if workers.is_chief else math.inf
    sigma_schedule = make_sigma_schedule(config, run_folder.checkpoints, workers)
    limit = make_time_limit(
        config, run_folder.time_limit, steps_per_epoch, started, sigma_schedule, workers
    )
    num_epochs = limit.epochs if limit else config.epochs
    calibrate = functools.partial(_calibrate_scores, run_folder, validation)
    if epoch >= num_epochs or _schedule_has_ended(trainer):
        workers.run_on_chief(calibrate)
        if workers.is_chief:
            print(f"{run_folder.path} holds a finished training of {epoch} epochs.")
        return
    if workers.is_chief:
        print(
            f"{trainer.network.name}: {trainer.network.count_params():,} parameters, "
            f"{records.num_faces} training and {validation.num_faces} validation faces "
            f"({records.scheme.name}), {_devices(workers)}, {config.precision}, "
            f"epochs {epoch + 1} to {num_epochs}{_minutes(config)}.",
            flush=True,
        )

    # Fit.
    change = label_change(config, records)
    images = None
    if config.num_images and workers.is_chief:
        images = ValidationImages(
            validation_batches[0], records.scheme, num_images=config.num_images,
            folder=run_folder.validation_images, tensorboard=run_folder.tensorboard / "images",
        )  # fmt: skip
    writers = [
        callbacks.Progress(steps_per_epoch * config.batch_size),
        MetricsLog(run_folder.metrics),
        TensorBoard(run_folder.tensorboard),
        callbacks.Backup(run_folder.backup, config.checkpoint_epochs),
    ]
    try:
        trainer.fit(
            workers.distribute(
                lambda *worker: _make_batches(
                    config,
                    task,
                    balance,
                    change,
                    num_draws=trainer.augmenter.num_draws,
                    epochs=tf.data.Dataset.counter(epoch),
                    worker=worker,
                )
            ),
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
                    workers=workers,
                ),
                *filter(None, (sigma_schedule, limit)),
                *(writers if workers.is_chief else []),
                *workers.callbacks(),
            ],
        )
    except tf.errors.InvalidArgumentError:
        raise_undecodable(records.files)
        raise
    workers.run_on_chief(calibrate)
    if workers.is_chief:
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
    files: dict[str, str | os.PathLike] = dict(task.input_files)
    if config.balance.path:
        files["config.balance.path"] = PoseBalance.resolve_path(config.balance.path)
    if config.teacher.model:
        files["config.teacher.model"] = find_network(config.teacher.model)
    return files


def _facts(
    config: ml_collections.ConfigDict,
    records: RecordSet,
    input_files: Mapping[str, str | os.PathLike],
) -> dict[str, object]:
    """Returns what all workers must have in common; the paths of their files may differ."""
    paths = ("data.path", "init_from", "balance.path", "two_stage.first", "teacher.model")
    values = dict(flatten(json.loads(config.to_json_best_effort())))
    return {
        "records": list(hash_files({file: file for file in records.files}).values()),
        "input files": hash_files(input_files),
        **{f"config.{key}": value for key, value in values.items() if key not in paths},
    }


def _make_batches(
    config: ml_collections.ConfigDict,
    task: CoordinateTask,
    balance: PoseBalance | None,
    change: FaceChange | None,
    **options,
) -> tf.data.Dataset:
    """Returns the stream of a worker's training batches."""
    return training_batches(
        task.records,
        batch_size=config.batch_size,
        seed=config.seed,
        ratio=task.decode_ratio,
        cache=config.data.cache,
        curves=task.boundary_curves,
        label_change=change,
        sampling_weights=balance if config.balance.use == "duplicate" else None,
        loss_weights=balance if config.balance.use == "weight" else None,
        **options,
    )


def _devices(workers: Workers) -> str:
    devices = f"{workers.num_replicas} device(s)"
    return f"{devices} of {workers.count} workers" if workers.count > 1 else devices


def _minutes(config: ml_collections.ConfigDict) -> str:
    minutes = config.time_limit_minutes
    return f", as many as fit into {minutes:g} minutes" if minutes else ""


def _schedule_has_ended(trainer: LandmarkTrainer) -> bool:
    return trainer.sigma_state is not None and bool(sigma_state(trainer).done)
