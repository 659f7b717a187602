"""Saving and loading of networks with their model specs."""

import contextlib
import errno
import io
import json
import os
import pathlib
import tempfile
import warnings
import zipfile
from collections.abc import Iterator

import h5py
import keras
import numpy as np

from wing_tf.landmarks.schemes import is_built_in, register_scheme
from wing_tf.model_spec import (
    MODEL_SPEC_FILE,
    NETWORK_FILES,
    ModelSpec,
    find_model,
    read_model_spec,
)
from wing_tf.utils.atomic import WriteError, atomic_path, write_bytes
from wing_tf.utils.hdf5_files import check_weights
from wing_tf.utils.zip_files import attach_files, open_archive
from wing_tf.zoo import KERAS, resolve_model

_WEIGHTS = "model.weights.h5"  # a .keras file's member


def save_network(
    network: keras.Model, path: str | os.PathLike, spec: ModelSpec, *, float16: bool = False
) -> None:
    """Writes a network and its model spec as one ``.keras`` file atomically.

    In the file all layers are trainable: Keras can't thaw what was frozen when it was written.

    Args:
        network: The network.
        path: The file.
        spec: Its model spec.
        float16: Whether to store the weights in half the size. Keras restores them in the network's
            own precision, rounded to float16. Weights that are too large for it stay as they are.

    Raises:
        ValueError: If its input or outputs are not those of the model spec.
    """
    _check_network(network, spec, "The network")
    with atomic_path(path) as temporary:
        with _all_trainable(network):
            network.save(temporary)
        if float16:
            _store_float16(temporary)
        attach_files(temporary, {MODEL_SPEC_FILE: json.dumps(spec.to_dict(), indent=1)})


@contextlib.contextmanager
def _all_trainable(network: keras.Model) -> Iterator[None]:
    """Makes all layers trainable for a block."""
    frozen = [layer for layer in _layers(network) if not layer.trainable]
    for layer in frozen:
        layer.trainable = True
    try:
        yield
    finally:
        for layer in frozen:
            layer.trainable = False


def _layers(network: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in network.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


class _WeightsBuffer(io.BytesIO):
    """Memory that Keras writes weights to, as it reads them from: it checks the name's end."""

    def __str__(self) -> str:
        return "memory.weights.h5"


def save_weights(model: keras.Model, path: str | os.PathLike) -> None:
    """Writes the weights of a model, and of its optimizer, as ``.weights.h5`` atomically.

    By way of memory: after a write that fails, HDF5 prints an error for each open object and the
    process may crash at its end.

    Raises:
        OSError: If the file can't be written.
    """
    buffer = _WeightsBuffer()
    model.save_weights(buffer)
    write_bytes(path, buffer.getvalue())


def _store_float16(path: pathlib.Path) -> None:
    """Rewrites a ``.keras`` file with weights in float16."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = io.BytesIO()
    with (
        h5py.File(io.BytesIO(members[_WEIGHTS])) as source,
        h5py.File(weights, "w") as target,
    ):
        _copy_float16(source, target)
    members[_WEIGHTS] = weights.getvalue()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _copy_float16(source: h5py.Group, target: h5py.Group) -> None:
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy_float16(item, target.create_group(name))
            continue
        values = item[()]
        if values.dtype == np.float32 and np.abs(values).max(initial=0) < np.finfo("float16").max:
            values = values.astype(np.float16)
        target.create_dataset(name, data=values).attrs.update(item.attrs)


def load_network(
    path: str | os.PathLike, spec: ModelSpec | None = None
) -> tuple[keras.Model, ModelSpec]:
    """Reads a network and its model spec, and registers the scheme if it is not known yet.

    Args:
        path: A ``.keras`` file, a run folder, whose best model is loaded (the last one if there is
            no best one), or the name of a model, see `wing_tf.zoo.resolve_model`.
        spec: Used instead of the file's own, which is then not needed.

    Raises:
        ValueError: If there is no model, if it is damaged, if it has no model spec, or if its
            outputs are not those of the model spec.
        WriteError: If Keras can't unpack it into the folder of temporary files.
    """
    path = find_network(path)
    spec = spec or read_model_spec(path)
    if not is_built_in(spec.scheme):
        register_scheme(spec.scheme)
    with open_archive(path):
        pass  # it is one, and of a sound size
    with loading(path):
        check_weights(path)
        network = keras.saving.load_model(path, compile=False)
    _check_network(network, spec, path)
    return network, spec


def _check_network(network: keras.Model, spec: ModelSpec, name: str | os.PathLike) -> None:
    expected = (None, spec.scheme.num_landmarks, 2)
    output = network.output
    landmarks = output.get("landmarks") if isinstance(output, dict) else output
    if getattr(landmarks, "shape", None) != expected:
        raise ValueError(
            f"{name} must emit landmarks {expected} for {spec.scheme_name}. "
            f"Received: {network.output_shape}."
        )
    side = spec.input_size
    if network.input_shape != (None, side, side, 3):
        raise ValueError(
            f"{name} must take images {(None, side, side, 3)}. Received: {network.input_shape}."
        )


@contextlib.contextmanager
def loading(path: str | os.PathLike) -> Iterator[None]:
    """Turns the errors of Keras and HDF5 about a damaged file into a ValueError of one line.

    Their kinds are any: a damaged file may call any layer with any arguments. That values are
    absent from the file, or are not used, is only a warning of Keras.
    """
    try:
        with warnings.catch_warnings():
            for message in ("Skipping", "A total of", ".* could not be loaded"):
                warnings.filterwarnings("error", message)
            yield
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            # Keras unpacks the file for reading.
            raise WriteError(error.errno, error.strerror, tempfile.gettempdir()) from error
        if isinstance(error, ValueError) and str(error).startswith(str(path)):
            raise  # it names the file already
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path} is damaged or of another version of Keras ({reason[:200].rstrip('.')}). Copy "
            "it again."
        ) from error


def load_weights(model: keras.Model, path: pathlib.Path) -> None:
    """Loads a ``.weights.h5`` file.

    Raises:
        ValueError: If it is damaged or not of this model.
    """
    with loading(path):
        check_weights(path)
        model.load_weights(path)


def find_network(path: str | os.PathLike) -> pathlib.Path:
    """Returns the ``.keras`` file that a path names: itself, or a run folder's best or last model.

    A string may also be the name of a model, see `wing_tf.zoo.resolve_model`.

    Raises:
        ValueError: If there is no such file; the message tells if it is an exported one.
    """
    path = resolve_model(path, KERAS)
    for name in NETWORK_FILES:  # a run folder may also hold an export
        if (file := pathlib.Path(path) / name).is_file():
            return file
    file = find_model(path)
    if file.suffix == ".tflite":
        raise ValueError(
            f"{file} is an exported model. Expected the .keras file or the run folder that it was "
            "exported from."
        )
    return file
