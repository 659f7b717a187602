"""One face as a record, and the shard files of one split.

TensorFlow is imported when the first of them is written: the processes that only cut faces don't
need it.
"""

import dataclasses
import hashlib
import pathlib

from tfrecords_tools.sources.base import Item
from wing_tf.data import record_schema as schema


@dataclasses.dataclass(frozen=True)
class CroppedFace:
    """One face, cut and compressed, in plain types: what is its own in a record."""

    item: Item
    jpeg: bytes
    landmarks: list[float]
    visibility: list[int]
    box: list[float]
    dataset_box: list[float] | None
    square_to_source: list[float]
    angles: list[float] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SharedFields:
    """What all records of a set share.

    Attributes:
        source: the data set's name.
        scheme: the scheme's name.
        scheme_json: the scheme, where it is not built in.
        crop_rule: as JSON.
        side: of the squares.
    """

    source: str
    scheme: str
    scheme_json: str | None
    crop_rule: str
    side: int


def serialize_example(square: CroppedFace, split: str, common: SharedFields) -> bytes:
    """Returns a face as the bytes of a ``tf.train.Example``; see `wing_tf.data.record_schema`."""
    import tensorflow as tf

    def of_bytes(*values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def of_text(text):
        return of_bytes(text.encode())

    def of_floats(values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def of_ints(values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    feature = {
        schema.IMAGE: of_bytes(square.jpeg),
        schema.SIDE: of_ints([common.side]),
        schema.LANDMARKS: of_floats(square.landmarks),
        schema.VISIBILITY: of_ints(square.visibility),
        schema.BOX: of_floats(square.box),
        schema.SQUARE_TO_SOURCE: of_floats(square.square_to_source),
        schema.KEY: of_text(square.item.key),
        schema.SOURCE_IMAGE: of_text(square.item.source_image),
        schema.SPLIT: of_text(split),
        schema.ATTRIBUTES: of_text(",".join(square.item.attributes)),
        schema.SCHEME: of_text(common.scheme),
        schema.SOURCE: of_text(common.source),
        schema.CROP_RULE: of_text(common.crop_rule),
    }
    if square.dataset_box is not None:
        feature[schema.DATASET_BOX] = of_floats(square.dataset_box)
    if square.angles is not None:
        feature[schema.ANGLES] = of_floats(square.angles)
    if common.scheme_json is not None:
        feature[schema.SCHEME_JSON] = of_text(common.scheme_json)
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


class ShardWriter:
    """One shard file that is being written.

    Args:
        path: the file.
    """

    def __init__(self, path: pathlib.Path):
        import tensorflow as tf

        self.name = path.name
        self.num_records = 0
        self._writer = tf.io.TFRecordWriter(str(path))
        self._content = hashlib.sha256()

    def write(self, record: bytes) -> None:
        """Adds a record."""
        self._writer.write(record)
        self._content.update(record)
        self.num_records += 1

    def close(self) -> tuple[str, dict]:
        """Finishes the file; returns its name and what the manifest says of it."""
        self._writer.close()
        return self.name, {"faces": self.num_records, "sha256": self._content.hexdigest()}
