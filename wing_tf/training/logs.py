"""Logs of a training: ``metrics.csv`` and TensorBoard's files."""

import contextlib
import csv
import io
import math
import os
import pathlib
import platform
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from wing_tf.utils.appended_file import AppendedFile
from wing_tf.utils.atomic import WriteError, final_names


class MetricsLog(keras.callbacks.Callback):
    """Appends each epoch's logs to a CSV file, whole rows only.

    Keras' ``CSVLogger`` writes the same rows, but leaves half of one when the disk is full.

    Args:
        path: The file.
    """

    def __init__(self, path: pathlib.Path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        """Appends a row."""
        names = sorted(logs or {})
        with AppendedFile(self.path, header=_format_csv([["epoch", *names]])) as file:
            file.append(_format_csv([[epoch, *((logs or {})[name] for name in names)]]))


def _format_csv(rows: list) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


class EventFile:
    """A file of events for TensorBoard, whole ones only.

    TensorFlow's own summary writer does not report that the disk is full.

    Args:
        folder: Gets the file at the first `flush`; created if it does not exist.
    """

    def __init__(self, folder: pathlib.Path):
        self._path = folder / f"events.out.tfevents.{time.time_ns()}.{platform.node()}.v2"
        self._writer: tf.io.TFRecordWriter | None = None
        self._length = 0
        self._added: list[bytes] = []

    def add(self, step: int, values: Mapping[str, float | np.ndarray]) -> None:
        """Adds numbers and uint8 RGB images by name. They are in the file after `flush`."""
        found = [
            _Value(tag=name, image=_encode(value))
            if isinstance(value, np.ndarray)
            else _Value(tag=name, simple_value=value)
            for name, value in values.items()
        ]
        self._added.append(_serialize(step=step, summary=tf.compat.v1.Summary(value=found)))

    def flush(self) -> None:
        """Writes what was added.

        Raises:
            WriteError: If it can't be written, such as on a full disk; then the file is as it was
                after the last call, and closed.
        """
        if not self._added:
            return
        try:
            with final_names(self._path, self._path):
                if self._writer is None:
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    self._writer = tf.io.TFRecordWriter(str(self._path))
                    self._writer.write(_serialize(file_version="brain.Event:2"))
                for event in self._added:
                    self._writer.write(event)
                self._writer.flush()
        except WriteError:
            if self._writer is not None:
                with contextlib.suppress(tf.errors.OpError):
                    self._writer.close()
            with contextlib.suppress(OSError):
                os.truncate(self._path, self._length)
                if not self._length:
                    self._path.unlink()
            raise
        self._length = self._path.stat().st_size
        self._added.clear()

    def close(self) -> None:
        """Writes what was added, and closes the file."""
        self.flush()
        if self._writer is not None:
            self._writer.close()


def _serialize(**values: Any) -> bytes:
    return tf.compat.v1.Event(wall_time=time.time(), **values).SerializeToString()


_Value = tf.compat.v1.Summary.Value


def _encode(image: np.ndarray) -> Any:
    height, width, channels = image.shape
    content = tf.io.encode_png(image).numpy()
    return tf.compat.v1.Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=content
    )


class TensorBoard(keras.callbacks.Callback):
    """Writes the logs for TensorBoard, under the names of Keras' callback.

    Those of steps are ``batch_loss`` and the like over the step of the whole training, those of
    epochs ``epoch_loss``, ``epoch_learning_rate`` and, of the validation, ``epoch_nme``.

    Args:
        folder: Gets the folders ``train`` and ``validation``.
    """

    def __init__(self, folder: pathlib.Path):
        super().__init__()
        self._of_training = EventFile(folder / "train")
        self._of_validation = EventFile(folder / "validation")
        self._step = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Counts the steps of a resumed training on."""
        self._step = epoch * self.params["steps"]

    def on_train_batch_end(self, batch, logs=None):
        """Adds the logs of a step."""
        values = {f"batch_{name}": float(value) for name, value in (logs or {}).items()}
        self._of_training.add(self._step, values)
        self._step += 1

    def on_epoch_end(self, epoch, logs=None):
        """Writes the logs, except for the NaN of epochs without validation."""
        values = {k: float(v) for k, v in (logs or {}).items() if not math.isnan(v)}
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        values["learning_rate"] = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        prefix = "val_"
        files = {False: self._of_training, True: self._of_validation}
        for is_validation, file in files.items():
            own = {
                f"epoch_{name.removeprefix(prefix)}": value
                for name, value in values.items()
                if name.startswith(prefix) == is_validation
            }
            if own:
                file.add(epoch, own)
            file.flush()

    def on_train_end(self, logs=None):
        """Closes the files."""
        self._of_training.close()
        self._of_validation.close()
