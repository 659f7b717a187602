"""Limit of a training's time, by the number of epochs."""

import math
import pathlib
import time

import keras
import ml_collections
import numpy as np

from wing_tf.training.paced_schedule import set_pace
from wing_tf.training.sigma_schedule import SigmaSchedule, sigma_values
from wing_tf.training.workers import Workers
from wing_tf.utils.atomic import write_json
from wing_tf.utils.json_values import read_json_object

# Fractions of the limit. The number of epochs is decided when the first has passed in epochs that
# show the speed, a validation included, or before the second passes.
_MEASURED, _LATEST = 0.1, 0.5


class TimeLimit(keras.callbacks.Callback):
    """Ends a training after as many epochs as a time allows, with its schedules completed.

    The number of epochs is decided once, from the seconds of the first ones, and written to a file;
    a resumed training reads it. From then on the learning rate decreases so fast that it reaches
    its end in the last epoch, and each sigma of a `SigmaSchedule` has at most an equal part of the
    epochs. Warm-up and frozen epochs keep their length. Given the number of epochs and that of the
    epochs before the decision, the training is deterministic.

    Args:
        path: The file.
        minutes: The limit. It includes whatever happened since ``started``. A training takes a
            few seconds more or less, as the speed of its epochs varies, and longer if not even two
            epochs fit.
        max_epochs: Maximum number of epochs.
        steps_per_epoch: Number of steps per epoch.
        warmup_epochs: Epochs of warm-up before the learning-rate schedule.
        validation_epochs: Epochs between validations.
        started: When the training was started, from `time.monotonic`.
        sigma_schedule: The schedule of sigma, if there is one.
        num_sigmas: Number of its sigmas.
        workers: The chief reads, decides and writes. Defaults to this process.

    Attributes:
        epochs: The number of epochs; ``max_epochs`` until it is decided.
    """

    def __init__(
        self,
        path: pathlib.Path,
        *,
        minutes: float,
        max_epochs: int,
        steps_per_epoch: int,
        warmup_epochs: float,
        validation_epochs: int,
        started: float,
        sigma_schedule: SigmaSchedule | None = None,
        num_sigmas: int = 1,
        workers: Workers | None = None,
    ):
        super().__init__()
        self.workers = workers or Workers()
        self.path, self.minutes, self.max_epochs = path, minutes, max_epochs
        self.steps_per_epoch, self.warmup_epochs = steps_per_epoch, warmup_epochs
        self.validation_epochs, self._started = validation_epochs, started
        self._begins: list[float] = []  # of the epochs in this process
        self.sigma_schedule, self.num_sigmas = sigma_schedule, num_sigmas
        self._decided_after: int | None = None
        self.epochs = max_epochs
        if self.workers.is_chief and path.is_file():
            decision = read_json_object(path, {"epochs": int, "decided_after": int})
            epochs, after = decision["epochs"], decision["decided_after"]
            if not 0 <= after < epochs <= max(max_epochs, after + 1):
                raise ValueError(
                    f"{path}: `epochs` and `decided_after` contradict each other or "
                    f"config.epochs={max_epochs}. Received: {epochs} and {after}."
                )
            self.epochs, self._decided_after = epochs, after
        self._share_decision()

    def on_epoch_begin(self, epoch, logs=None):
        """Decides, if it is time to, and follows the decision."""
        self._begins.append(time.monotonic())
        if self._decided_after is None:
            if self.workers.is_chief:
                self._decide(epoch)
            self._share_decision()
        # Epochs before the decision are repeated as they were.
        if self._decided_after is not None and epoch >= self._decided_after:
            self._follow(self._decided_after)

    def on_epoch_end(self, epoch, logs=None):
        """Ends the training after the last epoch."""
        if epoch + 1 >= self.epochs:
            self.model.stop_training = True

    def on_train_batch_end(self, batch, logs=None):
        """Leaves out the first step of this process, in which it is compiled."""
        if batch == 0 and len(self._begins) == 1 and self.steps_per_epoch > 1:
            self._begins[0] = time.monotonic()

    def _share_decision(self) -> None:
        after = math.inf if self._decided_after is None else self._decided_after
        epochs, after = self.workers.share([self.epochs, after])
        self.epochs, self._decided_after = int(epochs), None if after == math.inf else int(after)

    def _decide(self, finished: int) -> None:
        durations = np.diff(self._begins)
        elapsed, limit = self._begins[-1] - self._started, 60 * self.minutes
        if not len(durations):
            return
        measured = durations[1:] if len(durations) > 1 else durations
        seconds = float(np.mean(measured))
        is_measured = len(durations) > max(self.validation_epochs, 1) and (
            float(np.sum(measured)) >= _MEASURED * limit
        )
        if not is_measured and elapsed + seconds < _LATEST * limit:
            return
        before = seconds * (finished - len(durations))  # in a process that was interrupted
        self.epochs = epochs_within(
            limit - elapsed - before, seconds, finished=finished, max_epochs=self.max_epochs,
            num_sigmas=self.num_sigmas,
        )  # fmt: skip
        self._decided_after = finished
        facts = {"epochs": self.epochs, "decided_after": finished, "seconds_per_epoch": seconds}
        write_json(self.path, facts)
        print(
            f"{self.minutes:g} minutes: {self.epochs} epochs of {seconds:.1f} seconds "
            f"(config.epochs={self.max_epochs}).",
            flush=True,
        )

    def _follow(self, decided_after: int) -> None:
        self.params["epochs"] = self.epochs  # of all callbacks
        warmup = round(self.warmup_epochs * self.steps_per_epoch)
        planned, allowed = (
            max(epochs * self.steps_per_epoch - warmup, 1)
            for epochs in (self.max_epochs, self.epochs)
        )
        set_pace(self.model.optimizer, planned / allowed)
        if self.sigma_schedule is not None and self.epochs < self.max_epochs:
            self.sigma_schedule.max_epochs_per_sigma = epochs_per_sigma(
                self.epochs, decided_after, self.num_sigmas,
                self.sigma_schedule.max_epochs_per_sigma,
            )  # fmt: skip


