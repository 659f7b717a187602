"""Models by name: those that come with the package, and those of other installed distributions."""

from wing_tf.zoo.registry import (
    ENTRY_POINT_GROUP,
    all_models,
    get_model,
    model_path,
    resolve_model,
)
from wing_tf.zoo.shipped import DEFAULT_MODEL, SHIPPED
from wing_tf.zoo.tables import help_table, markdown_table
from wing_tf.zoo.zoo_model import KERAS, LITERT, Score, ZooModel

__all__ = [
    "DEFAULT_MODEL",
    "ENTRY_POINT_GROUP",
    "KERAS",
    "LITERT",
    "SHIPPED",
    "Score",
    "ZooModel",
    "all_models",
    "get_model",
    "help_table",
    "markdown_table",
    "model_path",
    "resolve_model",
]
