"""The budget of a cell: the measured number of epochs that fit in some minutes."""

import pathlib
import time

import keras
import ml_collections

from wing_tf.data.batches import training_batches
from wing_tf.data.records import RecordSet
from wing_tf.models import HEATMAP_MODELS
from wing_tf.training.initialization import initialize
from wing_tf.training.resolve import emits_residuals
from wing_tf.training.tasks import make_task
from wing_tf.training.trainer import make_trainer
from wing_tf.utils.atomic import write_json
from wing_tf.utils.json_values import check_object, read_json_object

_UNTIMED_STEPS, _TIMED_SECONDS = 5, 15.0
# The rest of the time is for validation, checkpoints and logs.
_FRACTION_OF_STEPS = 0.95


def planned_epochs(
    config: ml_collections.ConfigDict, records: RecordSet, minutes: float, plan_file: pathlib.Path
) -> int:
    """Returns the number of epochs that fit in a budget.

    It is measured once for each kind of network and stored, so that all cells of a table with the
    same network have the same number of epochs.

    Args:
        config: The training's config.
        records: The training faces.
        minutes: The budget.
        plan_file: JSON file with the measurements; created if it does not exist.
    """
    plans = read_json_object(plan_file, {}) if plan_file.is_file() else {}
    stage = "second stage" if config.two_stage.first else "one stage"
    network = f"width {config.model.width:g}"
    if config.model.name in HEATMAP_MODELS:
        names = ("boundary", "coordinates", "boundary_coordinates")
        modules = [name for name in names if config.model[name]]
        if config.model.name == "smt_net":
            modules = [
                f"{config.model.inner_features} inside",
                *["residuals"][: emits_residuals(config)],
            ]
        network = " ".join(
            [
                f"{config.model.num_stacks} stacks of {config.model.features} channels",
                f"depth {config.model.depth}",
                *modules,
            ]
        )
    key = (
        f"{stage}, {config.model.name}, {config.model.input_size} px, {network}, "
        f"batch {config.batch_size}, {config.optimizer.name}, "
        f"{config.precision}, {records.num_faces} faces, {minutes:g} minutes"
    )
    if key not in plans:
        speed = _faces_per_second(config, records)
        epoch = records.num_faces // config.batch_size * config.batch_size
        epochs = max(1, int(_FRACTION_OF_STEPS * minutes * 60 * speed / epoch))
        plans[key] = {"faces_per_second": round(speed), "epochs": epochs}
        write_json(plan_file, plans)
    plan = check_object(plans[key], f"{plan_file}: {key}", {"epochs": int})
    if plan["epochs"] < 1:
        raise ValueError(f"{plan_file}: {key}: `epochs` must be positive.")
    return plan["epochs"]


def _faces_per_second(config: ml_collections.ConfigDict, records: RecordSet) -> float:
    """Measures the speed of a training on one device, and discards its weights."""
    task = make_task(config, records)
    trainer = make_trainer(config, task, 100)
    initialize(config, trainer, records)
    batches = training_batches(
        records,
        batch_size=config.batch_size,
        num_draws=trainer.augmenter.num_draws,
        seed=0,
        ratio=task.decode_ratio,
        cache=config.data.cache,
        curves=task.boundary_curves,
    )
    watch = _Stopwatch()
    trainer.fit(batches, steps_per_epoch=10**6, verbose=0, shuffle=False, callbacks=[watch])
    return watch.steps_per_second * config.batch_size


class _Stopwatch(keras.callbacks.Callback):
    """Times the steps after the first few, and then stops the training."""

    def on_train_batch_end(self, batch, logs=None):
        """Updates the speed."""
        if batch == _UNTIMED_STEPS:
            self._started = time.monotonic()
        elif batch > _UNTIMED_STEPS:
            elapsed = time.monotonic() - self._started
            self.steps_per_second = (batch - _UNTIMED_STEPS) / elapsed
            self.model.stop_training = elapsed >= _TIMED_SECONDS
