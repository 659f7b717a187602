"""Choice of the back end of `wing_tf.inference.Landmarker`: LiteRT, Keras or a function."""

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from wing_tf.inference.litert_backend import open_litert
from wing_tf.model_spec import ModelSpec, is_exported
from wing_tf.zoo import resolve_model

Backend = Callable[[np.ndarray], tuple[Any, ...]]
"""Function of crops uint8 [N, side, side, 3]. It returns landmarks [N, K, 2] in pixels of the
crops, scores [N, K] or None, and possibly the probabilities [N, K] that landmarks are visible."""


def open_backend(model: Any, spec: ModelSpec | None, num_threads: int) -> tuple[Backend, ModelSpec]:
    """Returns the back end of a model and its model spec; see `Landmarker` for the arguments.

    Raises:
        ValueError: If the model can't be used.
        ImportError: If LiteRT or Keras is needed but not installed.
    """
    is_path = model is None or isinstance(model, (str, os.PathLike))
    if is_path:
        model = resolve_model(model)
    if is_path and is_exported(model):
        if spec is not None:
            raise ValueError("An exported file contains its own model spec: don't pass `spec`.")
        return open_litert(model, num_threads=num_threads)
    if not is_path:
        if not callable(model):
            raise ValueError(
                "`model` must be the path of a model, a Keras model or a function. Received: "
                f"{type(model).__name__}. Images are arguments of the landmarker's call."
            )
        if spec is None:
            raise ValueError("A network without a file needs `spec`.")
        if not _is_keras(model):
            return model, spec
    from wing_tf.inference.keras_backend import open_keras

    return open_keras(model, spec)


def _is_keras(model: Any) -> bool:
    """Returns whether this is a Keras model. Without Keras imported, it can't be one."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Model)
