"""Recipes that the cells of a table share: what they decide beside the default config.

A cell's task selects what is trained, and the run's recipe how: "tuned" for short trainings with
AdamW, or "paper" for the paper's optimizer and schedule.
"""

import operator
from collections.abc import Callable, Iterable
from typing import Any

import ml_collections

from wing_tf.reproduction.table import Cell
from wing_tf.training.config import default_config
from wing_tf.training.resolve import complete_config
from wing_tf.training.sigma_schedule import sigma_values

_COMMON = {"crop_margin": 1.15, "num_images": 0, "augment.flip": 0.5}
# CNN-6 at 64 px with the Wing paper's augmentation.
_AUGMENT = {"flip": 0.5, "rotation_deg": 30.0, "box_jitter": 0.05, "blur": 0.5}
_COORDINATES = _COMMON | {
    "model.name": "cnn6",
    "model.input_size": 64,
    **{f"augment.{key}": value for key, value in _AUGMENT.items()},
    # Augmentation of the first stage's crops, while the second stage is trained.
    **{f"two_stage.augment.{key}": value for key, value in _AUGMENT.items()},
}
_HEATMAPS = _COMMON | {
    "model.input_size": 128,
    "model.num_stacks": 2,
    "model.features": 64,
    "heatmap.sigma": 1.0,
}
# Two small hourglasses, the minimum for boundary coordinates, without the paper's modules.
_HOURGLASS = _HEATMAPS | {
    "model.name": "hourglass",
    "model.boundary": False,
    "model.coordinates": False,
    "model.boundary_coordinates": False,
}
# A small SMT-Net without residuals.
_SMT = _HEATMAPS | {
    "model.name": "smt_net",
    "model.inner_features": 64,
    "model.residuals": False,
    "loss.name": "bice",
}
# AdamW with a weight average that fits a short training.
_TUNED_HEATMAPS = {
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
    "optimizer.learning_rate": 2e-3,
    "optimizer.weight_decay": 0.01,
    "optimizer.ema": 0.99,
    "schedule.warmup_epochs": 1.0,
    "batch_size": 16,
}
_PAPER_HEATMAPS = {"schedule.name": "piecewise", "epochs": 240, "batch_size": 8}

RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "coordinates": {
        # AdamW divides by the gradient's scale, so one rate is fair to losses of different scales.
        "tuned": _COORDINATES | {
            "optimizer.learning_rate": 1e-3,
            "optimizer.weight_decay": 0.01,
            "optimizer.ema": 0.995,
            "schedule.warmup_epochs": 1.0,
            "batch_size": 32,
        },
        # configs/wing_cnn6.py has the arithmetic of the conversion to a mean over 2K
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
        # A shorter configs/awing_small_300w_cpu.py.
        "tuned": _HOURGLASS | _TUNED_HEATMAPS,
        # As configs/awing_4hg.py, which cites the paper.
        "paper": _HOURGLASS | _PAPER_HEATMAPS | {
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
            "schedule.boundaries": (80, 160),
        },
    },
    "smt": {
        # A shorter configs/smt_small_300w_cpu.py.
        "tuned": _SMT | _TUNED_HEATMAPS,
        # As configs/smt_300w.py, which cites the paper.
        "paper": _SMT | _PAPER_HEATMAPS | {
            "heatmap.decoder": "argmax",
            "augment.rotation_deg": 30.0,
            "augment.scale": 0.07,
            "augment.translation": 0.043,
            "augment.blur": 0.5,
            "optimizer.name": "adam",
            "optimizer.learning_rate": 1e-2,
            "optimizer.weight_decay": 5e-4,
            "schedule.boundaries": (120, 200),
        },
    },
}  # fmt: skip
# For a loss that is summed over coordinates. # The paper is silent on ResNet-50: as for CNN-7.
_PAPER_RATES = {"cnn6": 3e-5, "cnn7": 1e-5, "resnet50": 1e-5}


def cell_config(
    cell: Cell,
    *,
    recipe: str,
    num_landmarks: int,
    overrides: dict[str, Any] | None = None,
) -> ml_collections.ConfigDict:
    """Returns the complete config of a cell, with the default number of epochs.

    Args:
        cell: A cell of a table.
        recipe: "tuned" or "paper".
        num_landmarks: K, because the Wing paper's rates are for sums over 2K coordinates.
        overrides: Flattened config keys, which override the recipe and the cell.
    """
    config = default_config()
    # The name of the first stage's cell, until the overrides contain its file.
    common = RECIPES[cell.task][recipe] | {"two_stage.first": cell.first_stage or ""}
    config.update_from_flattened_dict(_applicable(cell, common | dict(cell.overrides)))
    if (cell.task, recipe) == ("coordinates", "paper"):
        # The paper's rate for L2 is a tenth.
        rate = _PAPER_RATES[config.model.name] * (0.1 if config.loss.name == "l2" else 1.0)
        config.optimizer.learning_rate = rate * 2 * num_landmarks
        config.optimizer.weight_decay = 5e-4 / (2 * num_landmarks)
    config.update_from_flattened_dict(_applicable(cell, overrides or {}))
    return complete_config(config)


def _applicable(cell: Cell, overrides: dict[str, Any]) -> dict[str, Any]:
    """Returns flattened keys, without those of two stages unless the cell is a second stage."""
    two_stages = cell.first_stage is not None
    return {k: v for k, v in overrides.items() if two_stages or not k.startswith("two_stage.")}


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Parses flattened config keys such as "model.features=128" by the types of the defaults.

    Raises:
        ValueError: On an unknown key, or a value of another type.
    """
    default, overrides = default_config(), {}
    for text in texts:
        key, _, value = text.partition("=")
        try:
            former = operator.attrgetter(key)(default)
        except AttributeError:
            raise ValueError(f"There is no config key {key!r}.") from None
        parse = _PARSERS.get(type(former))
        if parse is None:
            raise ValueError(f"The config key {key} does not have a single value.")
        try:
            overrides[key] = parse(value)
        except ValueError:
            raise ValueError(
                f"{key} must be of type {type(former).__name__}. Received: {value!r}."
            ) from None
    return overrides


def _to_bool(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError(text)
    return text == "True"


_PARSERS: dict[type, Callable[[str], Any]] = {bool: _to_bool, int: int, float: float, str: str}


def set_epochs(config: ml_collections.ConfigDict, epochs: int) -> None:
    """Sets the number of epochs of a cell and scales its schedules to it."""
    boundaries = [round(b * epochs / config.epochs) for b in config.schedule.boundaries]
    # Boundaries of a very short training may coincide.
    config.schedule.boundaries = tuple(sorted({b for b in boundaries if 0 < b < epochs}))
    config.epochs = epochs
    config.validation_epochs = config.checkpoint_epochs = max(1, epochs // 20)
    schedule = config.sigma_schedule
    if schedule.temporal_step:
        # Every sigma has the same number of epochs, the last one also the remainder.
        sigmas = sigma_values(config.heatmap.sigma, schedule.temporal_step, schedule.final_sigma)
        if epochs < len(sigmas):
            raise ValueError(f"{epochs} epochs are too few for the {len(sigmas)} sigmas.")
        schedule.max_epochs_per_sigma, schedule.patience = epochs // len(sigmas), epochs
        config.validation_epochs = config.checkpoint_epochs = 1
