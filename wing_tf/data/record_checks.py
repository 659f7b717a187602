"""Checks of every record of a file, when the file is opened."""

import functools
import os
import struct
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from wing_tf.data import record_schema as schema
from wing_tf.utils.local_path import is_remote

MAX_COORDINATE = 1e6
_HEADER, _CHECKSUM_BYTES = struct.Struct("<Q"), 4
_BATCH = 64
# TensorFlow's message about a record that can't be parsed quotes its bytes, which are no text.
_PARSE_ERRORS = (tf.errors.InvalidArgumentError, UnicodeDecodeError)
_PROBLEMS = (
    f"its {schema.VISIBILITY} must be 0, 1 or 2",
    f"its {schema.LANDMARKS} must be finite where they are annotated ({schema.VISIBILITY} 1 or 2)",
    f"its {schema.LANDMARKS} must be within {MAX_COORDINATE:.0e} px",
    f"its {schema.BOX} must be x0, y0, x1, y1, finite and with an extent",
    f"its {schema.SQUARE_TO_SOURCE} must be a finite, invertible matrix",
    f"its {schema.SCHEME} or {schema.SIDE} differs from that of the first record",
    f"its {schema.IMAGE} must be a JPEG image whose size is its {schema.SIDE}",
    f"its {schema.IMAGE} is cut off: it must end with the end mark of JPEG",
)


def check_lengths(file: str) -> None:
    """Checks the lengths that the records of a local file state: TensorFlow crashes on huge ones.

    Remote files are not checked, because each length would be a request.

    Raises:
        ValueError: If a record states more bytes than the file has left.
    """
    if is_remote(file):
        return
    with open(file, "rb") as opened:
        size, number, start = os.fstat(opened.fileno()).st_size, 0, 0
        while start < size:
            # A record: its length and a checksum of it, its content and a checksum of it.
            header = os.pread(opened.fileno(), _HEADER.size, start)
            (length,) = _HEADER.unpack(header) if len(header) == _HEADER.size else (size,)
            start += _HEADER.size + length + 2 * _CHECKSUM_BYTES
            if start > size:
                ends = f"it ends after {start} bytes, the file after {size}"
                raise _damage_error(file, number, ends)
            number += 1


def damage_error(file: str) -> ValueError:
    """Returns the error of a file that TensorFlow can't read to its end."""
    number, reason = 0, "it can't be read"
    try:
        for _ in tf.data.TFRecordDataset(file):
            number += 1
    except tf.errors.DataLossError as error:
        reason = _text(error)
    return _damage_error(file, number, reason)


def _damage_error(file: str, number: int, reason: str) -> ValueError:
    return ValueError(
        f"{file} is truncated, damaged or not a TFRecord file, from record {number} on: {reason}. "
        "Write it again with `wing-tfrecords write`."
    )


def check_records(file: str, *, scheme: str, num_landmarks: int, side: int) -> int:
    """Reads all records of a file, and checks all that can be checked without decoding images.

    Args:
        file: Path of the file.
        scheme: Name of the landmark scheme of the file's first record.
        num_landmarks: Number of landmarks of that scheme.
        side: Side of the stored square of the first record, in pixels.

    Returns:
        The number of records.

    Raises:
        ValueError: If a record lacks a feature or has values that can't be true. The message names
            the file, the number of the record (from 0) and, if it can be read, its key.
        tf.errors.DataLossError: If the file is truncated or damaged.
    """
    arguments = (tf.constant(scheme), num_landmarks, tf.constant(side, tf.int64))
    try:
        count, wrong = _scan(tf.constant(file), *arguments)
    except _PARSE_ERRORS:
        wrong = True
    if wrong:
        _raise_first_problem(file, *arguments)
    return int(count)


@functools.partial(tf.function, autograph=False)
def _scan(file, scheme, num_landmarks: int, side):
    """Returns the number of records of a file, and whether any has a problem."""

    @tf.autograph.experimental.do_not_convert
    def problems(batch):
        return _problems(batch, scheme, num_landmarks, side)

    def add(state, found):
        return state[0] + tf.shape(found, tf.int64)[0], state[1] | tf.reduce_any(found)

    batches = tf.data.TFRecordDataset(file, buffer_size=1 << 20).batch(_BATCH)
    found = batches.map(problems, num_parallel_calls=tf.data.AUTOTUNE)
    return found.reduce((tf.constant(0, tf.int64), False), add)


def _raise_first_problem(file: str, scheme, num_landmarks: int, side) -> None:
    for number, record in enumerate(tf.data.TFRecordDataset(file)):
        try:
            found = _problems(record[None], scheme, num_landmarks, side).numpy()[0]
        except _PARSE_ERRORS as error:
            reason = _parse_error(error)
        else:
            if not found.any():
                continue
            reason = _PROBLEMS[int(np.argmax(found))]
        raise _error(file, number, record.numpy(), reason)