def make_time_limit(
    config: ml_collections.ConfigDict,
    path: pathlib.Path,
    steps_per_epoch: int,
    started: float,
    sigma_schedule: SigmaSchedule | None,
    workers: Workers,
) -> TimeLimit | None:
    """Returns a config's limit of time, if there is one."""
    if not config.time_limit_minutes:
        return None
    sigmas = config.sigma_schedule
    return TimeLimit(
        path,
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
        workers=workers,
    )  # fmt: skip


def epochs_within(
    seconds_left: float,
    seconds_per_epoch: float,
    *,
    finished: int,
    max_epochs: int,
    num_sigmas: int = 1,
) -> int:
    """Returns the number of epochs of a training, one more for each sigma than those finished.

    Examples:
        >>> epochs_within(60.0, 5.0, finished=2, max_epochs=100)
        14
    """
    fitting = finished + int(max(seconds_left, 0.0) / seconds_per_epoch)
    return min(max(fitting, finished + num_sigmas), max(max_epochs, finished + 1))


def epochs_per_sigma(epochs: int, finished: int, num_sigmas: int, limit: int) -> int:
    """Returns the maximum number of epochs for each sigma but the last, which gets at least one.

    Args:
        epochs: Number of epochs of the training.
        finished: Epochs that the first sigma has had.
        num_sigmas: Number of sigmas.
        limit: The number without a limit of time; 0: none.

    Examples:
        >>> epochs_per_sigma(12, 2, 3, 0)
        4
    """
    others = max(num_sigmas - 1, 1)
    fitting = max(min(epochs // num_sigmas, (epochs - finished - 1) // others), 1)
    return min(fitting, limit) if limit else fitting
