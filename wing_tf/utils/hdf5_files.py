"""Checks of HDF5 files of weights, which the HDF5 library may crash on or leave for other files."""

import io
import pathlib
from typing import Any

from wing_tf.utils.child_process import try_in_child
from wing_tf.utils.zip_files import MAX_UNPACKED_BYTES, max_unpacked_bytes, read_member

_MEMBER = "model.weights.h5"  # of a .keras file


def check_weights(path: pathlib.Path) -> None:
    """Reads the weights of a file completely, in a child process, once per process and content.

    Args:
        path: A ``.weights.h5`` file, or a ``.keras`` file, which is a zip archive with one.

    Raises:
        ValueError: If it is damaged, has links or values in other files, or states values that are
            far larger than itself.
        OSError: If it can't be read.
    """
    try_in_child(_read_all, path.read_bytes(), path, reader="HDF5")


def _read_all(content: bytes, path: Any) -> None:
    if content.startswith(b"PK"):
        member = read_member(path, _MEMBER, content, max_bytes=MAX_UNPACKED_BYTES)
        if member is None:
            raise ValueError(f"{path} has no weights: no {_MEMBER} in it.")
        content = member
    try:
        _visit(content)
    except MemoryError:
        raise
    except Exception as error:  # h5py raises errors of many types for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} has damaged weights: {reason.rstrip('.')}.") from None


def _visit(content: bytes) -> None:
    import h5py

    # A dataset without stored values can state any size.
    num_bytes, limit = 0, max_unpacked_bytes(len(content))
    seen = set()
    with h5py.File(io.BytesIO(content), "r") as file:
        groups: list[Any] = [file]
        while groups:
            group = groups.pop()
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"{name} in {group.name} is a link, maybe to another file")
                item = group[name]
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:
                    continue
                seen.add(address)
                list(item.attrs.items())
                if isinstance(item, h5py.Group):
                    groups.append(item)
                elif isinstance(item, h5py.Dataset):
                    if item.external or item.is_virtual:
                        raise ValueError(f"{item.name} has its values in another file")
                    num_bytes += item.nbytes
                    if num_bytes > limit:
                        raise ValueError(f"its {len(content)} bytes unpack to {num_bytes}")
                    item[()]
