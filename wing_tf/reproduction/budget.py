"""How many epochs of a training fit in some minutes on this machine, measured."""

import json
import pathlib
import time

import keras
import ml_collections

from wing_tf.data.read import training_batches
from wing_tf.data.records import RecordSet
from wing_tf.models import HEATMAP_MODELS
from wing_tf.training.config import emits_residuals
from wing_tf.training.initialization import initialize
from wing_tf.training.tasks import make_task
from wing_tf.training.trainer import make_trainer
from wing_tf.utils.atomic import write_text

_UNTIMED_STEPS, _TIMED_SECONDS = 5, 15.0
# Validation, checkpoints and logs take a twentieth of a training.
_SHARE_OF_STEPS = 0.95


def planned_epochs(
    config: ml_collections.ConfigDict, records: RecordSet, minutes: float, plan_file: pathlib.Path
) -> int:
    """Returns how many epochs fit, measured once for each kind of network and kept in a file.

    All cells of a table that train the same network so get the same number, also when they are
    trained on another day.

    Args:
        config: of the training.
        records: the training faces.
        minutes: the budget.
        plan_file: JSON; made or added to.
    """
    plans = json.loads(plan_file.read_text()) if plan_file.is_file() else {}
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
        epochs = max(1, int(_SHARE_OF_STEPS * minutes * 60 * speed / epoch))
        plans[key] = {"faces_per_second": round(speed), "epochs": epochs}
        write_text(plan_file, json.dumps(plans, indent=1) + "\n")
    return plans[key]["epochs"]


def _faces_per_second(config: ml_collections.ConfigDict, records: RecordSet) -> float:
    """Trains for some seconds on one device and forgets it."""
    stage = make_task(config, records)
    trainer = make_trainer(config, stage, 100)
    initialize(config, trainer, records)
    batches = training_batches(
        records,
        batch_size=config.batch_size,
        num_draws=trainer.augmenter.num_draws,
        seed=0,
        ratio=stage.decode_ratio,
        cache=config.data.cache,
        curves=stage.curves,
    )
    watch = _Stopwatch()
    trainer.fit(batches, steps_per_epoch=10**6, verbose=0, shuffle=False, callbacks=[watch])
    return watch.steps_per_second * config.batch_size


class _Stopwatch(keras.callbacks.Callback):
    """Times steps, the first few left out, and stops the training."""

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the clock."""
        if batch == _UNTIMED_STEPS:
            self._started = time.monotonic()
        elif batch > _UNTIMED_STEPS:
            elapsed = time.monotonic() - self._started
            self.steps_per_second = (batch - _UNTIMED_STEPS) / elapsed
            self.model.stop_training = elapsed >= _TIMED_SECONDS
