"""Record files whose framing is damaged, or that state huge squares, are refused by record."""

import struct

import pytest
import tensorflow as tf

from tfrecords_tools.square_crops import SquareFormat
from wing_tf.data.records import find_shards, open_records

HEADER, CHECKSUM = 12, 4


@pytest.fixture(scope="module")
def content(synthetic_records):
    """Two records, and where the second one starts."""
    (file, *_) = find_shards(str(synthetic_records), "test")
    first, second = tf.data.TFRecordDataset(file).take(2).as_numpy_iterator()
    with open(file, "rb") as opened:
        data = opened.read(len(first) + len(second) + 2 * (HEADER + CHECKSUM))
    return data, len(first) + HEADER + CHECKSUM


def _open(path, data):
    path.write_bytes(data)
    return open_records(path)


@pytest.mark.parametrize("length", [10**4, 2**40, 2**62, 2**64 - 6, 2**64 - 1])
def test_length_beyond_the_file_is_refused_before_tensorflow_crashes(tmp_path, content, length):
    """With the right checksum of the length, 2^40 crashes TensorFlow 2.21."""
    data, start = content
    damaged = data[:start] + struct.pack("<Q", length) + data[start + 8 : start + 3000]
    ends = start + length + HEADER + CHECKSUM
    message = rf"a\.tfrecord is truncated, damaged .* from record 1 on: it ends after {ends} bytes"
    with pytest.raises(ValueError, match=message):
        _open(tmp_path / "a.tfrecord", damaged)


@pytest.mark.parametrize("size", [-1, -CHECKSUM, -300])
def test_truncated_files_are_refused_by_record(tmp_path, content, size):
    data, start = content
    assert _open(tmp_path / "b.tfrecord", data).num_faces == 2
    with pytest.raises(ValueError, match=r"a\.tfrecord is truncated, .* from record 1 on: it ends"):
        _open(tmp_path / "a.tfrecord", data[:size])
    with pytest.raises(ValueError, match=r"from record 1 on: it ends"):
        _open(tmp_path / "a.tfrecord", data[: start + 5])


@pytest.mark.parametrize("offset", [8, HEADER + 100, -1])
def test_wrong_checksums_are_refused_by_record(tmp_path, content, offset):
    data, start = content
    damaged = bytearray(data)
    damaged[start + offset if offset > 0 else offset] ^= 1
    message = r"a\.tfrecord is truncated, .* from record 1 on: corrupted record at \d+\. Write it"
    with pytest.raises(ValueError, match=message):
        _open(tmp_path / "a.tfrecord", bytes(damaged))


@pytest.mark.parametrize("side", [0, -8, 8200, 2**40])
def test_squares_of_more_than_64_megapixels_are_refused(tmp_path, content, side):
    data, start = content
    example = tf.train.Example.FromString(data[HEADER : start - CHECKSUM])
    example.features.feature["image/side"].int64_list.value[0] = side
    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(ValueError, match=rf"a\.tfrecord states squares with a side of {side} px"):
        open_records(path)
    with pytest.raises(ValueError, match="from 32 to 8192"):
        SquareFormat(side=side)
