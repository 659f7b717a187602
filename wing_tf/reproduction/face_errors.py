"""Errors of a test set by cell, seed and face."""

from collections.abc import Iterable

import numpy as np


class FaceErrors:
    """The errors of a test set by cell and seed, without the faces that can't be scored.

    Args:
        cells: Finished cells.
        test: Name of the test set.

    Raises:
        ValueError: If the cells were evaluated on different faces, or no face can be scored.
    """

    def __init__(self, cells: list[dict], test: str):
        tests = [cell["tests"][test] for cell in cells]
        if len({part["keys_sha256"] for part in tests}) != 1:
            raise ValueError(f"The cells were evaluated on different faces of {test}.")
        values = np.array([part["nme"] for part in tests], np.float64)
        scored = np.isfinite(values).all(axis=0)
        if not scored.any():
            raise ValueError(f"No face of {test} can be scored.")
        pose = tests[0].get("pose")
        self.pose = None if pose is None else np.abs(np.array(pose)[scored])
        self.num_faces = int(scored.sum())
        self._values = {
            (cell["cell"], cell["seed"]): value[scored]
            for cell, value in zip(cells, values, strict=True)
        }

    def seeds(self, *names: str) -> list[int]:
        """Returns the seeds that all of these cells were trained with."""
        sets = [{seed for name, seed in self._values if name == wanted} for wanted in names]
        return sorted(set.intersection(*sets))

    def by_seed(self, name: str) -> dict[int, np.ndarray]:
        """Returns the errors [N] of a cell by seed."""
        return {seed: self._values[name, seed] for seed in self.seeds(name)}

    def mean(self, name: str, seeds: Iterable[int] | None = None) -> np.ndarray:
        """Returns the error [N] of each face, averaged over seeds (all of the cell's if None)."""
        seeds = self.seeds(name) if seeds is None else seeds
        return np.mean([self._values[name, seed] for seed in seeds], axis=0)

    def pair(self, name: str, baseline: str) -> list[np.ndarray] | None:
        """Returns the errors [S, N] of two cells for their common seeds; None without one."""
        seeds = self.seeds(name, baseline)
        if not seeds:
            return None
        return [np.stack([self._values[n, seed] for seed in seeds]) for n in (name, baseline)]
