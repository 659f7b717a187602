"""Schedule of the heatmaps' sigma over the epochs."""

import math
import pathlib
from typing import NamedTuple

import keras
import ml_collections

from wing_tf.models.saving import load_weights, save_weights
from wing_tf.training.callbacks import averaged_weights, reset_averages
from wing_tf.training.workers import Workers


class SigmaState(NamedTuple):
    """State of the schedule, as numbers that are saved as one weight of the trainer.

    Attributes:
        sigma: The current sigma, in heatmap pixels.
        best: Best score with this sigma.
        former: Best score with larger sigmas.
        wait: Epochs since ``best``.
        length: Epochs with this sigma.
        done: 1 when the schedule has ended.
    """

    sigma: float
    best: float = math.inf
    former: float = math.inf
    wait: float = 0.0
    length: float = 0.0
    done: float = 0.0


class SigmaSchedule(keras.callbacks.Callback):
    """Decreases the sigma of the training heatmaps in steps.

    The next sigma follows when validation has not improved for ``patience`` epochs, or after
    ``max_epochs_per_sigma``; it starts from the best weights of the sigma before. Training ends
    when validation has stopped improving at the last sigma, or at a sigma that is no better than
    the ones before. The optimizer's moments and the learning-rate schedule continue; the trainer
    keeps the scale of the gradients (`LandmarkTrainer.compute_loss`). The train step is not traced
    again.

    The state is a weight of the trainer (`LandmarkTrainer.sigma_state`), saved and restored with
    the others; the best weights are in a file of their own. Place this callback after `Validation`,
    whose score it reads, and before `Backup`.

    Args:
        folder: Folder of the best weights' file.
        step: Decrease of sigma, in heatmap pixels.
        final_sigma: The smallest sigma.
        patience: Number of epochs without improvement before the next sigma.
        max_epochs_per_sigma: Maximum number of epochs for all sigmas but the last; 0: no limit.
        workers: The chief writes and reads the file. Defaults to this process.

    Reference:
        Yang et al., Stacked Multi-Target Network for Robust Facial Landmark Localisation, CVPR
        Workshops 2019, section 3.2, the temporal category. # The paper is silent on when training
        with one sigma has converged, and on the optimizer's state.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        step: float,
        final_sigma: float,
        patience: int,
        max_epochs_per_sigma: int = 0,
        workers: Workers | None = None,
    ):
        super().__init__()
        self.workers = workers or Workers()
        self.path = folder / "best_of_sigma.weights.h5"
        self.step, self.final_sigma = step, final_sigma
        self.patience, self.max_epochs_per_sigma = patience, max_epochs_per_sigma

    def on_epoch_end(self, epoch, logs=None):
        """Updates the state by the validation score, and moves on to the next sigma."""
        state, score = sigma_state(self.model), logs["val_nme"]
        logs["sigma"] = state.sigma
        # float32, as it is saved, so that a resumed training compares the same numbers.
        score = float(keras.ops.convert_to_numpy(keras.ops.cast(score, "float32")))
        state = state._replace(length=state.length + 1, wait=state.wait + 1)
        if score < state.best:
            state = state._replace(best=score, wait=0.0)
            if self.workers.is_chief:
                self._save_weights()
        is_last = state.sigma - self.step < self.final_sigma - 1e-6
        converged = state.wait >= self.patience
        too_long = self.max_epochs_per_sigma and state.length >= self.max_epochs_per_sigma
        if converged and (is_last or not state.best < state.former):
            self.model.stop_training = True
            state = state._replace(done=1.0)
        elif (converged or too_long) and not is_last:
            state = self._next(state)
        self.model.sigma_state.assign(list(state))

    def _save_weights(self) -> None:
        with averaged_weights(self.model):
            save_weights(self.model.network, self.path)

    def _next(self, state: SigmaState) -> SigmaState:
        if self.workers.is_chief:
            load_weights(self.model.network, self.path)
        self.workers.share_variables(self.model.network.weights)
        reset_averages(self.model)
        return SigmaState(state.sigma - self.step, former=min(state.best, state.former))


def make_sigma_schedule(
    config: ml_collections.ConfigDict, folder: pathlib.Path, workers: Workers
) -> SigmaSchedule | None:
    """Returns a config's schedule of sigma, if there is one."""
    settings = config.sigma_schedule
    if not settings.temporal_step:
        return None
    return SigmaSchedule(
        folder,
        step=settings.temporal_step,
        final_sigma=settings.final_sigma,
        patience=settings.patience,
        max_epochs_per_sigma=settings.max_epochs_per_sigma,
        workers=workers,
    )


def sigma_values(first: float, step: float, final: float) -> list[float]:
    """Returns the sigmas of a schedule: from the first one in steps, not below the final one."""
    count = math.floor((first - final) / step + 1e-6) if step else 0
    return [first - i * step for i in range(count + 1)]


def sigma_state(trainer: keras.Model) -> SigmaState:
    """Returns the state of a trainer's schedule."""
    values = keras.ops.convert_to_numpy(trainer.sigma_state)
    return SigmaState(*(float(value) for value in values))
