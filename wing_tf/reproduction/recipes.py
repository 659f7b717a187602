"""Recipes that the cells of a table share: configs of the package, and what they change.

A cell's task selects what is trained, and the run's recipe how: "tuned" for short trainings with
AdamW, or "paper" for the paper's optimizer and schedule.
"""

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

import ml_collections

from wing_tf.configs import (
    awing_4hg,
    awing_small_300w_cpu,
    smt_300w,
    smt_small_300w_cpu,
    wing_cnn6,
)
from wing_tf.reproduction.table import Cell
from wing_tf.training.config import default_config
from wing_tf.training.resolve import complete_config
from wing_tf.training.sigma_schedule import sigma_values

# The Wing paper's augmentation, also of the first stage's crops while the second stage is trained.
_AUGMENT = {"flip": 0.5, "rotation_deg": 30.0, "box_jitter": 0.05, "blur": 0.5}
_PAPER_AUGMENT = _AUGMENT | {"box_jitter": 0.043}  # 5 % of the face box
# Sizes of small networks. Sigmas are in pixels of the papers' heatmaps of 64 px, see `cell_config`.
_SMALL = {"model.input_size": 128, "model.num_stacks": 2, "model.features": 64}
# Two hourglasses, the minimum for boundary coordinates, without the paper's modules and loss map.
_HOURGLASS = _SMALL | {
    "model.boundary": False,
    "model.coordinates": False,
    "model.boundary_coordinates": False,
    "loss.map": "",
}
# Without residuals and with a constant sigma. The center of an hourglass has twice the channels of
# the way up, as in the paper, and as many pixels, see `cell_config`.
_SMT = _SMALL | {
    "model.inner_features": 128,
    "model.residuals": False,
    **{f"sigma_schedule.{key}": value for key, value in default_config().sigma_schedule.items()},
}
# A weight average that fits a short training, and steps that do not depend on the loss's scale:
# Keras' epsilon of 1e-7 is above the gradients of most kernels under a mean squared error.
_SHORT = {"optimizer.ema": 0.99, "optimizer.epsilon": 1e-12, "heatmap.sigma": 2.0}
# Nothing of this package's own: float32, and Keras' initial output layers.
_PAPER = {"precision": "float32", "output_init": 0.0}
_PAPER_HEATMAPS = _PAPER | {"epochs": 240, "batch_size": 8}

# A function that returns a config, and the flattened keys that a cell's recipe changes in it.
Recipe = tuple[Callable[[], ml_collections.ConfigDict], dict[str, Any]]
RECIPES: dict[str, dict[str, Recipe]] = {
    "coordinates": {
        "tuned": (default_config, {
            **{f"augment.{key}": value for key, value in _AUGMENT.items()},
            **{f"two_stage.augment.{key}": value for key, value in _AUGMENT.items()},
            "model.input_size": 64,
            "optimizer.learning_rate": 1e-3,
            "optimizer.weight_decay": 0.01,
            "optimizer.epsilon": 1e-12,
            "optimizer.ema": 0.995,
            "schedule.warmup_epochs": 1.0,
            "batch_size": 32,
        }),
        "paper": (wing_cnn6.get_config, _PAPER | {
            f"two_stage.augment.{key}": value for key, value in _PAPER_AUGMENT.items()
        }),
    },
    "heatmaps": {
        "tuned": (awing_small_300w_cpu.get_config, _HOURGLASS | _SHORT),
        "paper": (awing_4hg.get_config, _HOURGLASS | _PAPER_HEATMAPS),
    },
    "smt": {
        "tuned": (smt_small_300w_cpu.get_config, _SMT | _SHORT),
        "paper": (smt_300w.get_config, _SMT | _PAPER_HEATMAPS),
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

    Sigmas of the recipe and of the cell are in pixels of the papers' heatmaps of 64 px and are
    scaled to those of the network; those in ``overrides`` are in its own pixels. The hourglasses of
    SMT-Net are as deep as the paper's center of 4 x 4 pixels needs.

    Args:
        cell: A cell of a table.
        recipe: "tuned" or "paper".
        num_landmarks: K, because the Wing paper's rates are for sums over 2K coordinates.
        overrides: Flattened config keys, which override the recipe and the cell.
    """
    get_config, changes = RECIPES[cell.task][recipe]
    config = get_config()
    config.update(num_images=0, validation_epochs=1, checkpoint_epochs=1)
    # The name of the first stage's cell, until the overrides contain its file.
    common = changes | {"two_stage.first": cell.first_stage or ""}
    config.update_from_flattened_dict(_applicable(cell, common | dict(cell.overrides)))
    overrides = overrides or {}
    if cell.task != "coordinates":
        size = overrides.get("model.input_size", config.model.input_size)
        _fit_to_size(config, size)
    if (cell.task, recipe) == ("coordinates", "paper"):
        # The paper's rate for L2 is a tenth.
        rate = _PAPER_RATES[config.model.name] * (0.1 if config.loss.name == "l2" else 1.0)
        config.optimizer.learning_rate = rate * 2 * num_landmarks
        config.optimizer.weight_decay = 5e-4 / (2 * num_landmarks)
    config.update_from_flattened_dict(_applicable(cell, overrides))
    return complete_config(config)


def _fit_to_size(config: ml_collections.ConfigDict, input_size: int) -> None:
    """Scales sigmas from the papers' heatmaps to a network's own, and sets SMT-Net's center."""
    groups, scale = (config.heatmap, config.sigma_schedule), input_size / 256
    for group, names in zip(groups, (("sigma",), ("spatial_step", "temporal_step")), strict=True):
        for name in names:
            group[name] *= scale
    if config.sigma_schedule.temporal_step:
        config.sigma_schedule.final_sigma *= scale
    if config.model.name == "smt_net":
        config.model.depth = max(round(math.log2(input_size / 16)), 1)  # to 4 x 4 pixels


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
    scale = epochs / config.epochs
    boundaries = [round(b * scale) for b in config.schedule.boundaries]
    # Boundaries of a very short training may coincide.
    config.schedule.boundaries = tuple(sorted({b for b in boundaries if 0 < b < epochs}))
    config.epochs = epochs
    config.validation_epochs = config.checkpoint_epochs = max(1, epochs // 20)
    schedule = config.sigma_schedule
    if schedule.temporal_step:
        # Every sigma has the same number of epochs unless the cell has a number, the last one also
        # the remainder.
        sigmas = sigma_values(config.heatmap.sigma, schedule.temporal_step, schedule.final_sigma)
        if epochs < len(sigmas):
            raise ValueError(f"{epochs} epochs are too few for the {len(sigmas)} sigmas.")
        each = round(schedule.max_epochs_per_sigma * scale) or epochs // len(sigmas)
        schedule.max_epochs_per_sigma, schedule.patience = each, epochs
        config.validation_epochs = config.checkpoint_epochs = 1
