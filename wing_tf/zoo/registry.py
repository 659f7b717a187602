"""Models by name, of this package and of other installed distributions."""

import importlib.metadata
import logging
import os
import pathlib
import re

from wing_tf.model_spec import find_model
from wing_tf.utils.did_you_mean import did_you_mean
from wing_tf.utils.local_path import local_path
from wing_tf.zoo.shipped import DEFAULT_MODEL, SHIPPED
from wing_tf.zoo.zoo_model import LITERT, ZooModel

ENTRY_POINT_GROUP = "wing_tf.models"
"""Entry points of other distributions: a model's name, and where its `ZooModel` is."""

_LOGGER = logging.getLogger("wing_tf.zoo")
_NAME = re.compile(r"\w+(-\w+)*")
_SHIPPED = {model.name: model for model in SHIPPED}
_noticed: set[str] = set()  # models whose notice has been logged


def resolve_model(model: str | os.PathLike | None = None, suffix: str = LITERT) -> pathlib.Path:
    """Returns the path that a model argument means.

    A string of letters, digits, "_" and "-" is the name of a model, unless there is a model file, a
    run folder or an export folder at that path. Everything else is a path, which is not checked
    and may begin with "~".

    Args:
        model: Name or path. Defaults to the model of 68 landmarks that comes with the package.
        suffix: The file of a named model: ".tflite" or ".keras".

    Raises:
        ValueError: If a string is neither a local path nor a name, or if the named model's file is
            missing or has changed.
    """
    if model is None:
        return model_path(DEFAULT_MODEL, suffix)
    if isinstance(model, str) and _NAME.fullmatch(model):
        try:
            find_model(model)
        except ValueError:
            return model_path(model, suffix)
    return local_path(os.path.expanduser(os.fsdecode(model)))


def model_path(name: str = DEFAULT_MODEL, suffix: str = LITERT) -> pathlib.Path:
    """Returns a file of a model of the zoo; its terms of use are logged once.

    Raises:
        ValueError: If there is no model of that name, or if its file is missing or has changed.
    """
    model = get_model(name)
    path = model.file(suffix)
    if model.notice and name not in _noticed:
        _noticed.add(name)
        _LOGGER.warning("%s: %s", name, model.notice)
    return path


def get_model(name: str) -> ZooModel:
    """Returns the description of a model.

    Other distributions are searched for names that this package does not have. One whose model
    can't be loaded is logged as a warning.

    Raises:
        ValueError: If there is no model of that name.
    """
    if name in _SHIPPED:
        return _SHIPPED[name]
    entries = _entry_points()
    found = _load(entries[name]) if name in entries else None
    if found is None:
        for kind in ("model.onnx", "saved_model"):
            if os.path.exists(os.path.join(name, kind)):
                raise ValueError(
                    f"{name} is an export without a LiteRT file: its {kind} runs without this "
                    "package. Export the model by wing-export --format=litert."
                )
        known = [*_SHIPPED, *(other for other in entries if other != name)]
        raise ValueError(
            f"No model {name!r}: expected a file, a run folder, an export folder or one of the "
            f"names {', '.join(known)}.{did_you_mean(name, known)}"
        )
    return found


def all_models() -> dict[str, ZooModel]:
    """Returns the models of this package and of all other installed distributions, by name."""
    others = [_load(entry) for entry in _entry_points().values()]
    return _SHIPPED | {model.name: model for model in others if model is not None}


def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    """Returns the entry points of other distributions by name, none of which is loaded."""
    entries = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return {entry.name: entry for entry in entries if entry.name not in _SHIPPED}


def _load(entry: importlib.metadata.EntryPoint) -> ZooModel | None:
    """Returns the model of an entry point; None, and a warning, if it can't be loaded."""
    try:
        model = entry.load()
        if not isinstance(model, ZooModel) or model.name != entry.name:
            raise TypeError(f"{entry.value} is not a ZooModel of that name")
    except Exception as error:
        distribution = entry.dist.name if entry.dist else "an unknown distribution"
        _LOGGER.warning(
            "The model %r of %s can't be used: %s: %s",
            entry.name, distribution, type(error).__name__, error,
        )  # fmt: skip
        return None
    return model
