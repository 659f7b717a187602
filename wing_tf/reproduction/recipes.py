"""The recipes that a table's cells share, as configs."""

from typing import Any

import ml_collections

from wing_tf.reproduction.tables import Cell
from wing_tf.training.config import complete_config, default_config

# CNN-6 at 64 px with the paper's augmentation.
_AUGMENT = {"flip": 0.5, "rotation_deg": 30.0, "box_jitter": 0.05, "blur": 0.5}
_COMMON = {
    "model.name": "cnn6",
    "model.input_size": 64,
    "crop_margin": 1.15,
    "num_pictures": 0,
    **{f"augment.{key}": value for key, value in _AUGMENT.items()},
    # The first stage's crops, while the second is trained.
    **{f"two_stage.augment.{key}": value for key, value in _AUGMENT.items()},
}

RECIPES: dict[str, dict[str, Any]] = {
    # AdamW divides by the gradient's size: one rate is fair to losses of different scales.
    "tuned": {
        "optimizer.learning_rate": 1e-3,
        "optimizer.weight_decay": 0.01,
        "optimizer.ema": 0.995,
        "schedule.warmup_epochs": 1.0,
        "batch_size": 32,
    },
    # configs/wing_cnn6_300w.py has the arithmetic of the conversion to a mean over 2K coordinates.
    "paper": {
        "optimizer.name": "sgd",
        "optimizer.momentum": 0.9,
        "schedule.name": "exponential",
        "schedule.final_ratio": 0.01,
        "batch_size": 8,
    },
}
# Of a loss summed over coordinates. # The paper is silent on ResNet-50's: as CNN-7's.
_PAPER_RATES = {"cnn6": 3e-5, "cnn7": 1e-5, "resnet50": 1e-5}


def cell_config(
    cell: Cell,
    *,
    recipe: str,
    num_landmarks: int,
    changes: dict[str, Any] | None = None,
) -> ml_collections.ConfigDict:
    """Returns a cell's config, complete but for data, seed, epochs, first stage and balance.

    Args:
        cell: of a table.
        recipe: a key of `RECIPES`. "paper": SGD with the rate and decay of the paper, for L2 a
            tenth of the rate.
        num_landmarks: K; the paper's rates are for sums over 2K coordinates.
        changes: flattened keys that go before all others.
    """
    config = default_config()
    config.update_from_flattened_dict(_COMMON | RECIPES[recipe] | dict(cell.changes))
    if recipe == "paper":
        rate = _PAPER_RATES[config.model.name] * (0.1 if config.loss.name == "l2" else 1.0)
        config.optimizer.learning_rate = rate * 2 * num_landmarks
        config.optimizer.weight_decay = 5e-4 / (2 * num_landmarks)
    config.update_from_flattened_dict(changes or {})
    return complete_config(config)
