import pathlib

import numpy as np
import pytest
import tensorflow as tf

from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.batches import training_batches
from wing_tf.data.read import decode_ratio, read_faces
from wing_tf.data.records import find_shards, open_records


@pytest.fixture(scope="module")
def train(synthetic_records):
    return open_records(str(synthetic_records), split="train")


def _take(records, count, **options):
    options = {"batch_size": 16, "num_draws": 5, "seed": 7} | options
    return list(training_batches(records, **options).take(count).as_numpy_iterator())


def _same(one, other):
    for a, b in zip(one, other, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_record_set_describes_its_files(train):
    assert train.scheme.name == "ibug_68"
    assert train.side == 96
    assert train.context == pytest.approx(2.0, abs=1e-4)
    assert train.num_faces == len(list(read_faces(train, image=False)))


def test_folder_with_split_equals_glob(synthetic_records):
    by_split = find_shards(str(synthetic_records), "train")
    assert by_split == find_shards(f"{synthetic_records}/train-*")
    both = find_shards(f"{synthetic_records}/train-*, {synthetic_records}/test-*")
    assert set(by_split) < set(both)


@pytest.mark.parametrize("cache", [True, False])
def test_batches_are_determined_by_the_seed(train, cache):
    _same(_take(train, 5, cache=cache), _take(train, 5, cache=cache))
    other = _take(train, 1, cache=cache, seed=8)[0]
    assert not np.array_equal(other["image"], _take(train, 1, cache=cache)[0]["image"])


@pytest.mark.parametrize("cache", [True, False])
def test_dataset_from_a_later_epoch_equals_continuation(train, cache):
    steps = train.num_faces // 16
    whole = _take(train, 2 * steps + 3, cache=cache)
    _same(whole[2 * steps :], _take(train, 3, cache=cache, epochs=tf.data.Dataset.counter(2)))


@pytest.mark.parametrize("cache", [True, False])
def test_slices_of_workers_are_the_batch_of_one(train, cache):
    slices = [_take(train, 2, cache=cache, worker=(index, 4)) for index in range(4)]
    joined = [
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for parts in zip(*slices, strict=True)
    ]
    _same(joined, _take(train, 2, cache=cache))
    with pytest.raises(ValueError, match="must be a multiple of the 3 workers"):
        _take(train, 1, cache=cache, worker=(0, 3))


@pytest.mark.parametrize("cache", [True, False])
def test_epoch_contains_each_face_once_in_a_new_order(train, cache):
    steps = train.num_faces // 16
    batches = _take(train, 2 * steps, cache=cache)
    shapes = [
        np.concatenate([b["landmarks_square_px"] for b in part])
        for part in (batches[:steps], batches[steps:])
    ]
    assert len(np.unique(shapes[0], axis=0)) == steps * 16
    assert not np.array_equal(shapes[0], shapes[1])
    draws = np.concatenate([b["draws"] for b in batches])
    assert len(np.unique(draws, axis=0)) == len(draws)
    assert 0 <= draws.min() < 0.01
    assert 0.99 < draws.max() < 1


def test_landmarks_fit_images_decoded_at_half_size(train):
    full, half = (next(read_faces(train, ratio).as_numpy_iterator()) for ratio in (1, 2))
    assert half["image"].shape == (48, 48, 3)
    np.testing.assert_allclose(
        half["landmarks_square_px"], (full["landmarks_square_px"] + 0.5) / 2 - 0.5, atol=1e-4
    )
    for face in (full, half):
        matrix = face["square_to_source"]
        source = face["landmarks_square_px"] @ matrix[:, :2].T + matrix[:, 2]
        face["source"] = source
    np.testing.assert_allclose(half["source"], full["source"], atol=1e-3)
    mean = full["image"].reshape(48, 2, 48, 2, 3).mean(axis=(1, 3))
    assert np.abs(mean - half["image"]).mean() < 4


def test_decode_ratio_keeps_the_network_resolution():
    assert decode_ratio(256, 2.0, 1.15, 64) == 2
    assert decode_ratio(256, 2.0, 1.15, 128) == 1
    assert decode_ratio(512, 2.0, 1.15, 64) == 4
    assert decode_ratio(64, 2.0, 1.0, 64) == 1


def test_augmenter_works_in_dataset_map(train):
    augmenter = Augmenter(
        train.scheme, input_size=32, margin=1.2, augmentation=Augmentation(flip=0.5, noise=0.05)
    )
    batches = training_batches(train, batch_size=8, num_draws=Augmenter.num_draws, seed=0)
    image, landmarks, weights = next(iter(batches.map(augmenter)))
    assert image.shape == (8, 32, 32, 3)
    assert landmarks.shape == (8, 68, 2)
    np.testing.assert_array_equal(weights, np.ones((8, 68)))


def test_missing_files_raise(tmp_path):
    with pytest.raises(ValueError, match="No record file matches"):
        find_shards(str(tmp_path / "nothing-*"))
    with pytest.raises(ValueError, match=r"split 'train' .*it has: none"):
        find_shards(str(tmp_path), "train")
    with pytest.raises(ValueError, match="--validation_fraction above 0"):
        find_shards(str(tmp_path), "validation")
    with pytest.raises(ValueError, match="path is empty"):
        find_shards("")


@pytest.mark.parametrize("name", ["rec [v2]", "a,b", "a, b[0-9],", "a?b"])
def test_brackets_and_commas_in_the_names_of_folders(tmp_path, name):
    files = []
    for folder in (tmp_path / name, tmp_path / "plain"):
        folder.mkdir()
        files.append(str(folder / "train-00000-of-00001.tfrecord"))
        pathlib.Path(files[-1]).touch()
    first = f"{tmp_path / name}"
    for path in (first, f"{first}/train-*", files[0]):
        assert find_shards(path) == files[:1]
        assert find_shards(f"{tmp_path}/plain, {path}") == sorted(files)
        assert find_shards(f"{path},{tmp_path}/plain/train-*") == sorted(files)
    assert find_shards(f"{tmp_path}/pl[a-c]in/train-*") == files[1:]
    with pytest.raises(ValueError, match="No record file matches .*absent"):
        find_shards(f"{first},absent")


def test_folders_are_searched_by_complete_names(tmp_path):
    odd = tmp_path / "we[1]rd *"
    odd.mkdir()
    for name in ("train-00000-of-00001.tfrecord", "train_hard-00000-of-00001.tfrecord", "train-x"):
        (odd / name).touch()
    assert find_shards(str(odd), "train") == [str(odd / "train-00000-of-00001.tfrecord")]
    assert find_shards([odd / "train-x"]) == [str(odd / "train-x")]
    (odd / "test-00001-of-00002.tfrecord").touch()
    with pytest.raises(ValueError, match="contains 1 files of the split 'test', whose names say 2"):
        find_shards(str(odd))


def test_truncated_file_raises(synthetic_records, tmp_path):
    whole = pathlib.Path(find_shards(str(synthetic_records), "test")[0]).read_bytes()
    path = tmp_path / "test-00000-of-00001.tfrecord"
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"00001\.tfrecord is truncated"):
        open_records([str(path)])