def read_named(faces: Iterable, files: Sequence[str]) -> Iterator:
    """Iterates over faces that are read from files; see `raise_undecodable`."""
    try:
        yield from faces
    except tf.errors.InvalidArgumentError:
        raise_undecodable(files)
        raise


def raise_undecodable(files: Sequence[str]) -> None:
    """Raises ValueError if an image can't be decoded, which `check_records` does not try.

    Call it when reading has failed: the error of TensorFlow names neither file nor record.
    """
    feature = {schema.IMAGE: tf.io.FixedLenFeature([], tf.string)}
    for file in files:
        for number, record in enumerate(tf.data.TFRecordDataset(file)):
            try:
                tf.io.decode_jpeg(tf.io.parse_single_example(record, feature)[schema.IMAGE])
            except tf.errors.InvalidArgumentError as error:
                raise _error(file, number, record.numpy(), _parse_error(error)) from None


def _error(file: str, number: int, record: bytes, reason: str) -> ValueError:
    return ValueError(
        f"Record {number}{_key(record)} of {file} is not valid: {reason}. Correct the annotations "
        "and write the records again with `wing-tfrecords write`."
    )


def _parse_error(error: tf.errors.OpError | UnicodeDecodeError) -> str:
    """Returns the part of TensorFlow's message that is about the record."""
    if isinstance(error, UnicodeDecodeError) or "Could not parse example" in error.message:
        return "it is not a tf.train.Example"
    return _text(error)


def _text(error: tf.errors.OpError) -> str:
    """Returns TensorFlow's message without the name of the operation."""
    text = " ".join(error.message.partition("[Op:")[0].split())
    text = (text.partition("}} ")[2] or text).removeprefix("Name: <unknown>, ")
    return text.rstrip(". ")


def _key(record: bytes) -> str:
    try:
        feature = tf.train.Example.FromString(record).features.feature
        key = feature[schema.KEY].bytes_list.value[0].decode()
        return f" ({key if key.isprintable() else ascii(key)})"
    except (DecodeError, IndexError, UnicodeDecodeError):
        return ""


def _problems(records: tf.Tensor, scheme, num_landmarks: int, side) -> tf.Tensor:
    """Returns which of `_PROBLEMS` each of B records has, bool [B, P]."""
    example = tf.io.parse_example(
        records,
        {
            schema.LANDMARKS: tf.io.FixedLenFeature([num_landmarks, 2], tf.float32),
            schema.VISIBILITY: tf.io.FixedLenFeature([num_landmarks], tf.int64),
            schema.BOX: tf.io.FixedLenFeature([4], tf.float32),
            schema.SQUARE_TO_SOURCE: tf.io.FixedLenFeature([2, 3], tf.float32),
            schema.SIDE: tf.io.FixedLenFeature([], tf.int64),
            schema.IMAGE: tf.io.FixedLenFeature([], tf.string),
            **{
                name: tf.io.FixedLenFeature([], tf.string)
                for name in (schema.SCHEME, schema.KEY, schema.SOURCE_IMAGE, schema.SPLIT)
            },
        },
    )
    landmarks, visibility = example[schema.LANDMARKS], example[schema.VISIBILITY]
    annotated = (visibility != schema.NOT_ANNOTATED)[..., None]
    finite = tf.math.is_finite(landmarks)
    box, matrix = example[schema.BOX], example[schema.SQUARE_TO_SOURCE]
    extent = box[:, 2:] - box[:, :2]
    good_box = tf.reduce_all(tf.math.is_finite(box), 1) & tf.reduce_all(extent >= 0, 1)
    a, b, c, d = (matrix[:, row, column] for row in (0, 1) for column in (0, 1))
    good_matrix = tf.reduce_all(tf.math.is_finite(matrix), (1, 2)) & (tf.abs(a * d - b * c) > 0)
    shape = tf.map_fn(
        tf.image.extract_jpeg_shape, example[schema.IMAGE], fn_output_signature=tf.int32
    )
    return tf.stack(
        [
            tf.reduce_any((visibility < 0) | (visibility > schema.VISIBLE), 1),
            tf.reduce_any(annotated & ~finite, (1, 2)),
            tf.reduce_any(annotated & finite & (tf.abs(landmarks) > MAX_COORDINATE), (1, 2)),
            ~(good_box & (tf.reduce_max(extent, 1) > 0)),
            ~good_matrix,
            (example[schema.SCHEME] != scheme) | (example[schema.SIDE] != side),
            tf.reduce_any(tf.cast(shape[:, :2], tf.int64) != side, 1),
            tf.strings.substr(example[schema.IMAGE], -2, 2) != b"\xff\xd9",
        ],
        axis=1,
    )
