"""LiteRT files as a back end of `wing_tf.inference.Landmarker`."""

import os
import pathlib
import threading

import numpy as np

from wing_tf.model_spec import ModelSpec, find_model, read_model_spec
from wing_tf.zoo import model_path

_LANDMARKS, _SCORES = "landmarks", "scores"


class LiteRtBackend:
    """A ``.tflite`` file as a function of crops.

    It can be called from several threads. A lock lets one call run at a time, because an
    interpreter holds one set of tensors; ``num_threads`` makes use of several cores.

    Args:
        content: Content of the file. Every version of LiteRT verifies a model that is passed as
            bytes; a damaged file that is passed as a path can end the process.
        path: Path of the file, for messages.
        num_threads: Number of threads of the interpreter.

    Attributes:
        input_shape: (1, side, side, 3).
        num_landmarks: K.
        has_scores: Whether the network has scores.

    Raises:
        ValueError: If the content is not a LiteRT model, is incomplete or can't be run, or is not
            an exported landmark network.
        ImportError: If ai-edge-litert is not installed.
    """

    def __init__(self, content: bytes, *, path: pathlib.Path, num_threads: int):
        if isinstance(num_threads, bool) or not isinstance(num_threads, int) or num_threads < 1:
            raise ValueError(
                f"`num_threads` must be positive. Received: num_threads={num_threads}."
            )
        if content[4:8] != b"TFL3":
            raise ValueError(f"{path} is not a LiteRT model.")
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
        self._interpreter, self._lock = interpreter, threading.Lock()
        inputs, outputs = _signature_details(interpreter)
        if len(inputs) != 1 or _LANDMARKS not in outputs:
            raise ValueError(
                f"{path} is not an exported landmark network: expected one input and the output "
                f"{_LANDMARKS!r}. Received: {len(inputs)} inputs, outputs {sorted(outputs)}."
            )
        (image,) = inputs.values()
        if image["dtype"] != np.uint8:
            raise ValueError(f"{path} must take uint8. Received: {np.dtype(image['dtype'])}.")
        self.input_shape = tuple(image["shape"].tolist())
        self.num_landmarks = int(outputs[_LANDMARKS]["shape"][1])
        self.has_scores = _SCORES in outputs
        self._input = image["index"]
        self._outputs = {name: detail["index"] for name, detail in outputs.items()}

    def __call__(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Runs crops uint8 [N, side, side, 3] one by one.

        Returns:
            Landmarks float32 [N, K, 2] in the crops' pixels, and scores [N, K] or None.
        """
        landmarks = np.empty((len(crops), self.num_landmarks, 2), np.float32)
        scores = np.empty(landmarks.shape[:2], np.float32) if self.has_scores else None
        for number in range(len(crops)):
            with self._lock:
                self._interpreter.set_tensor(self._input, crops[number : number + 1])
                self._interpreter.invoke()
                landmarks[number] = self._interpreter.get_tensor(self._outputs[_LANDMARKS])[0]
                if scores is not None:
                    scores[number] = self._interpreter.get_tensor(self._outputs[_SCORES])[0]
        return landmarks, scores


def open_litert(
    model: str | os.PathLike | None, *, num_threads: int
) -> tuple[LiteRtBackend, ModelSpec]:
    """Opens an exported file and checks that it agrees with its model spec.

    Args:
        model: A ``.tflite`` file or an export folder. Defaults to the model of the zoo.
        num_threads: Threads of the interpreter.

    Raises:
        ValueError: If the file or its model spec can't be used.
        ImportError: If ai-edge-litert is not installed.
    """
    path = model_path() if model is None else find_model(model)
    content = path.read_bytes()
    backend = LiteRtBackend(content, path=path, num_threads=num_threads)
    spec = read_model_spec(path, content)
    side = spec.input_size
    expected = ((1, side, side, 3), spec.scheme.num_landmarks, spec.has_scores)
    found = (backend.input_shape, backend.num_landmarks, backend.has_scores)
    if found != expected:
        raise ValueError(
            f"{path} and its model spec disagree (input, landmarks, scores): {found}, {expected}."
        )
    return backend, spec


def _signature_details(interpreter) -> tuple[dict, dict]:
    """Returns the details of the inputs and outputs of the signature, by name."""
    if not interpreter.get_signature_list():
        return {}, {}
    runner = interpreter.get_signature_runner()
    return runner.get_input_details(), runner.get_output_details()