def test_files_of_other_formats_raise(tmp_path):
    text = tmp_path / "a.tfrecord"
    text.write_text("no records at all, but long enough to be read as one")
    with pytest.raises(ValueError, match="not a TFRecord file"):
        open_records([str(text)])
    foreign = tmp_path / "b.tfrecord"
    with tf.io.TFRecordWriter(str(foreign)) as writer:
        writer.write(b"something else")
    with pytest.raises(ValueError, match="has not written"):
        open_records([str(foreign)])
    empty = tmp_path / "c.tfrecord"
    empty.write_bytes(b"")
    with pytest.raises(ValueError, match="contain no face"):
        open_records([str(empty)])


def test_records_of_an_older_format_raise(synthetic_records, tmp_path):
    (file, *_) = find_shards(str(synthetic_records), "test")
    example = tf.train.Example.FromString(next(iter(tf.data.TFRecordDataset(file))).numpy())
    del example.features.feature["source_image"]
    old = tmp_path / "old.tfrecord"
    with tf.io.TFRecordWriter(str(old)) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(ValueError, match="older format.*'source_image'.*Write the records again"):
        open_records([str(old)])


def test_incompatible_record_sets_raise(synthetic_records, tmp_path):
    from tfrecords_tools.sources import SyntheticSource
    from tfrecords_tools.square_crops import SquareFormat
    from tfrecords_tools.writer import write_records

    write_records(
        SyntheticSource(num_train=4),
        tmp_path / "small",
        square_format=SquareFormat(side=64),
        progress=False,
    )
    files = find_shards(f"{synthetic_records},{tmp_path / 'small'}", "train")
    with pytest.raises(ValueError, match=r"same scheme and the same side.*side 96.*side 64"):
        open_records(files)
