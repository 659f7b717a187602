"""Registration of the package's losses, layers, metrics and schedules with Keras.

Keras loads a model only if the custom objects of its file are registered, and it has no way to look
them up by their package. `register_with_keras` registers them as soon as both wing_tf and Keras are
imported, in any order, and imports Keras in neither.
"""

import contextlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULES = (
    "wing_tf.layers",
    "wing_tf.losses",
    "wing_tf.metrics.keras_metrics",
    "wing_tf.training.paced_schedule",
    "wing_tf.training.warm_up",
)
"""Modules with ``@keras.saving.register_keras_serializable(package="wing_tf")``. None of them needs
TensorFlow, so that they register on every back end of Keras."""


def register_with_keras() -> None:
    """Imports `MODULES` now if Keras is imported, or else when it has been."""
    if "keras" not in sys.modules and _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    if "keras" in sys.modules:  # Another thread may have imported it since the first look.
        _FINDER.register()


class _KerasFinder:
    """Import hook that registers the package's objects once Keras is imported, and removes itself.

    It stays if Keras is only looked for, or if its import fails.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the spec that the next finders have of Keras, with a loader that registers."""
        if name != "keras":
            return None
        finders = list(sys.meta_path)
        next_finders = finders[finders.index(self) + 1 :] if self in finders else []
        for finder in next_finders:
            find_spec = getattr(finder, "find_spec", None)
            spec = find_spec(name, path, target) if find_spec else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _KerasLoader(spec.loader)  # type: ignore[assignment]
                return spec
        return None

    def register(self) -> None:
        """Imports `MODULES`."""
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(self)
        for module in MODULES:
            try:
                # Unlike importlib.import_module, accepts a module that another thread imports and
                # that waits for Keras: that thread registers it.
                __import__(module)
            except ModuleNotFoundError as error:
                # The distribution wing-tf-runtime does not have them.
                if not (error.name or "").startswith("wing_tf."):
                    raise


_FINDER = _KerasFinder()


class _KerasLoader:
    """Loads Keras with its own loader and then registers the package's objects."""

    def __init__(self, loader: Any):
        self.loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def exec_module(self, module: ModuleType) -> None:
        """Executes Keras, whose spec and module get their own loader back."""
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        _FINDER.register()
