"""Callbacks: validation, backup, progress and stop on NaN."""

import contextlib
import math
import pathlib
import time
from collections.abc import Iterator

import keras
import numpy as np
import tqdm
from keras import ops

from wing_tf.evaluation.predict import CropBatch, Predictions, predict_batches
from wing_tf.evaluation.report import face_errors, occlusion_scores
from wing_tf.model_spec import ModelSpec
from wing_tf.models import change_decoder, heatmap_network
from wing_tf.models.compiled import compile_localizer
from wing_tf.models.saving import load_weights, save_network, save_weights
from wing_tf.training.validation_images import ValidationImages
from wing_tf.training.workers import Workers


@contextlib.contextmanager
def averaged_weights(trainer: keras.Model) -> Iterator[None]:
    """Replaces the weights by their moving averages, if there are any, in a ``with`` block."""
    # With loss scaling the averages are the inner optimizer's.
    optimizer = getattr(trainer.optimizer, "inner_optimizer", trainer.optimizer)
    if not optimizer.use_ema or not int(optimizer.iterations.numpy()):
        yield
        return
    variables = trainer.trainable_variables
    current = [variable.numpy() for variable in variables]
    optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, current, strict=True):
            variable.assign(value)


def reset_averages(trainer: keras.Model) -> None:
    """Sets the moving averages of the weights, if there are any, to the weights."""
    optimizer = getattr(trainer.optimizer, "inner_optimizer", trainer.optimizer)
    if optimizer.use_ema:
        averages = optimizer._model_variables_moving_average
        for average, variable in zip(averages, trainer.trainable_variables, strict=True):
            average.assign(variable)


class StopOnNaN(keras.callbacks.Callback):
    """Stops a training whose loss is not finite, before anything is saved."""

    def on_train_batch_end(self, batch, logs=None):
        """Checks every 50 batches: the logged loss is the epoch's mean, so a NaN stays in it."""
        if batch % 50 == 0:
            self._check(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Checks before the epoch's weights are validated and saved."""
        self._check(logs)

    def _check(self, logs):
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss became {loss}. Try a smaller config.optimizer.learning_rate, "
                "config.schedule.warmup_epochs=1 or more, config.optimizer.clip_norm=1, or "
                "config.precision='float32'. The run folder holds the last good state."
            )


class Validation(keras.callbacks.Callback):
    """Evaluates the averaged weights on validation faces, and saves the best and the last network.

    The score is the exact mean NME on one replica, in source pixels: `wing-evaluate` on the same
    records gives the same number. It is added to the logs as ``val_nme``, NaN in epochs without
    validation. For networks that emit the visibility, the recall of occluded landmarks at 80 %
    precision is added as ``val_occlusion_recall``.

    Args:
        localizer: The float32 network that is evaluated and saved.
        spec: The model spec that is saved with it.
        batches: The validation faces.
        folder: Folder of ``best.keras`` and ``last.keras``.
        trained_part: Part of `localizer` that the weights are copied to. Defaults to all of it.
        best: Best score of the epochs before.
        normalizer: Normalizer of the score. Defaults to the scheme's.
        validation_epochs: Epochs between validations; the last epoch is always validated.
        checkpoint_epochs: Epochs between writes of ``last.keras`` and of TensorBoard's images.
        images: Draws validation faces. Defaults to no images.
        workers: The chief validates and saves, and shares the scores. Defaults to this process.
    """

    def __init__(
        self,
        localizer: keras.Model,
        spec: ModelSpec,
        batches: list[CropBatch],
        *,
        folder: pathlib.Path,
        trained_part: keras.Model | None = None,
        best: float = math.inf,
        normalizer: str | None = None,
        validation_epochs: int = 1,
        checkpoint_epochs: int = 1,
        images: ValidationImages | None = None,
        workers: Workers | None = None,
    ):
        super().__init__()
        self.workers = workers or Workers()
        self.localizer = localizer
        self.trained_part = trained_part or localizer
        self.spec, self.batches, self.folder = spec, batches, folder
        self.best, self.normalizer = best, normalizer
        self.validation_epochs, self.checkpoint_epochs = validation_epochs, checkpoint_epochs
        self._run = compile_localizer(localizer)
        outputs = localizer.output
        self._emits_visibility = isinstance(outputs, dict) and "visibility" in outputs
        self._images = images

    def _follow_sigma(self):
        """Decodes and saves with the sigma that the weights are trained with."""
        if self.model.sigma_state is None:
            return
        sigma, found = float(self.model.sigma_state[0]), heatmap_network(self.localizer)
        if found and found[1].sigma != sigma:
            self.localizer = change_decoder(self.localizer, sigma=sigma)
            self._run = compile_localizer(self.localizer)

    def on_epoch_end(self, epoch, logs=None):
        """Validates and saves."""
        scores = {"val_nme": math.nan}
        if self._emits_visibility:
            scores["val_occlusion_recall"] = math.nan
        if self.workers.is_chief:
            self._validate_and_save(epoch, scores)
        shared = self.workers.share(list(scores.values()))
        (logs if logs is not None else {}).update(zip(scores, map(float, shared), strict=True))

    def _validate_and_save(self, epoch, logs):
        is_last = epoch + 1 == self.params["epochs"]
        validates = is_last or (epoch + 1) % self.validation_epochs == 0
        saves = is_last or (epoch + 1) % self.checkpoint_epochs == 0
        if not (validates or saves):
            return
        self._follow_sigma()
        with averaged_weights(self.model):
            self.trained_part.set_weights(self.model.network.get_weights())
        if validates:
            predictions = predict_batches(self._run, self.batches)
            errors = self._errors(predictions)
            logs["val_nme"] = score = float(np.nanmean(errors))
            recall = occlusion_scores(predictions).get("recall_at_80_precision")
            if recall is not None:
                logs["val_occlusion_recall"] = recall
            if is_best := score < self.best:
                self.best = score
                save_network(self.localizer, self.folder / "best.keras", self.spec)
            if self._images is not None:
                self._images.write(predictions, errors, epoch, is_best=is_best, log=saves)
        if saves:
            save_network(self.localizer, self.folder / "last.keras", self.spec)

    def _errors(self, predictions: Predictions) -> np.ndarray:
        errors, _ = face_errors(predictions, self.spec.scheme, self.normalizer)
        if not np.isfinite(errors).any():
            raise ValueError(
                "No validation face can be evaluated: the landmarks of config.normalizer are "
                "annotated in none of them."
            )
        return errors


