"""Readers of MATLAB files; they are called in a child process, because damaged files crash them.

See `wing_tf.utils.child_process`. Errors are ValueErrors that name the file.
"""

import contextlib
import os
import pathlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import h5py

# What h5py raises for damaged files, besides ValueError.
_HDF5_ERRORS = (OSError, KeyError, RuntimeError, TypeError, AttributeError, MemoryError)
_COMPRESSED = 15  # type of an element of a file of version 7
_MAX_NUMBERS = 2**27  # of a variable: 1 GiB as float64; the files of the data sets have 2^21


def load_mat(path: pathlib.Path, names: Sequence[str]) -> dict[str, Any]:
    """Returns variables of a file of version 5 to 7 by name."""
    import scipy.io

    try:
        _check_unpacked_size(path)
        variables = scipy.io.loadmat(path, variable_names=list(names))
    except Exception as error:  # SciPy raises errors of many types for damaged files
        text = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is not a MATLAB file of version 5 to 7: {text}") from None
    _check_names(path, names, variables)
    return variables


def _check_unpacked_size(path: pathlib.Path) -> None:
    """Raises ValueError if a file of version 5 to 7 unpacks to far more than data sets have."""
    num_bytes, limit = 0, 8 * _MAX_NUMBERS
    # SciPy names what is damaged.
    with path.open("rb") as file, contextlib.suppress(zlib.error):
        order = ">" if file.read(128)[126:] == b"MI" else "<"
        while len(tag := file.read(8)) == 8:
            kind, size = struct.unpack(order + "II", tag)
            if kind != _COMPRESSED:
                file.seek(size, os.SEEK_CUR)
                continue
            unpacker, packed = zlib.decompressobj(), file.read(size)
            while packed and not unpacker.eof:
                num_bytes += len(unpacker.decompress(packed, 1 << 20))
                packed = unpacker.unconsumed_tail
                if num_bytes > limit:
                    raise ValueError(f"it unpacks to more than {limit} bytes")


def load_mat73(path: pathlib.Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns variables of a file of version 7.3, which is HDF5, by name.

    Arrays appear transposed. A cell array becomes the numbers of its cells, see `load_cell`.
    """
    with _open_mat73(path, names) as file:
        return {name: _numbers(name, file[name]) for name in names}


def load_cell(path: pathlib.Path, name: str, index: int, max_size: int) -> np.ndarray:
    """Returns one cell of a cell array of a file of version 7.3.

    Args:
        path: The file.
        name: The variable.
        index: Number of the cell, from 0.
        max_size: Maximum number of its elements.
    """
    with _open_mat73(path, (name,)) as file:
        try:
            cell = file[_values(name, file[name]).ravel()[index]]
            return _values(f"cell {index + 1} of {name}", cell, max_size)
        except IndexError:
            raise ValueError(f"there is no cell {index + 1} in {name}") from None


@contextlib.contextmanager
def _open_mat73(path: pathlib.Path, names: Sequence[str]) -> Iterator["h5py.File"]:
    """Opens a file of version 7.3. Links, which can lead to other files, are not followed."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            _check_names(path, names, file.keys())
            for name in names:
                if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"{name} is a link, maybe to another file")
            yield file
    except (*_HDF5_ERRORS, ValueError) as error:
        text = " ".join(str(error).strip("'").split())
        if text.startswith(str(path)):
            raise ValueError(text) from None
        raise ValueError(f"{path} is not a MATLAB file of version 7.3: {text}") from None


def _values(name: str, data: Any, max_size: int = _MAX_NUMBERS) -> np.ndarray:
    """Returns the values of an HDF5 dataset, unless they are in another file or too many."""
    import h5py

    if not isinstance(data, h5py.Dataset):
        raise ValueError(f"{name} is not an array")
    if data.external or data.is_virtual:
        raise ValueError(f"{name} has its values in another file")
    if not data.shape or data.size > max_size:
        raise ValueError(f"{name} has the shape {data.shape}, with more than {max_size} elements")
    return np.asarray(data[()])


def _numbers(name: str, data: Any) -> np.ndarray:
    values = _values(name, data)
    return np.arange(values.size) if values.dtype == object else values


def _check_names(path: pathlib.Path, names: Sequence[str], found: Any) -> None:
    missing = [name for name in names if name not in found]
    if missing:
        shown = ", ".join(sorted(name for name in found if name[:1] not in "_#")) or "no variable"
        raise ValueError(
            f"{path} must hold the variables {', '.join(names)}. Missing: {', '.join(missing)}; "
            f"found: {shown}."
        )
