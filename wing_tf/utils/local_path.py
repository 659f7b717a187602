"""Local paths, told from those of remote file systems such as ``gs://bucket/records``."""

import os
import pathlib
import re

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path begins with the scheme of a file system, such as ``gs://``."""
    return _REMOTE.match(os.fspath(path)) is not None


def local_path(path: str | os.PathLike) -> pathlib.Path:
    """Returns the path of anything but records: of an output, a model or an image.

    `pathlib.Path("gs://bucket/run")` is the local path ``gs:/bucket/run``.

    Raises:
        ValueError: If the path is remote.

    Examples:
        >>> local_path("gs://bucket/run")
        Traceback (most recent call last):
        ...
        ValueError: Only records can be remote. Received: gs://bucket/run. Name a local path, ...
    """
    if is_remote(path):
        raise ValueError(
            f"Only records can be remote. Received: {os.fspath(path)}. Name a local path, which "
            "may be of a mounted file system."
        )
    return pathlib.Path(path)