class Backup(keras.callbacks.Callback):
    """Saves the state that a resumed training needs. Place it last.

    Weights, optimizer state and the number of finished epochs are in one file (the number in its
    name), which is replaced atomically, so that they always agree. Keras' ``BackupAndRestore``
    writes two files one after the other, and restores inside ``fit``, when the data order must be
    fixed already.

    Args:
        folder: Folder of the file.
        checkpoint_epochs: Epochs between backups; the last epoch is always saved.
    """

    def __init__(self, folder: pathlib.Path, checkpoint_epochs: int = 1):
        super().__init__()
        self.folder, self.checkpoint_epochs = folder, checkpoint_epochs

    def on_epoch_end(self, epoch, logs=None):
        """Replaces the previous backup."""
        if (epoch + 1) % self.checkpoint_epochs and epoch + 1 != self.params["epochs"]:
            return
        previous = Backup.found(self.folder)
        path = self.folder / f"epoch-{epoch + 1:06d}.weights.h5"
        save_weights(self.model, path)
        for file in previous:
            if file != path:
                file.unlink()

    @staticmethod
    def found(folder: pathlib.Path) -> list[pathlib.Path]:
        """Returns the backups in a folder, oldest first; there may be two after a crash."""
        return sorted(folder.glob(f"epoch-{'[0-9]' * 6}.weights.h5"))

    @staticmethod
    def restore(trainer: keras.Model, folder: pathlib.Path) -> int:
        """Loads weights and optimizer state; returns the number of finished epochs (0: no backup).

        It removes older backups. Call it in the strategy's scope if there is one.

        Raises:
            ValueError: If the newest backup is damaged or of another network.
        """
        files = Backup.found(folder)
        if not files:
            return 0
        trainer.optimizer.build(trainer.trainable_variables)
        load_weights(trainer, files[-1])
        # Without the state of a sigma schedule, whose best score is infinite at first.
        state = getattr(trainer, "sigma_state", None)
        weights = [weight for weight in trainer.weights if weight is not state]
        if not all(np.isfinite(ops.convert_to_numpy(weight)).all() for weight in weights):
            raise ValueError(f"{files[-1]} is damaged: a weight is not finite.")
        for file in files[:-1]:
            file.unlink()
        return int(files[-1].name.split("-")[1].split(".")[0])


class Progress(keras.callbacks.Callback):
    """Shows a bar within the epoch on a terminal, and prints one line per epoch.

    Speed and time left leave out the first epoch, in which the step and the validation are
    compiled; the first epoch's bar leaves out its first step.
    """

    def __init__(self, faces_per_epoch: int):
        super().__init__()
        self.faces_per_epoch = faces_per_epoch
        self._compiled = False
        self._durations: list[float] = []

    def on_epoch_begin(self, epoch, logs=None):
        """Opens the bar."""
        self._start = time.monotonic()
        self._bar = tqdm.tqdm(
            total=self.params["steps"], unit="step", leave=False, disable=None,
            desc=f"epoch {epoch + 1}/{self.params['epochs']}",
        )  # fmt: skip

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar."""
        if batch == 0 and not self._compiled:
            self._bar.unpause()  # its clock starts now
        self._bar.update()

    def on_epoch_end(self, epoch, logs=None):
        """Prints the epoch's line."""
        self._bar.close()
        score = logs["val_nme"]
        num_epochs = self.params["epochs"]
        line = f"epoch {epoch + 1}/{num_epochs}  loss {logs['loss']:.3f}"
        if not math.isnan(score):
            line += f"  validation NME {100 * score:.2f} %"
        if self._compiled:
            self._durations.append(time.monotonic() - self._start)
            # The mean, not the median: only some epochs include validation and saving.
            left = float(np.mean(self._durations[-20:])) * (num_epochs - epoch - 1) / 60
            line += f"  {self.faces_per_epoch / self._durations[-1]:.0f} faces/s"
            line += f"  {left:.1f} min left"
        print(line, flush=True)
        self._compiled = True
