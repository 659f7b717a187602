"""Definitions of tables: each cell is one training, with the scores that the paper reports."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

RECIPE_NAMES = ("tuned", "paper")
"""The recipes of every task in `wing_tf.reproduction.recipes.RECIPES`."""

FIGURE_NAMES = (
    "wing_loss", "awing_loss", "awing_shapes", "awing_loss_map", "awing_coordinates",
    "smt_kernels", "heatmap_errors", "heatmaps", "margins", "nme_by_epoch",
)  # fmt: skip
"""The keys of `wing_tf.reproduction.figures.FIGURES`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One training of a table, or another evaluation of one.

    Attributes:
        name: Name, unique in the table.
        task: Key of `wing_tf.reproduction.recipes.RECIPES`: "coordinates", "heatmaps" or "smt".
        overrides: Changes of the recipe, as flattened config keys.
        first_stage: Name of the cell that trains the first stage, for a second stage.
        balanced: Whether the training uses pose-based data balancing.
        baseline: Name of the cell to compare with. Defaults to the table's.
        published: Scores of the paper by data set or subset, x 1e-2.
        length: Number of epochs over those of the table.
        timed: Whether the speed of its network is measured.
        network: Name of the cell whose trained network is evaluated in another way, instead of a
            training.
        decoding: That way, arguments of `wing_tf.reproduction.cell_results.decode_otherwise`.
    """

    name: str
    task: str = "coordinates"
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    first_stage: str | None = None
    balanced: bool = False
    baseline: str | None = None
    published: Mapping[str, float] = dataclasses.field(default_factory=dict)
    length: float = 1.0
    timed: bool = False
    network: str | None = None
    decoding: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def needs(self) -> str | None:
        """The name of the cell whose network this one needs."""
        return self.first_stage or self.network


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim, of a paper or of our own: a cell has a lower error than another one.

    Attributes:
        text: The claim in a few words.
        cell: Name of the cell.
        baseline: Name of the other one.
        in_paper: Whether it is a paper's claim.
    """

    text: str
    cell: str
    baseline: str
    in_paper: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table of a paper.

    Attributes:
        title: What is compared.
        source: The table in the paper.
        cells: The cells; a first stage comes before its second stage.
        baseline: Name of the cell that the others are compared with.
        pose_thirds: Whether thirds of the test faces by pose are also evaluated.
        notes: What can't be compared with the paper, and why.
        claims: The claims that the table tests.
        published_as: Test set and normalizer of the paper's scores, by the keys of
            `Cell.published`.
        medians: Whether the median errors of all landmarks and of subsets are also listed.
        recipe: The recipe, unless the run has another one.
        epochs: Number of epochs, unless the run has a budget; 0: it must have one.
        seeds: The seeds, unless the run has others.
    """

    title: str
    source: str
    cells: tuple[Cell, ...]
    baseline: str
    pose_thirds: bool = False
    notes: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    published_as: Mapping[str, str] = dataclasses.field(default_factory=dict)
    medians: bool = False
    recipe: str = RECIPE_NAMES[0]
    epochs: int = 0
    seeds: tuple[int, ...] = (0,)


def find_baseline(cell: Cell, table: Table, present: Sequence[Cell]) -> str | None:
    """Returns the name of the cell that a cell is compared with, if it is among those present."""
    names = {other.name for other in present}
    for wanted in (cell.baseline, table.baseline):
        if wanted in names and wanted != cell.name:
            return wanted
    return None
