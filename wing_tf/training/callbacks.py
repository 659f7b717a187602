"""What happens between epochs: validation, best model, backup, progress, stop on NaN."""

import contextlib
import csv
import math
import os
import pathlib
import time
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
import tqdm

from wing_tf.evaluation.predict import CropBatch, predict_batches
from wing_tf.evaluation.report import face_errors
from wing_tf.model_spec import ModelSpec
from wing_tf.models.compiled import compile_network
from wing_tf.models.saving import save_network
from wing_tf.visualization import contact_sheet, draw_landmarks


@contextlib.contextmanager
def averaged_weights(trainer: keras.Model) -> Iterator[None]:
    """Puts the moving averages of the weights in their place for a while, if there are any."""
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
    """Stops a training whose loss is no longer finite, before anything of it is saved."""

    def on_train_batch_end(self, batch, logs=None):
        """Looks now and then: the logged loss is the epoch's mean, so a NaN stays in it."""
        if batch % 50 == 0:
            self._check(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Looks before the epoch's weights are judged and saved."""
        self._check(logs)

    def _check(self, logs):
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss became {loss}. Try a smaller config.optimizer.learning_rate, "
                "config.schedule.warmup_epochs=1 or more, config.optimizer.clip_norm=1, or "
                "config.precision='float32'. The run folder holds the last good state."
            )


class Validate(keras.callbacks.Callback):
    """Scores the averaged weights on held-out faces, and saves the best and the last network.

    The score is the exact mean NME of the scheme's default normalizer, on one replica, in source
    pixels: `wing-evaluate` on the same records gives the same number. It is added to the logs as
    ``val_nme``, NaN in epochs that are not judged.

    Args:
        network: what is judged and saved: a float32 network on one replica.
        spec: saved with it.
        batches: the held-out faces.
        folder: where ``best.keras`` and ``last.keras`` go.
        trained_part: the part of it that the weights are copied into; all of it if None.
        best: the best score before this start.
        normalizer: of the score; the scheme's own if None.
        every: epochs between two judgements; the last epoch is always judged.
        save_every: epochs between two writings of ``last.keras`` and of images.
        image_folder: for TensorBoard images; none if None.
        num_images: how many faces they show.
    """

    def __init__(
        self,
        network: keras.Model,
        spec: ModelSpec,
        batches: list[CropBatch],
        *,
        folder: pathlib.Path,
        trained_part: keras.Model | None = None,
        best: float = math.inf,
        normalizer: str | None = None,
        every: int = 1,
        save_every: int = 1,
        image_folder: pathlib.Path | None = None,
        num_images: int = 8,
    ):
        super().__init__()
        self.inference_network = network
        self.trained_part = trained_part or network
        self.spec, self.batches, self.folder = spec, batches, folder
        self.best, self.normalizer = best, normalizer
        self.every, self.save_every = every, save_every
        self._run = compile_network(network)
        self._num_images = num_images if image_folder else 0
        if self._num_images:
            self._writer = tf.summary.create_file_writer(str(image_folder))

    def on_epoch_end(self, epoch, logs=None):
        """Validates and saves."""
        logs = {} if logs is None else logs
        logs["val_nme"] = math.nan
        last = epoch + 1 == self.params["epochs"]
        judge = last or (epoch + 1) % self.every == 0
        save = last or (epoch + 1) % self.save_every == 0
        if not (judge or save):
            return
        with averaged_weights(self.model):
            self.trained_part.set_weights(self.model.network.get_weights())
        if judge:
            logs["val_nme"] = score = self._score()
            if score < self.best:
                self.best = score
                save_network(self.inference_network, self.folder / "best.keras", self.spec)
        if save:
            save_network(self.inference_network, self.folder / "last.keras", self.spec)
            if self._num_images:
                self._write_images(epoch)

    def _score(self) -> float:
        predictions = predict_batches(self._run, self.batches)
        errors, _ = face_errors(predictions, self.spec.scheme, self.normalizer)
        if not np.isfinite(errors).any():
            raise ValueError(
                "No validation face can be scored: the landmarks of config.normalizer are missing "
                "in all of them."
            )
        return float(np.nanmean(errors))

    def _write_images(self, epoch: int) -> None:
        images = self.batches[0].image[: self._num_images]
        drawn = []
        for image, landmarks_px in zip(images, self._run(images), strict=True):
            large = image.astype(np.uint8).repeat(3, axis=0).repeat(3, axis=1)
            drawn.append(draw_landmarks(large, landmarks_px * 3 + 1, self.spec.scheme))
        with self._writer.as_default(step=epoch):
            tf.summary.image("validation", contact_sheet(drawn, columns=4)[None])
        self._writer.flush()


