"""One face as a record, and the shard files of one split.

TensorFlow is imported when the first of them is written: the processes that only cut faces don't
need it.
"""

import dataclasses
import pathlib

from tfrecords_tools.sources.base import Item
from wing_tf.data import example_schema as schema

_MOST_SHARDS = 256  # all are open at once


@dataclasses.dataclass(frozen=True)
class Square:
    """One face, cut and compressed, in plain types: all that a record holds."""

    item: Item
    jpeg: bytes
    landmarks: list[float]
    visibility: list[int]
    box: list[float]
    square_to_source: list[float]
    angles: list[float] | None


def serialize(square: Square, split: str, scheme: str, side: int) -> bytes:
    """Returns a face as the bytes of a ``tf.train.Example``; see `wing_tf.data.example_schema`."""
    import tensorflow as tf

    def of_bytes(*values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def of_floats(values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def of_ints(values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    feature = {
        schema.IMAGE: of_bytes(square.jpeg),
        schema.SIDE: of_ints([side]),
        schema.LANDMARKS: of_floats(square.landmarks),
        schema.VISIBILITY: of_ints(square.visibility),
        schema.BOX: of_floats(square.box),
        schema.SQUARE_TO_SOURCE: of_floats(square.square_to_source),
        schema.KEY: of_bytes(square.item.key.encode()),
        schema.PICTURE: of_bytes(square.item.picture.encode()),
        schema.SPLIT: of_bytes(split.encode()),
        schema.SCHEME: of_bytes(scheme.encode()),
    }
    if square.angles is not None:
        feature[schema.ANGLES] = of_floats(square.angles)
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


class ShardWriter:
    """The shard files of one split; records are dealt out to them in turn.

    Args:
        folder: where they go.
        split: gives them their names.
        num_faces: how many records will come, at the most.
        faces_per_shard: about how many a file holds.
    """

    def __init__(self, folder: pathlib.Path, split: str, num_faces: int, faces_per_shard: int):
        import tensorflow as tf

        count = min(-(-num_faces // faces_per_shard), _MOST_SHARDS)
        self._paths = [folder / schema.shard_name(split, index, count) for index in range(count)]
        self._writers = [tf.io.TFRecordWriter(str(path)) for path in self._paths]
        self.num_records = 0

    def write(self, record: bytes) -> None:
        """Adds a record to the next file."""
        self._writers[self.num_records % len(self._writers)].write(record)
        self.num_records += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for writer in self._writers:
            writer.close()
        if not self.num_records:  # all of the split's faces were skipped
            for path in self._paths:
                path.unlink()
