"""LiteRT models that threads may share and that survive a fork."""

import ctypes
import os
import pathlib
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from wing_tf.utils.child_process import try_in_child


class LiteRtModel:
    """A LiteRT model with one input, which can be called from several threads.

    A lock lets one call run at a time, because an interpreter holds one set of tensors;
    ``num_threads`` makes use of several cores. After a fork the child process makes an interpreter
    of its own at the first call.

    Args:
        content: Content of the file. LiteRT verifies the structure of a model that is passed as
            bytes, but other damage can end the process. It is therefore run in a child process
            first, see `wing_tf.utils.child_process.try_in_child`.
        path: Path of the file, for messages.
        num_threads: Number of threads of the interpreter.

    Attributes:
        interpreter: ``ai_edge_litert.interpreter.Interpreter`` of this process.

    Raises:
        ValueError: If the content is not a LiteRT model, is incomplete or can't be run.
        ImportError: If ai-edge-litert is not installed.
    """

    def __init__(self, content: bytes, *, path: pathlib.Path, num_threads: int):
        if isinstance(num_threads, bool) or not isinstance(num_threads, int) or num_threads < 1:
            raise ValueError(
                f"`num_threads` must be positive. Received: num_threads={num_threads}."
            )
        if content[4:8] != b"TFL3":
            raise ValueError(f"{path} is not a LiteRT model.")
        self._content, self._path, self._num_threads = content, path, num_threads
        self._lock = threading.Lock()
        try_in_child(_run_once, content, path, reader="LiteRT")
        self.interpreter = self._open_interpreter()
        _MODELS.add(self)

    def _open_interpreter(self) -> Any:
        return _open_interpreter(self._content, self._path, self._num_threads)

    def run(self, index: int, values: np.ndarray, outputs: Sequence[int]) -> list[np.ndarray]:
        """Returns the tensors of the indices `outputs` for one input tensor."""
        with self._lock:
            if self.interpreter is None:
                self.interpreter = self._open_interpreter()
            self.interpreter.set_tensor(index, values)
            self.interpreter.invoke()
            return [self.interpreter.get_tensor(output) for output in outputs]

    def after_fork(self) -> None:
        """Prepares a child process, in which the interpreter's threads don't exist."""
        if self.interpreter is not None:
            # Its destructor would wait for those threads, also at the end of the process.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.interpreter))
            self.interpreter = None
        self._lock = threading.Lock()  # another thread may have held the parent's


def _open_interpreter(content: bytes, path: pathlib.Path, num_threads: int) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError as error:
        raise ImportError("LiteRT files need `pip install ai-edge-litert`.") from error
    try:
        interpreter = Interpreter(model_content=content, num_threads=num_threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        # This is all that the interpreter says about incomplete files.
        reason = " ".join(str(error).split()).rstrip(".")
        hint = " (is the file incomplete?)" if "Flatbuffer" in reason else ""
        raise ValueError(f"{path} can't be run{hint}: {reason}.") from error
    return interpreter


def _run_once(content: bytes, path: pathlib.Path) -> None:
    """Runs a model on zeros."""
    interpreter = _open_interpreter(content, path, num_threads=1)
    try:
        interpreter.invoke()
        for detail in interpreter.get_output_details():
            interpreter.get_tensor(detail["index"])
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} can't be run: {' '.join(str(error).split())}") from None


_MODELS: weakref.WeakSet[LiteRtModel] = weakref.WeakSet()


def _after_fork() -> None:
    for model in _MODELS:
        model.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
