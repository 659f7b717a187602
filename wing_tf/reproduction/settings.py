"""Settings that all cells of a run share."""

import dataclasses
import pathlib
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that all cells of a run share.

    Attributes:
        folder: Output folder of cells, trainings and the table.
        data: Folder of the training records.
        tests: Record globs by the name of the test set.
        seeds: Each cell is trained once with each seed.
        minutes: Budget: minutes of training per cell. The number of epochs is measured once and
            stored.
        epochs: Number of epochs instead of the budget, if not 0.
        recipe: "tuned" or "paper"; see `wing_tf.reproduction.recipes`.
        normalizer: Normalizer of the errors. Defaults to the scheme's.
        balance: A balance.json of `wing-tfrecords balance`, if not empty.
        resnet_weights: Initial weights of ResNet-50, if not empty.
        overrides: Flattened config keys of all cells.
        second_stage_overrides: Flattened config keys of second stages.
        reuse: Output folders of other runs. A finished cell there with the same setup, whatever its
            name, is copied instead of trained.
    """

    folder: pathlib.Path
    data: str
    tests: dict[str, str]
    seeds: tuple[int, ...]
    minutes: float
    epochs: int = 0
    recipe: str = "tuned"
    normalizer: str = ""
    balance: str = ""
    resnet_weights: str = ""
    overrides: dict[str, Any] = dataclasses.field(default_factory=dict)
    second_stage_overrides: dict[str, Any] = dataclasses.field(default_factory=dict)
    reuse: tuple[pathlib.Path, ...] = ()
