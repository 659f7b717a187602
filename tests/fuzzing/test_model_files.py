"""Damaged networks, backups, heatmaps and records are refused in one line, or make sense."""

import io
import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from fuzzed import check_reader, damaged_archive, damaged_bytes, damaged_json

from wing_tf.data.records import find_shards, open_records
from wing_tf.landmarks import get_scheme
from wing_tf.model_spec import MODEL_SPEC_FILE, ModelSpec, read_model_spec
from wing_tf.models.saving import load_network, save_network
from wing_tf.reproduction.cell_file import read_heatmaps
from wing_tf.training.callbacks import Backup
from wing_tf.utils.zip_files import attach_files

pytestmark = pytest.mark.slow  # 300 inputs for each reader

SPEC = ModelSpec(scheme="celeba_5", input_size=8, margin=1.2, trained_on={"wflw": 9})


def _network():
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Dense(10)(keras.layers.Flatten()(image))
    return keras.Model(image, keras.layers.Reshape((5, 2))(x))


def _members(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_damaged_networks_are_refused_or_read(tmp_path):
    path = tmp_path / "model.keras"
    save_network(_network(), path, SPEC)
    members = _members(path.read_bytes())
    texts = {n: damaged_json(json.loads(members[n])) for n in ("config.json", MODEL_SPEC_FILE)}
    weights = damaged_bytes(members["model.weights.h5"])

    def read():
        network, spec = load_network(path)
        assert network.output_shape == (None, spec.scheme.num_landmarks, 2)
        assert network.input_shape == (None, spec.input_size, spec.input_size, 3)

    valid = path.read_bytes()
    damaged = damaged_archive(valid, {**texts, "model.weights.h5": weights})
    check_reader(path, valid, read, damaged)


def test_damaged_specs_of_exports_are_refused_or_read(tmp_path):
    path = tmp_path / "model.tflite"
    outputs = {"landmarks": {"shape": [1, 5, 2], "dtype": "float32"}}
    values = SPEC.to_dict() | {"format": "litert", "precision": "float32", "outputs": outputs}
    values["input"]["shape"][0] = 1
    path.write_bytes(b"network" * 500)
    attach_files(path, {MODEL_SPEC_FILE: json.dumps(values)})

    def read():
        spec = read_model_spec(path)
        assert 0 < spec.input_size <= 4096
        assert 0 < spec.margin <= 100

    valid = path.read_bytes()
    damaged = damaged_archive(valid, {MODEL_SPEC_FILE: damaged_json(values)})
    check_reader(path, valid, read, damaged)


@pytest.mark.parametrize("side", [20000, 70000])
def test_archives_that_unpack_to_gigabytes_are_refused(side, tmp_path):
    path = tmp_path / "model.tflite"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(MODEL_SPEC_FILE, "w") as member:
            for _ in range(1000):
                member.write(b" " * side)
    with pytest.raises(ValueError, match=r"model\.tflite is a damaged zip archive: .*000"):
        read_model_spec(path)


def test_damaged_backups_are_refused_or_read(tmp_path):
    path = tmp_path / "epoch-000003.weights.h5"
    trainer = _network()
    trainer.compile("sgd", "mse")
    trainer.optimizer.build(trainer.trainable_variables)
    trainer.save_weights(path)

    def read():
        assert Backup.restore(trainer, tmp_path) == 3
        assert all(np.isfinite(weight).all() for weight in trainer.get_weights())

    valid = path.read_bytes()
    check_reader(path, valid, read, damaged_bytes(valid))


def test_damaged_heatmaps_are_refused_or_read(tmp_path):
    path = tmp_path / "cell_seed0.npz"
    maps = np.random.default_rng(0).integers(0, 256, (4, 4, 5), np.uint8)
    np.savez_compressed(path, true=maps, predicted=maps)

    def read():
        found = read_heatmaps(path)
        assert found["true"].shape == found["predicted"].shape
        assert all(0 <= m.min() <= m.max() <= 1 for m in found.values())

    valid = path.read_bytes()
    members = {n: damaged_bytes(m) for n, m in _members(valid).items()}
    check_reader(path, valid, read, damaged_archive(valid, members))


def test_damaged_records_are_refused_or_read(synthetic_records, tmp_path):
    """The second of two records is damaged, its checksum is right; or any byte of the file is."""
    (file, *_) = find_shards(str(synthetic_records), "test")
    first, second = list(tf.data.TFRecordDataset(file).take(2).as_numpy_iterator())
    path = tmp_path / "a.tfrecord"

    def framed(content):
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(first)
            writer.write(content)
        return path.read_bytes()

    def read():
        records = open_records(path)
        assert records.num_faces <= 2
        assert records.scheme == get_scheme(records.scheme.name)
        assert records.side == 96
        assert 0 < records.context < 100
        assert sum(records.sources.values()) == records.num_faces

    valid = framed(second)
    damaged = damaged_bytes(second).map(framed) | damaged_bytes(valid)
    check_reader(path, valid, read, damaged)
