"""The recipes that a table's cells share, as configs.

A cell's ``base`` names what is trained, a run's recipe how: "tuned" by AdamW, or by "paper".
"""

import operator
from collections.abc import Iterable
from typing import Any

import ml_collections

from wing_tf.reproduction.table import Cell
from wing_tf.training.config import complete_config, default_config
from wing_tf.training.sigma_schedule import sigma_values

# CNN-6 at 64 px with the Wing paper's augmentation.
_AUGMENT = {"flip": 0.5, "rotation_deg": 30.0, "box_jitter": 0.05, "blur": 0.5}
_COORDINATES = {
    "model.name": "cnn6",
    "model.input_size": 64,
    "crop_margin": 1.15,
    "num_images": 0,
    **{f"augment.{key}": value for key, value in _AUGMENT.items()},
    # The first stage's crops, while the second is trained.
    **{f"two_stage.augment.{key}": value for key, value in _AUGMENT.items()},
}
# Two small hourglasses, the least that boundary coordinates need; no module of the paper yet.
_HEATMAPS = {
    "model.name": "hourglass",
    "model.input_size": 128,
    "model.num_stacks": 2,
    "model.features": 64,
    "model.boundary": False,
    "model.coordinates": False,
    "model.boundary_coordinates": False,
    "heatmap.sigma": 1.0,
    "crop_margin": 1.15,
    "num_images": 0,
    "augment.flip": 0.5,
}

_AUGMENT_HEATMAPS = {
    "augment.rotation_deg": 30.0,
    "augment.scale": 0.1,
    "augment.translation": 0.05,
    "augment.box_jitter": 0.05,
    "augment.blur": 0.2,
    "augment.brightness": 0.1,
    "augment.contrast": 0.2,
    "augment.color": 0.1,
    "augment.noise": 0.02,
    "augment.occlusion": 0.4,
}
# AdamW with averages that fit a short training.
_TUNED_HEATMAPS = _AUGMENT_HEATMAPS | {
    "optimizer.learning_rate": 2e-3,
    "optimizer.weight_decay": 0.01,
    "optimizer.ema": 0.99,
    "schedule.warmup_epochs": 1.0,
    "batch_size": 16,
}
# A small SMT-Net without residuals; sigma 1 of maps of 32 px, as of the hourglasses.
_TARGETS = {
    "model.name": "smt_net",
    "model.input_size": 128,
    "model.num_stacks": 2,
    "model.features": 64,
    "model.inner_features": 64,
    "model.residuals": False,
    "heatmap.sigma": 1.0,
    "loss.name": "bice",
    "crop_margin": 1.15,
    "num_images": 0,
    "augment.flip": 0.5,
}

RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "coordinates": {
        # AdamW divides by the gradient's size: one rate is fair to losses of different scales.
        "tuned": _COORDINATES | {
            "optimizer.learning_rate": 1e-3,
            "optimizer.weight_decay": 0.01,
            "optimizer.ema": 0.995,
            "schedule.warmup_epochs": 1.0,
            "batch_size": 32,
        },
        # configs/wing_cnn6_300w.py has the arithmetic of the conversion to a mean over 2K
        # coordinates.
        "paper": _COORDINATES | {
            "optimizer.name": "sgd",
            "optimizer.momentum": 0.9,
            "schedule.name": "exponential",
            "schedule.final_ratio": 0.01,
            "batch_size": 8,
        },
    },
    "heatmaps": {
        # configs/awing_small_300w_cpu.py, but shorter.
        "tuned": _HEATMAPS | _TUNED_HEATMAPS,
        # configs/awing_4hg_300w.py says what is the paper's.
        "paper": _HEATMAPS | {
            "augment.rotation_deg": 50.0,
            "augment.scale": 0.15,
            "augment.translation": 0.1,
            "augment.blur": 0.5,
            "augment.noise": 0.05,
            "augment.occlusion": 0.5,
            "heatmap.decoder": "quarter",
            "optimizer.name": "rmsprop",
            "optimizer.learning_rate": 1e-4,
            "optimizer.momentum": 0.0,
            "optimizer.weight_decay": 1e-5,
            "schedule.name": "piecewise",
            "schedule.boundaries": (80, 160),
            "epochs": 240,
            "batch_size": 8,
        },
    },
    "smt": {
        # configs/smt_small_300w_cpu.py, but shorter.
        "tuned": _TARGETS | _TUNED_HEATMAPS,
        # configs/smt_300w.py says what is the paper's.
        "paper": _TARGETS | {
            "heatmap.decoder": "argmax",
            "augment.rotation_deg": 30.0,
            "augment.scale": 0.07,
            "augment.translation": 0.043,
            "augment.blur": 0.5,
            "optimizer.name": "adam",
            "optimizer.learning_rate": 1e-2,
            "optimizer.weight_decay": 5e-4,
            "schedule.name": "piecewise",
            "schedule.boundaries": (120, 200),
            "epochs": 240,
            "batch_size": 8,
        },
    },
}  # fmt: skip
# Of a loss summed over coordinates. # The paper is silent on ResNet-50's: as CNN-7's.
_PAPER_RATES = {"cnn6": 3e-5, "cnn7": 1e-5, "resnet50": 1e-5}


