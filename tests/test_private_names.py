"""Private Keras names that the package relies on, checked against the installed Keras."""

import ast
import functools
import inspect
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("wing_tf", "tfrecords_tools")


class PrivateName(NamedTuple):
    """A private name and what the package expects of it.

    Attributes:
        owner: returns the object that has the name.
        parameters: of the method, without ``self``; None for an attribute.
        overridden: whether the package replaces the method, so that Keras must call it.
        purpose: what the package needs it for, and where to look when it is gone.
    """

    owner: Callable[[], Any]
    parameters: list[str] | None
    overridden: bool
    purpose: str


def _optimizer() -> keras.optimizers.Optimizer:
    optimizer = keras.optimizers.SGD(use_ema=True)
    optimizer.build([keras.Variable([0.0])])
    return optimizer


def _compiled_model() -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    return model


def _layer() -> keras.layers.Layer:
    return _compiled_model().layers[0]


PRIVATE_NAMES = {
    "_maybe_symbolic_build": PrivateName(
        _compiled_model, ["iterator", "data_batch"], True,
        "keeps `fit` under a tf.distribute strategy from averaging record batches over replicas "
        "and calling the network on them. Look for what `keras.Model.fit` calls before its first "
        "step.",
    ),
    "_compile_loss": PrivateName(
        _compiled_model, ["y_true", "y_pred", "sample_weight"], False,
        "computes the compiled loss of each stack. Look for what `keras.Model.compute_loss` calls.",
    ),
    "_loss_tracker": PrivateName(
        _compiled_model, None, False,
        "logs the loss of a step whose gradients are compiled. Look for what "
        "`keras.Model.train_step` updates.",
    ),
    "_inbound_nodes": PrivateName(
        _layer, None, False,
        "tells layers that are used once from shared ones. Look for where `keras.layers.Layer` "
        "records its calls in a functional model.",
    ),
    "_update_model_variables_moving_average": PrivateName(
        _optimizer, ["trainable_variables"], True,
        "makes the decay of the weights' moving average rise with the number of updates. Look for "
        "what `keras.optimizers.Optimizer.apply` calls when `use_ema` is set.",
    ),
    "_model_variables_moving_average": PrivateName(
        _optimizer, None, False,
        "resets the weights' moving average. Look for what `Optimizer.finalize_variable_values` "
        "reads.",
    ),
    "_learning_rate": PrivateName(
        _optimizer, None, False,
        "holds the learning-rate schedule, whose pace a limit of time sets. Look for what "
        "`Optimizer.learning_rate` evaluates.",
    ),
    "_all_reduce_sum_gradients": PrivateName(
        _optimizer, ["grads_and_vars"], True,
        "sums the gradients of all replicas before they are clipped. Look for where "
        "`keras.optimizers.Optimizer.apply` sums them under a tf.distribute strategy.",
    ),
    "_get_variable_index": PrivateName(
        _optimizer, ["variable"], False,
        "finds the variable that `Optimizer.update_step` is called with.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PRIVATE_NAMES)
def test_private_name_is_in_the_installed_keras(name):
    private = PRIVATE_NAMES[name]
    files = ", ".join(_private_names_in_use().get(name, ())) or "no file"
    message = (
        f"Keras {keras.__version__} changed a private name that {files} relies on: `{name}`, which "
        f"{private.purpose}"
    )
    owner = private.owner()
    assert hasattr(owner, name), f"{message} It is gone."
    if private.parameters is not None:
        found = list(inspect.signature(getattr(owner, name)).parameters)
        assert found == private.parameters, f"{message} Its parameters are now {found}."
    if private.overridden:
        sources = [inspect.getsource(cls) for cls in type(owner).__mro__[:-1]]
        called = any(f"self.{name}(" in source for source in sources)
        assert called, f"{message} It is no longer called."


def test_every_private_name_in_use_is_listed():
    assert set(_private_names_in_use()) == set(PRIVATE_NAMES)


def test_no_internal_module_is_imported():
    internal = ("keras.src", "tensorflow.python")
    imports = [
        f"{path.relative_to(ROOT)}: {module}"
        for path, tree in _trees()
        for node in ast.walk(tree)
        for module in _imported(node)
        if f"{module}.".startswith(tuple(f"{name}." for name in internal))
    ]
    assert imports == []


@functools.cache
def _trees() -> list[tuple[pathlib.Path, ast.Module]]:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [(path, ast.parse(path.read_text())) for path in paths]


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{name.name}" for name in node.names]
    return []


@functools.cache
def _private_names_in_use() -> dict[str, list[str]]:
    """Returns the private names of Keras that the package reads or overrides, with its files."""
    classes = [
        node for _, tree in _trees() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    ]
    own = {name for node in classes if not _extends_keras(node) for name in _methods(node)}
    own |= {node.attr for _, tree in _trees() for node in ast.walk(tree) if _is_set_on_self(node)}
    used: dict[str, set[str]] = {}
    for path, tree in _trees():
        for node in ast.walk(tree):
            names = set()
            if isinstance(node, ast.Attribute):
                names = {node.attr} - own
            elif isinstance(node, ast.ClassDef) and _extends_keras(node):
                names = _methods(node)
            for name in names & _keras_private_names():
                used.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return {name: sorted(files) for name, files in used.items()}


def _extends_keras(node: ast.ClassDef) -> bool:
    return any("keras." in ast.unparse(base) for base in node.bases)


def _methods(node: ast.ClassDef) -> set[str]:
    return {part.name for part in node.body if isinstance(part, ast.FunctionDef)}


def _is_set_on_self(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


@functools.cache
def _keras_private_names() -> set[str]:
    """Returns the private attributes of models, layers, optimizers, losses, metrics, callbacks."""
    objects = [
        _compiled_model(), _layer(), _optimizer(), keras.losses.Huber(), keras.metrics.Mean(),
        keras.callbacks.TensorBoard(),
    ]  # fmt: skip
    names = {name for item in objects for name in dir(item)} | set(PRIVATE_NAMES)
    return {name for name in names if name.startswith("_") and not name.startswith("__")}