class Backup(keras.callbacks.Callback):
    """Writes all that a resume needs, after everything else of an epoch has been written.

    One file whose name holds the number of finished epochs, renamed into place: weights and epoch
    can't disagree. (``keras.callbacks.BackupAndRestore`` writes them to two files one after the
    other, and restores inside ``fit``, after the data order had to be fixed.)

    Args:
        folder: where the file goes.
        every: epochs between two backups; the last epoch is always backed up.
    """

    def __init__(self, folder: pathlib.Path, every: int = 1):
        super().__init__()
        self.folder, self.every = folder, every

    def on_epoch_end(self, epoch, logs=None):
        """Replaces the former backup."""
        if (epoch + 1) % self.every and epoch + 1 != self.params["epochs"]:
            return
        former = Backup.found(self.folder)
        temporary = self.folder / "writing.weights.h5"
        self.model.save_weights(temporary, overwrite=True)
        path = self.folder / f"epoch-{epoch + 1:06d}.weights.h5"
        os.replace(temporary, path)
        for file in former:
            if file != path:
                file.unlink()

    @staticmethod
    def found(folder: pathlib.Path) -> list[pathlib.Path]:
        """Returns the backups of a folder, oldest first (more than one after a kill)."""
        return sorted(folder.glob("epoch-*.weights.h5"))

    @staticmethod
    def restore(trainer: keras.Model, folder: pathlib.Path) -> int:
        """Loads weights and optimizer state; returns the number of finished epochs (0: none).

        Under a strategy, call it in its scope.
        """
        files = Backup.found(folder)
        if not files:
            return 0
        trainer.optimizer.build(trainer.trainable_variables)
        trainer.load_weights(files[-1])
        return int(files[-1].name.split("-")[1].split(".")[0])


class Progress(keras.callbacks.Callback):
    """A bar within the epoch on a terminal, and one line an epoch everywhere."""

    def __init__(self, num_epochs: int, faces_per_epoch: int):
        super().__init__()
        self.num_epochs, self.faces_per_epoch = num_epochs, faces_per_epoch
        self._durations: list[float] = []

    def on_epoch_begin(self, epoch, logs=None):
        """Opens the bar."""
        self._start = time.monotonic()
        self._bar = tqdm.tqdm(
            total=self.params["steps"], unit="step", leave=False, disable=None,
            desc=f"epoch {epoch + 1}/{self.num_epochs}",
        )  # fmt: skip

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar."""
        self._bar.update()

    def on_epoch_end(self, epoch, logs=None):
        """Prints the epoch's line."""
        self._bar.close()
        self._durations.append(time.monotonic() - self._start)
        # Judging and saving may happen every so many epochs: the mean, not the median.
        left = float(np.mean(self._durations[-20:])) * (self.num_epochs - epoch - 1) / 60
        judged = not math.isnan(logs["val_nme"])
        score = f"validation NME {100 * logs['val_nme']:.2f} %  " if judged else ""
        print(
            f"epoch {epoch + 1}/{self.num_epochs}  loss {logs['loss']:.3f}  {score}"
            f"{self.faces_per_epoch / self._durations[-1]:.0f} faces/s  {left:.1f} min left",
            flush=True,
        )


class TensorBoard(keras.callbacks.TensorBoard):
    """Keras' own, without a mark for epochs that were not judged."""

    def on_epoch_end(self, epoch, logs=None):
        """Writes what is a number."""
        super().on_epoch_end(epoch, {k: v for k, v in (logs or {}).items() if not math.isnan(v)})


def truncate_log(path: pathlib.Path, num_epochs: int) -> float:
    """Drops the rows of ``metrics.csv`` after an epoch; returns the best score that is left.

    Epochs that were logged but not backed up are run, and logged, again.
    """
    if not path.is_file():
        return math.inf
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    if not rows:  # stopped within its first epoch
        return math.inf
    header = rows[0]
    # A row that was being written when the process was killed is shorter, or no number yet.
    whole = [row for row in rows[1:] if len(row) == len(header) and row[0].isdigit()]
    kept = [row for row in whole if int(row[0]) < num_epochs]
    temporary = path.with_suffix(".writing")
    with temporary.open("w", newline="") as file:
        csv.writer(file).writerows([header, *kept])
    os.replace(temporary, path)
    column = header.index("val_nme")
    scores = [float(row[column]) for row in kept]
    return min((score for score in scores if not math.isnan(score)), default=math.inf)
