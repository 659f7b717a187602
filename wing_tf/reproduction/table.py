"""What a table is: cells, each of which is one training, beside what a paper prints."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One training of a table.

    Attributes:
        name: unique in its table.
        task: what is trained, "coordinates", "heatmaps" or "smt" (SMT-Net); see `RECIPES`.
        overrides: of the base's recipe, as flattened config keys.
        first_stage: the cell that trains the first stage, for a second stage.
        balanced: whether the training is balanced by pose.
        baseline: the cell that it is compared with; the table's if None.
        published: what the paper prints, by data set or sub-set, x 1e-2.
    """

    name: str
    task: str = "coordinates"
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    first_stage: str | None = None
    balanced: bool = False
    baseline: str | None = None
    published: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """One table.

    Attributes:
        title: what it compares.
        source: where the paper prints it.
        cells: first stages stand before their second stages.
        baseline: the cell that the others are compared with, unless they name one.
        pose_thirds: evaluate thirds of the test faces by pose, too.
        notes: what can't be compared with the paper, and why.
    """

    title: str
    source: str
    cells: tuple[Cell, ...]
    baseline: str
    pose_thirds: bool = False
    notes: tuple[str, ...] = ()
