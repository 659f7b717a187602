"""Keras networks as a back end of `wing_tf.inference.Landmarker`."""

import os
import pathlib
from collections.abc import Callable

import keras
import numpy as np

from wing_tf.model_spec import ModelSpec
from wing_tf.models.compiled import compile_localizer
from wing_tf.models.saving import load_network


def open_keras(
    model: str | os.PathLike | keras.Model, spec: ModelSpec | None
) -> tuple[Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]], ModelSpec]:
    """Returns a Keras network as a function of uint8 crops, and its model spec.

    Args:
        model: A ``.keras`` file, a run folder or a model.
        spec: Model spec. Defaults to the one in the file.

    Raises:
        ValueError: If there is no such file, or if there is no model spec.
    """
    if not isinstance(model, keras.Model):
        model, spec = load_network(pathlib.Path(model), spec)
    elif spec is None:
        raise ValueError("A network without a file needs `spec`.")
    run = compile_localizer(model)
    return lambda crops: run(crops.astype(np.float32)), spec
