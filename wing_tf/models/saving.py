"""Saving and loading of networks with their model specs."""

import json
import os
import pathlib
import zipfile
import zlib

import keras

from wing_tf.landmarks.schemes import is_built_in, register_scheme
from wing_tf.model_spec import (
    MODEL_SPEC_FILE,
    NETWORK_FILES,
    ModelSpec,
    attach_files,
    find_model,
    read_model_spec,
)
from wing_tf.utils.atomic import atomic_path


def save_network(network: keras.Model, path: str | os.PathLike, spec: ModelSpec) -> None:
    """Writes a network and its model spec as one ``.keras`` file atomically."""
    with atomic_path(path) as temporary:
        network.save(temporary)
        attach_files(temporary, {MODEL_SPEC_FILE: json.dumps(spec.to_dict(), indent=1)})


def load_network(
    path: str | os.PathLike, spec: ModelSpec | None = None
) -> tuple[keras.Model, ModelSpec]:
    """Reads a network and its model spec, and registers the scheme if it is not known yet.

    Args:
        path: A ``.keras`` file, or a run folder, whose best model is loaded (the last one if there
            is no best one).
        spec: Used instead of the file's own, which is then not needed.

    Raises:
        ValueError: If there is no model, if it is damaged, if it has no model spec, or if its
            outputs are not those of the model spec.
    """
    path = find_network(path)
    spec = spec or read_model_spec(path)
    if not is_built_in(spec.scheme):
        register_scheme(spec.scheme)
    try:
        network = keras.saving.load_model(path, compile=False)
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}). Copy it again.") from None
    expected = (None, spec.scheme.num_landmarks, 2)
    output = network.output
    landmarks = output.get("landmarks") if isinstance(output, dict) else output
    if getattr(landmarks, "shape", None) != expected:
        raise ValueError(
            f"{path} must emit landmarks {expected} for {spec.scheme_name}. "
            f"Received: {network.output_shape}."
        )
    return network, spec


def find_network(path: str | os.PathLike) -> pathlib.Path:
    """Returns the ``.keras`` file that a path names: itself, or a run folder's best or last model.

    Raises:
        ValueError: If there is no such file; the message tells if it is an exported one.
    """
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