def cell_config(
    cell: Cell,
    *,
    recipe: str,
    num_landmarks: int,
    overrides: dict[str, Any] | None = None,
) -> ml_collections.ConfigDict:
    """Returns a cell's config, complete but for data, seed, epochs, first stage and balance.

    Args:
        cell: of a table.
        recipe: "tuned" or "paper". The Wing paper's is SGD with its rate and decay, for L2 a tenth
            of the rate.
        num_landmarks: K; the Wing paper's rates are for sums over 2K coordinates.
        overrides: flattened keys that go before all others.
    """
    config = default_config()
    config.update_from_flattened_dict(RECIPES[cell.task][recipe] | dict(cell.overrides))
    if (cell.task, recipe) == ("coordinates", "paper"):
        rate = _PAPER_RATES[config.model.name] * (0.1 if config.loss.name == "l2" else 1.0)
        config.optimizer.learning_rate = rate * 2 * num_landmarks
        config.optimizer.weight_decay = 5e-4 / (2 * num_landmarks)
    config.update_from_flattened_dict(overrides or {})
    return complete_config(config)


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Returns flattened config keys from texts like "model.features=128", in the keys' types.

    Raises:
        ValueError: on an unknown key, or a value that its type can't take.
    """
    default, overrides = default_config(), {}
    for text in texts:
        key, _, value = text.partition("=")
        try:
            former = operator.attrgetter(key)(default)
        except AttributeError:
            raise ValueError(f"There is no config key {key!r}.") from None
        make = {bool: _to_bool, int: int, float: float, str: str}.get(type(former))
        if make is None:
            raise ValueError(f"The config key {key} takes no single value.")
        try:
            overrides[key] = make(value)
        except ValueError:
            raise ValueError(
                f"{key} must be of type {type(former).__name__}. Received: {value!r}."
            ) from None
    return overrides


def _to_bool(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError(text)
    return text == "True"


def set_epochs(config: ml_collections.ConfigDict, epochs: int) -> None:
    """Gives a cell's config its length, and a schedule within it the same shares of it."""
    boundaries = [round(b * epochs / config.epochs) for b in config.schedule.boundaries]
    # A training that is shorter than the schedule has steps loses some of them.
    config.schedule.boundaries = tuple(sorted({b for b in boundaries if 0 < b < epochs}))
    config.epochs = epochs
    config.validation_epochs = config.checkpoint_epochs = max(1, epochs // 20)
    kernel = config.sigma_schedule
    if kernel.temporal_step:
        # Stages of equal length, the last takes the rest: the budget's, not the patience's.
        stages = len(sigma_values(config.heatmap.sigma, kernel.temporal_step, kernel.final_sigma))
        if epochs < stages:
            raise ValueError(f"{epochs} epochs are too few for the {stages} stages of the radius.")
        kernel.max_epochs_per_sigma, kernel.patience = epochs // stages, epochs
        config.validation_epochs = config.checkpoint_epochs = 1
