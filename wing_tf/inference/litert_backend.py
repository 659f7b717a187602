"""LiteRT files as a back end of `wing_tf.inference.Landmarker`."""

import hashlib
import os
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from wing_tf.model_spec import ModelSpec, find_model, ordered_outputs, read_model_spec
from wing_tf.utils.child_process import trust
from wing_tf.utils.litert import LiteRtModel

_LANDMARKS, _SCORES, _VISIBILITY = "landmarks", "scores", "visibility"


class LiteRtBackend:
    """A ``.tflite`` file as a function of crops.

    Threads and forked processes may share it; see `LiteRtModel`. Pickles and deep copies hold the
    path and open the file again.

    Args:
        content: Content of the file.
        path: Path of the file, for messages and to open it again.
        num_threads: Number of threads of the interpreter.

    Attributes:
        input_shape: (batch size, side, side, 3).
        num_landmarks: K.
        has_scores: Whether the network has scores.
        has_visibility: Whether the network emits the probability that each landmark is visible.

    Raises:
        ValueError: If the content is not a LiteRT model, is incomplete or can't be run, or is not
            an exported landmark network.
        ImportError: If ai-edge-litert is not installed.
    """

    def __init__(self, content: bytes, *, path: pathlib.Path, num_threads: int):
        self._path, self._num_threads = path.absolute(), num_threads
        self._checksum = zlib.crc32(content)
        self._model = LiteRtModel(content, path=path, num_threads=num_threads)
        inputs, outputs = _signature_details(self._model.interpreter)
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
        self.has_scores, self.has_visibility = _SCORES in outputs, _VISIBILITY in outputs
        self._input = image["index"]
        self._outputs = {name: detail["index"] for name, detail in outputs.items()}

    def __call__(self, crops: np.ndarray) -> tuple[Any, ...]:
        """Runs crops uint8 [N, side, side, 3] in batches of the file's size.

        Returns:
            Landmarks float32 [N, K, 2] in the crops' pixels, scores [N, K] or None, and, if the
            network emits it, visibility [N, K].
        """
        shape = (len(crops), self.num_landmarks)
        outputs = {_LANDMARKS: np.empty((*shape, 2), np.float32)}
        for name in (_SCORES, _VISIBILITY):
            if name in self._outputs:
                outputs[name] = np.empty(shape, np.float32)
        for part, batch in fixed_batches(crops, self.input_shape[0]):
            found = self._model.run(self._input, batch, [self._outputs[name] for name in outputs])
            for values, some in zip(outputs.values(), found, strict=True):
                values[part] = some[: part.stop - part.start]
        return ordered_outputs(outputs)

    def __reduce__(self) -> tuple:
        return _reopen, (self._path, self._num_threads, self._checksum)


class Unopened:
    """A pickled back end that could not be opened again; it raises the reason when it is called.

    An error while a process of a pool unpickles its task would not reach the caller, who would wait
    forever.
    """

    def __init__(self, error: Exception):
        self._error = error

    def __call__(self, crops: np.ndarray) -> tuple[Any, ...]:
        """Raises the reason."""
        raise self._error


def _reopen(path: pathlib.Path, num_threads: int, checksum: int) -> LiteRtBackend | Unopened:
    """Opens the file of a pickled or copied back end."""
    try:
        content = read_again(path, checksum)
    except ValueError as error:
        return Unopened(error)
    trust(hashlib.sha256(content).hexdigest())
    return LiteRtBackend(content, path=path, num_threads=num_threads)


def read_again(path: pathlib.Path, checksum: int) -> bytes:
    """Returns the content of the file of a pickled or copied landmarker.

    Raises:
        ValueError: If the file can't be read, or if it has changed since it was first read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"Cannot read {path} of a pickled landmarker: {error.strerror}. Where the file is "
            "elsewhere, make the landmarker anew."
        ) from None
    if zlib.crc32(content) != checksum:
        raise ValueError(
            f"{path} has changed since the landmarker that was pickled or copied read it. Make "
            "the landmarker anew."
        )
    return content


def fixed_batches(crops: np.ndarray, size: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields crops in batches of a fixed size, the last one padded with black crops.

    Args:
        crops: uint8 [N, side, side, 3].
        size: Batch size B of a file.

    Yields:
        The part of the N crops, and the batch [B, side, side, 3].
    """
    for start in range(0, len(crops), size):
        part = slice(start, min(start + size, len(crops)))
        batch = crops[part]
        if len(batch) < size:
            batch = np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), "u1")])
        yield part, batch


def open_litert(model: str | os.PathLike, *, num_threads: int) -> tuple[LiteRtBackend, ModelSpec]:
    """Opens an exported file and checks that it agrees with its model spec.

    Args:
        model: A ``.tflite`` file or an export folder.
        num_threads: Threads of the interpreter.

    Raises:
        ValueError: If the file or its model spec can't be used.
        ImportError: If ai-edge-litert is not installed.
    """
    path = find_model(model)
    content = path.read_bytes()
    backend = LiteRtBackend(content, path=path, num_threads=num_threads)
    spec = read_model_spec(path, content)
    side = spec.input_size
    shapes = (spec.batch_size, side, side, 3), spec.scheme.num_landmarks
    expected = (*shapes, spec.has_scores, spec.has_visibility)
    found = (backend.input_shape, backend.num_landmarks, backend.has_scores, backend.has_visibility)
    if found != expected:
        raise ValueError(
            f"{path} and its model spec disagree (input, landmarks, scores, visibility): {found}, "
            f"{expected}."
        )
    return backend, spec


def _signature_details(interpreter) -> tuple[dict, dict]:
    """Returns the details of the inputs and outputs of the signature, by name."""
    if not interpreter.get_signature_list():
        return {}, {}
    runner = interpreter.get_signature_runner()
    return runner.get_input_details(), runner.get_output_details()
