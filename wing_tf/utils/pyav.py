"""Import of PyAV where it is optional."""

from types import ModuleType


def require_pyav() -> ModuleType:
    """Returns the module ``av``.

    Raises:
        ImportError: If PyAV is not installed; it says how to install it.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        raise ImportError("PyAV is needed for videos: pip install av.") from error
    return av
