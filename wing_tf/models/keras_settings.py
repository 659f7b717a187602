"""Keras' global settings while a network is built or trained."""

import contextlib
import threading
from collections.abc import Iterator

import keras

_DEFAULTS = {"image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7}

_lock = threading.Lock()
_former: list[dict] = []  # One for each context that has not ended.


@contextlib.contextmanager
def default_keras_settings() -> Iterator[None]:
    """Sets the defaults of Keras, whatever ``keras.json`` says, and restores the settings.

    A network and its number of parameters depend on its arguments only, not on the settings that
    another project has left in ``~/.keras/keras.json``. A dtype policy that was set by
    `keras.config.set_dtype_policy` applies as to all layers of Keras.

    The settings are global: while the context lasts, they apply to other threads, too. Contexts may
    be nested, and may overlap in several threads. Also a decorator of functions.
    """
    with _lock:
        settings = {name: getattr(keras.config, name)() for name in _DEFAULTS}
        _former.append(_former[0] if _former else settings)
        _set(_DEFAULTS)
    try:
        yield
    finally:
        with _lock:
            settings = _former.pop()
            if not _former:
                _set(settings)


def _set(settings: dict) -> None:
    for name, value in settings.items():
        getattr(keras.config, f"set_{name}")(value)
