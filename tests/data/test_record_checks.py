"""Records with values that can't be true are refused when their file is opened."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from experiments import smoke_config

from wing_tf.data.records import find_shards, open_records
from wing_tf.evaluation.predict import crop_batches
from wing_tf.model_spec import ModelSpec
from wing_tf.training.run import train

NUMBER = 5  # of the record that is changed


def _floats(name, index, value):
    def change(feature):
        feature[name].float_list.value[index] = value

    return change


def _visibility(example_value):
    def change(feature):
        feature["visibility"].int64_list.value[3] = example_value

    return change


def _remove(name):
    def change(feature):
        del feature[name]

    return change


def _too_few_landmarks(feature):
    del feature["landmarks"].float_list.value[-2:]


def _singular(feature):
    feature["square_to_source"].float_list.value[:] = [1, 1, 0, 1, 1, 0]


def _image(value):
    def change(feature):
        feature["image/encoded"].bytes_list.value[0] = value

    return change


def _other_size(feature):
    small = tf.io.encode_jpeg(np.zeros((64, 64, 3), np.uint8)).numpy()
    feature["image/encoded"].bytes_list.value[0] = small


def _cut_off(feature):
    image = feature["image/encoded"].bytes_list.value
    image[0] = image[0][: len(image[0]) // 2]


def _other_scheme(feature):
    feature["scheme"].bytes_list.value[0] = b"wflw_98"


def _write_changed(synthetic_records, tmp_path, change, name="changed.tfrecord"):
    (file, *_) = find_shards(str(synthetic_records), "test")
    path = tmp_path / name
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, record in enumerate(tf.data.TFRecordDataset(file).as_numpy_iterator()):
            if number == NUMBER:
                example = tf.train.Example.FromString(record)
                change(example.features.feature)
                record = example.SerializeToString()
            writer.write(record)
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_floats("landmarks", 6, np.nan), "landmarks must be finite where they are annotated"),
        (_floats("landmarks", 7, np.inf), "landmarks must be finite where they are annotated"),
        (_floats("landmarks", 7, -2e6), "landmarks must be within 1e"),
        (_visibility(7), "visibility must be 0, 1 or 2"),
        (_visibility(-1), "visibility must be 0, 1 or 2"),
        (_floats("square_to_source", 2, np.nan), "square_to_source must be a finite"),
        (_singular, "square_to_source must be a finite, invertible matrix"),
        (_floats("box", 0, np.nan), "box must be x0, y0, x1, y1"),
        (_floats("box", 0, 1e5), "box must be x0, y0, x1, y1"),
        (_other_scheme, "scheme or image/side differs from that of the first record"),
        (_other_size, "image/encoded must be a JPEG image whose size"),
        (_cut_off, "image/encoded is cut off"),
        (_image(b"GIF87a, which is not JPEG"), "JPEG"),
        (_remove("visibility"), "visibility"),
        (_remove("source_image"), "source_image"),
        (_too_few_landmarks, "landmarks"),
    ],
)
def test_bad_record_is_refused_by_file_number_and_key(synthetic_records, tmp_path, change, reason):
    path = _write_changed(synthetic_records, tmp_path, change)
    with pytest.raises(ValueError, match=r"^Record 5 \(synthetic/1/\d+\) of ") as raised:
        open_records(str(path))
    message = str(raised.value)
    assert f"{path} is not valid: " in message
    assert reason in message
    assert "{{" not in message  # of a raw message of TensorFlow
    assert "\n" not in message


def test_record_that_is_no_example_is_refused_by_number(synthetic_records, tmp_path):
    (file, *_) = find_shards(str(synthetic_records), "test")
    first = next(tf.data.TFRecordDataset(file).as_numpy_iterator())
    path = tmp_path / "foreign.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(first)
        writer.write(b"something else")
    with pytest.raises(ValueError, match=r"^Record 1 of .*foreign\.tfrecord is not valid: "):
        open_records(str(path))


def _undecodable(feature):
    """Damages the Huffman tables; header and end mark are as before."""
    image = bytearray(feature["image/encoded"].bytes_list.value[0])
    table = image.index(b"\xff\xc4")
    image[table + 5 : table + 21] = b"\xff" * 16
    feature["image/encoded"].bytes_list.value[0] = bytes(image)


@pytest.mark.parametrize("cache", [True, False])
def test_undecodable_image_ends_training_by_file_and_number(synthetic_records, tmp_path, cache):
    _write_changed(synthetic_records, tmp_path, _undecodable, "train-00000-of-00001.tfrecord")
    (good,) = find_shards(str(synthetic_records), "test")
    shutil.copy(good, tmp_path / "validation-00000-of-00001.tfrecord")
    config = smoke_config(tmp_path, epochs=1)
    config.data.cache = cache
    with pytest.raises(ValueError, match=r"^Record 5 \(synthetic/1/\d+\) of .*/train-00000-of"):
        train(config, tmp_path / "run")


def test_undecodable_image_ends_evaluation_by_file_and_number(synthetic_records, tmp_path):
    path = _write_changed(synthetic_records, tmp_path, _undecodable)
    spec = ModelSpec(scheme="ibug_68", input_size=32, margin=1.2)
    with pytest.raises(
        ValueError, match=r"^Record 5 \(synthetic/1/\d+\) of .*changed\.tfrecord is"
    ):
        list(crop_batches(open_records(path), spec))


def test_values_of_landmarks_that_are_not_annotated_are_free(synthetic_records, tmp_path):
    def change(feature):
        _visibility(0)(feature)
        for index, value in ((6, np.nan), (7, 1e9)):
            _floats("landmarks", index, value)(feature)

    path = _write_changed(synthetic_records, tmp_path, change)
    assert open_records(str(path)).num_faces == 24
