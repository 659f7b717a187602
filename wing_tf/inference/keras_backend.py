"""Keras networks as a back end of `wing_tf.inference.Landmarker`."""

import dataclasses
import os
import pathlib
import zlib
from typing import Any

import keras
import numpy as np

from wing_tf.inference.litert_backend import Unopened, read_again
from wing_tf.model_spec import ModelSpec
from wing_tf.models.compiled import compile_localizer
from wing_tf.models.saving import find_network, load_network

_started_in: int | None = None  # process in which this module has started TensorFlow


class KerasBackend:
    """A Keras network as a function of crops.

    Pickles and deep copies hold the path of the file and open it again.

    Args:
        network: As from `wing_tf.models.saving.load_network`.
        path: File that it was loaded from; None for a model that was made in memory.
        spec: Model spec that it was loaded with.
    """

    def __init__(
        self, network: keras.Model, path: pathlib.Path | None = None, spec: ModelSpec | None = None
    ):
        global _started_in
        _started_in = _started_in or os.getpid()
        self._name, self._spec = network.name, spec
        self._path = None if path is None else path.absolute()
        self._checksum = 0 if path is None else zlib.crc32(path.read_bytes())
        self._run = compile_localizer(network)

    def __call__(self, crops: np.ndarray) -> tuple[Any, ...]:
        """Runs crops uint8 [N, side, side, 3].

        Returns:
            Landmarks float32 [N, K, 2] in the crops' pixels, scores [N, K] or None, and, if the
            network emits it, visibility [N, K].

        Raises:
            RuntimeError: In a process that was forked after TensorFlow had started.
        """
        _check_process()
        return self._run(crops.astype(np.float32))

    def __reduce__(self) -> tuple:
        if self._path is None:
            raise TypeError(
                f"Cannot pickle or copy a landmarker whose model, {self._name!r}, is in "
                "memory. Save it by wing_tf.models.saving.save_network and pass the path."
            )
        return _reopen, (self._path, self._checksum, self._spec)


def open_keras(
    model: str | os.PathLike | keras.Model, spec: ModelSpec | None
) -> tuple[KerasBackend, ModelSpec]:
    """Returns a Keras network as a function of uint8 crops, and its model spec.

    Args:
        model: A ``.keras`` file, a run folder or a model.
        spec: Model spec. Defaults to the one in the file.

    Raises:
        ValueError: If there is no such file, or if there is no model spec.
        RuntimeError: In a process that was forked after TensorFlow had started.
    """
    _check_process()
    if isinstance(model, keras.Model):
        if spec is None:
            raise ValueError("A network without a file needs `spec`.")
        return KerasBackend(model), _with_outputs(spec, model)
    path = find_network(model)
    network, spec = load_network(path, spec)
    return KerasBackend(network, path, spec), _with_outputs(spec, network)


def _with_outputs(spec: ModelSpec, network: keras.Model) -> ModelSpec:
    """Returns the spec, which says whether the network emits the visibility."""
    has = isinstance(network.output, dict) and "visibility" in network.output
    return dataclasses.replace(spec, has_visibility=True) if has else spec


def _reopen(path: pathlib.Path, checksum: int, spec: ModelSpec) -> KerasBackend | Unopened:
    """Opens the file of a pickled or copied back end."""
    try:
        read_again(path, checksum)
        return open_keras(path, spec)[0]
    except (RuntimeError, ValueError) as error:
        return Unopened(error)


def _check_process() -> None:
    """Raises RuntimeError where TensorFlow would wait for the threads of the parent forever."""
    if _started_in not in (None, os.getpid()):
        raise RuntimeError(
            "A Keras model can't run in a process that was forked after TensorFlow had started. "
            'Use multiprocessing.get_context("spawn"), or export the model by wing-export: LiteRT '
            "files run in forked processes."
        )
