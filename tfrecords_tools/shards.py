"""Serialization of faces as ``tf.train.Example`` records, and shard files.

TensorFlow is imported when the first record is written: the writer's processes don't need it.
"""

import hashlib
import pathlib
from collections.abc import Mapping

from wing_tf.utils.atomic import sync

Features = Mapping[str, bytes | str | list[int] | list[float]]
"""Values by the keys of `wing_tf.data.record_schema`, in plain types."""


def serialize_example(features: Features) -> bytes:
    """Returns features as a serialized ``tf.train.Example``; the same bytes for equal features."""
    import tensorflow as tf

    def feature(value):
        if isinstance(value, str):
            value = value.encode()
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        if isinstance(value[0], int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=value))
        return tf.train.Feature(float_list=tf.train.FloatList(value=value))

    named = {name: feature(value) for name, value in features.items()}
    example = tf.train.Example(features=tf.train.Features(feature=named))
    return example.SerializeToString(deterministic=True)


class ShardWriter:
    """Writer of one shard file."""

    def __init__(self, path: pathlib.Path):
        import tensorflow as tf

        self._path = path
        self._writer = tf.io.TFRecordWriter(str(path))
        self._num_records = 0
        self._hash = hashlib.sha256()

    def write(self, features: Features) -> None:
        """Adds a record."""
        record = serialize_example(features)
        self._writer.write(record)
        self._hash.update(record)
        self._num_records += 1

    def close(self) -> dict:
        """Closes the file and returns its entry in the manifest."""
        self._writer.close()
        sync(self._path)
        return {"faces": self._num_records, "sha256": self._hash.hexdigest()}
