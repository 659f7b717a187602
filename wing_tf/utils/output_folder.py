"""Output folders: one process at a time writes to each, and removes what a killed one left."""

import contextlib
import fnmatch
import json
import os
import pathlib
import shutil
from collections.abc import Collection, Iterator
from typing import IO

from wing_tf.utils.atomic import (
    UNFINISHED,
    final_names,
    remove_unfinished,
    sync,
    sync_names,
    temporary_name,
)
from wing_tf.utils.file_lock import locked, shared
from wing_tf.utils.local_path import local_path

LOCK_NAME = ".lock"


class FolderLock:
    """The lock of an output folder that this process holds; see `locked_folder`."""

    def __init__(self, folder: pathlib.Path, file: IO[str] | None):
        self._folder, self._file = folder, file

    def note(self, names: Collection[str]) -> None:
        """Notes files that this process is about to create, which must not exist yet.

        If it is killed, the next process that locks the folder removes them.

        Raises:
            WriteError: If the note can't be written.
        """
        if self._file is not None:
            with final_names(self._folder / LOCK_NAME, self._folder):
                self._file.truncate(0)
                # Not buffered: what can't be written would be tried again when it is closed.
                os.pwrite(self._file.fileno(), json.dumps(sorted(names)).encode(), 0)
                os.fsync(self._file.fileno())

    def remove_noted(self) -> None:
        """Removes the files that a killed process noted."""
        if self._file is not None:
            for name in _noted(self._folder):
                _remove(self._folder / name)
            self._file.truncate(0)


@contextlib.contextmanager
def locked_folder(folder: str | os.PathLike, *, subfolders: bool = False) -> Iterator[FolderLock]:
    """Creates an output folder if it does not exist, and holds its lock, on ``.lock``.

    The lock ends with the process. What a killed process left is removed first: its temporary
    files, and those that it noted (`FolderLock.note`). A folder that is created here is removed at
    the end if it is empty.

    Args:
        folder: The folder, which must be local.
        subfolders: Whether temporary files are in its subfolders, too.

    Raises:
        LockedError: If another process holds the lock.
        OSError: If the folder can't be created or written to.
    """
    folder = local_path(folder)
    with _created(folder), locked(folder / LOCK_NAME) as file:
        lock = FolderLock(folder, file)
        if file is not None:
            lock.remove_noted()
            remove_unfinished(folder, subfolders=subfolders)
        yield lock


@contextlib.contextmanager
def shared_folder(folder: str | os.PathLike, *, subfolders: Collection[str] = ()) -> Iterator[None]:
    """Creates an output folder for any number of processes that divide its files among them.

    What killed processes left is removed by the first one. A folder that is created here is removed
    at the end if it is empty.

    Args:
        folder: The folder, which must be local.
        subfolders: Names of subfolders that all of them write to.

    Raises:
        LockedError: If a process has locked the folder for itself alone: see `locked_folder`.
        OSError: If the folder can't be created or written to.
    """
    folder = local_path(folder)

    def clean() -> None:
        for name in ("", *subfolders):
            remove_unfinished(folder / name)

    with _created(folder), shared(folder / LOCK_NAME, when_alone=clean):
        yield


@contextlib.contextmanager
def new_files(
    folder: str | os.PathLike, names: Collection[str] | None = None
) -> Iterator[pathlib.Path]:
    """Yields a temporary folder, whose files are moved to an output folder when the block ends.

    After an error none of them is there. If the process is killed, the next one that locks the
    output folder removes those that were moved.

    Args:
        folder: The output folder, which is created if it does not exist.
        names: Files that it must not hold. Defaults to all.

    Raises:
        ValueError: If it holds such files.
        LockedError: If another process writes to it.
        OSError: If it can't be created or written to.
    """
    folder = local_path(folder)
    check_free(folder, names)
    with locked_folder(folder) as lock:
        check_free(folder, names)
        temporary = folder / temporary_name()
        temporary.mkdir()
        moved = []
        try:
            with final_names(temporary, folder, of_files=True):
                yield temporary
                sync(temporary)
                found = sorted(path.name for path in temporary.iterdir())
                lock.note(found)
                for name in found:
                    (temporary / name).replace(folder / name)
                    moved.append(name)
                sync_names(folder)
        except BaseException:
            for name in moved:
                _remove(folder / name)
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_free(folder: str | os.PathLike, names: Collection[str] | None = None) -> None:
    """Checks that a folder is not in the way of new files.

    What a killed process left there is not in the way: see `locked_folder`.

    Args:
        folder: The folder, which may be missing.
        names: Files that it must not hold. Defaults to all.

    Raises:
        ValueError: If it holds such files, or is a file.
    """
    folder = local_path(folder)
    if names is None:
        if contents(folder):
            raise ValueError(f"{folder} must be a new or an empty folder.")
    elif existing := sorted(set(names) & contents(folder)):
        raise ValueError(f"{folder / existing[0]} exists already. Name another folder.")


def contents(folder: pathlib.Path) -> set[str]:
    """Returns the names in a folder, except for the lock and what a killed process left.

    Raises:
        ValueError: If it is not a folder.
    """
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise ValueError(f"{folder} must be a folder.")
    names = {path.name for path in folder.iterdir()}
    left = {LOCK_NAME, *fnmatch.filter(names, UNFINISHED)}
    return names - left - (_noted(folder) if LOCK_NAME in names else set())


@contextlib.contextmanager
def _created(folder: pathlib.Path) -> Iterator[None]:
    """Creates a folder, which is removed at the end if it did not exist and is empty."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} must be a folder.")
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()


def _noted(folder: pathlib.Path) -> set[str]:
    """Returns the files that the holder of a folder's lock has noted."""
    try:
        names = json.loads((folder / LOCK_NAME).read_text())
        # Names in this folder, whoever wrote them.
        return {name for name in names if name not in ("", ".", "..") and not {*name} & {*"/\0"}}
    except (OSError, ValueError, TypeError):
        return set()


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
