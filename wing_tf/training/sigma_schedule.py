"""The kernel radius of heatmaps, shrinking in the course of a training."""

import math
import os
import pathlib
from typing import NamedTuple

import keras

from wing_tf.training.callbacks import averaged_weights, reset_averages


class SigmaState(NamedTuple):
    """Where a schedule is. Numbers, so that they are saved as one weight among others.

    Attributes:
        sigma: the current radius, in heatmap pixels.
        best: the best score of this stage.
        former: the best score of the stages before.
        wait: epochs since ``best``.
        length: epochs of this stage.
        done: 1 when the last stage has ended.
    """

    sigma: float
    best: float = math.inf
    former: float = math.inf
    wait: float = 0.0
    length: float = 0.0
    done: float = 0.0


class SigmaSchedule(keras.callbacks.Callback):
    """Makes the heatmaps' Gaussians smaller, stage by stage.

    A stage ends when validation has not improved for some epochs, or at its greatest length, and
    the next one goes on from its best weights with a smaller radius. After the smallest radius, or
    a stage that has not improved for so long and was no better than those before, the training
    ends. The optimizer's moments and the learning rate's schedule go on. The maps' graph is not
    traced again.

    Its state is a weight of the trainer (`LandmarkTrainer.sigma_state`), saved and restored with
    all others; the best weights are in a file of their own. It comes after `Validate`, whose score
    it reads, and before `Backup`.

    Args:
        folder: where the best weights go.
        step: what the radius becomes smaller by, in heatmap pixels.
        last: the smallest radius.
        patience: epochs without improvement that end a stage.
        max_epochs_per_sigma: the greatest length of a stage but the last; 0: none.

    Reference:
        Yang et al., Stacked Multi-Target Network for Robust Facial Landmark Localization, CVPR
        Workshops 2019, section 3.2, the temporal category. # The paper is silent on when a stage
        has converged, and on the optimizer's state.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        step: float,
        last: float,
        patience: int,
        max_epochs_per_sigma: int = 0,
    ):
        super().__init__()
        self.path = folder / "stage.weights.h5"
        self.step, self.last = step, last
        self.patience, self.max_epochs_per_sigma = patience, max_epochs_per_sigma

    def on_epoch_end(self, epoch, logs=None):
        """Judges the epoch, and begins the next stage."""
        state, score = sigma_state(self.model), logs["val_nme"]
        logs["sigma"] = state.sigma
        # float32, as it is kept, or a resumed training could compare otherwise.
        score = float(keras.ops.convert_to_numpy(keras.ops.cast(score, "float32")))
        state = state._replace(length=state.length + 1, wait=state.wait + 1)
        if score < state.best:
            state = state._replace(best=score, wait=0.0)
            part = self.path.with_name(f"part.{self.path.name}")
            with averaged_weights(self.model):
                self.model.network.save_weights(part, overwrite=True)
            os.replace(part, self.path)
        smallest = state.sigma - self.step < self.last - 1e-6
        converged = state.wait >= self.patience
        too_long = self.max_epochs_per_sigma and state.length >= self.max_epochs_per_sigma
        if converged and (smallest or not state.best < state.former):
            self.model.stop_training = True
            state = state._replace(done=1.0)
        elif (converged or too_long) and not smallest:
            state = self._next(state)
        self.model.sigma_state.assign(list(state))

    def _next(self, state: SigmaState) -> SigmaState:
        self.model.network.load_weights(self.path)
        reset_averages(self.model)
        return SigmaState(state.sigma - self.step, former=min(state.best, state.former))


def sigma_values(first: float, step: float, last: float) -> list[float]:
    """Returns the sigmas of a schedule: from the first one in steps, not below the last one."""
    count = math.floor((first - last) / step + 1e-6) if step else 0
    return [first - i * step for i in range(count + 1)]


def sigma_state(trainer: keras.Model) -> SigmaState:
    """Returns where a trainer's schedule is."""
    values = keras.ops.convert_to_numpy(trainer.sigma_state)
    return SigmaState(*(float(value) for value in values))
