"""Division of a table's cells between processes that share an output folder."""

import contextlib
import pathlib
import time
from collections.abc import Callable, Sequence

from wing_tf.reproduction.table import Cell
from wing_tf.utils.file_lock import LockedError, locked

_POLL_SECONDS = 2.0


def finish_cells(
    cells: Sequence[tuple[Cell, int]],
    *,
    path: Callable[[str, int], pathlib.Path],
    finish: Callable[[Cell, int], bool],
) -> None:
    """Finishes the cells that no other process finishes, and waits until all are finished.

    It returns earlier once ``finish`` returns True.

    Each cell has a lock beside its file, which ends with the process that holds it: when a process
    is killed, another one takes its cell, also a finished one if its lock is left. A cell is taken
    once the cell whose network it needs is finished.

    Args:
        cells: Cells and seeds, with those whose networks they need.
        path: Returns the file of a finished cell from its name and seed.
        finish: Finishes a cell, and returns whether to leave the others. It is called with the
            lock held, and possibly for a cell that is finished except for what a killed process
            left.
    """

    def is_left(cell: Cell, seed: int) -> bool:
        file = path(cell.name, seed)
        return not file.is_file() or file.with_suffix(".lock").exists()

    reported = set()
    waits = False
    while left := [(cell, seed) for cell, seed in cells if is_left(cell, seed)]:
        idle = True
        for cell, seed in left:
            if cell.needs and not path(cell.needs, seed).is_file():
                continue
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(locked(path(cell.name, seed).with_suffix(".lock")))
                except LockedError:
                    if (cell.name, seed) not in reported:
                        reported.add((cell.name, seed))
                        print(f"{cell.name}, seed {seed}: another process trains it.", flush=True)
                    continue
                if finish(cell, seed):
                    return
                idle = False
        if idle:
            if not waits:
                print(f"Waiting for {len(left)} cells of other processes.", flush=True)
            waits = True
            time.sleep(_POLL_SECONDS)
