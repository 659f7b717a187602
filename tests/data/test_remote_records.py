"""Records on a file system that only TensorFlow reads: ``ram://``, which each process has alone."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from experiments import smoke_config, untrained_model

from tfrecords_tools.first_scheme import write_first_scheme
from tfrecords_tools.inspection.report import inspect_records
from tfrecords_tools.sources import CsvSource, CvatSource, SyntheticSource
from tfrecords_tools.writer import write_records
from wing_tf.data import fit_balance, open_records, read_landmarks, training_batches
from wing_tf.data.record_files import record_path
from wing_tf.data.records import find_shards
from wing_tf.evaluation.evaluator import evaluate
from wing_tf.inference.video_writer import VideoWriter
from wing_tf.landmarks import load_scheme_map
from wing_tf.models.saving import load_network
from wing_tf.training.run import train
from wing_tf.training.run_folder import RunFolder
from wing_tf.utils.atomic import write_json
from wing_tf.utils.image_files import load_image, save_image

REMOTE = "ram://bucket/some faces/records"
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def remote(synthetic_records):
    tf.io.gfile.makedirs(REMOTE)
    for file in synthetic_records.iterdir():
        tf.io.gfile.copy(str(file), f"{REMOTE}/{file.name}", overwrite=True)
    return REMOTE


def test_remote_records_are_found_as_local_ones(remote, synthetic_records):
    names = sorted(path.name for path in synthetic_records.glob("train-*"))
    files = [f"{remote}/{name}" for name in names]
    for path in (remote, f"{remote}/", f"{remote}/train-*", ",".join(files), files):
        assert find_shards(path, "train") == files
    assert len(find_shards(f"{remote}/*-of-*")) == len(find_shards(synthetic_records))
    with pytest.raises(ValueError, match=f"split 'odd' in {remote} .*test, train, validation"):
        find_shards(remote, "odd")
    with pytest.raises(ValueError, match=f"has the splits test, .* such as {remote}/test-"):
        find_shards(f"{remote}/absent-*")
    with pytest.raises(ValueError, match="matches ram://nowhere/records. Write records"):
        find_shards("ram://nowhere/records")


def test_local_and_remote_paths_are_joined_by_commas(remote, synthetic_records, tmp_path):
    odd = tmp_path / "a,b"
    odd.symlink_to(synthetic_records)
    local = find_shards(synthetic_records, "test")
    expected = sorted([f"{odd}/{pathlib.Path(local[0]).name}", *find_shards(remote, "test")])
    assert find_shards(f"{odd}, {remote}", "test") == expected
    assert find_shards(f"{remote},{odd}", "test") == expected
    assert find_shards([odd, remote], "test") == expected
    records = open_records(f"{remote}/test-*,{synthetic_records}/train-*")
    assert records.num_faces == 24 + open_records(synthetic_records, split="train").num_faces


def test_other_file_systems_are_named_in_one_line():
    with pytest.raises(OSError, match="s3://b/r can't be read: .*'s3' not implemented") as error:
        find_shards("s3://b/r")
    assert ". There are: file://, gs://, ram://." in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"gs:/bucket/records\. Name a remote path in a string"):
        find_shards(pathlib.Path("gs://bucket/records"))


def test_spellings_of_a_path_are_one(synthetic_records):
    twice = f"{synthetic_records}//test-*,{synthetic_records}/./test-*"
    assert find_shards(twice) == find_shards(synthetic_records, "test")
    assert record_path("gs://bucket/") == "gs://bucket"
    assert record_path("~/records") == os.path.expanduser("~/records")


@pytest.mark.parametrize("cache", [True, False])
def test_remote_batches_equal_local_ones(cache, remote, synthetic_records):
    batches = []
    for path in (remote, synthetic_records):
        records = open_records(path, split="train")
        stream = training_batches(records, batch_size=16, num_draws=3, seed=0, cache=cache)
        batches.append(next(iter(stream)))
    for one, other in zip(*map(tf.nest.flatten, batches), strict=True):
        np.testing.assert_array_equal(one, other)


def test_network_is_trained_and_evaluated_on_remote_records(remote, tmp_path):
    records = open_records(remote, split="train")
    landmarks, visibility, _ = read_landmarks(records)
    fit_balance(landmarks, visibility, records.scheme).save(tmp_path / "balance.json")
    tf.io.gfile.copy(str(tmp_path / "balance.json"), f"{remote}/balance.json", overwrite=True)
    # The balance is beside the records: a folder means its balance.json.
    changes = {"balance.path": remote, "epochs": 1, "model.width": 0.25, "num_images": 0}
    run = train(smoke_config(remote, **changes), tmp_path / "run")
    assert json.loads((run / "config.json").read_text())["data"]["path"] == remote
    assert set(json.loads((run / "inputs.json").read_text())) == {"config.balance.path"}
    report_folder = tmp_path / "report"
    report_folder.mkdir()
    report = evaluate(run, f"{remote}/test-*", report_folder)
    assert report["num_faces"] == 24
    tf.io.gfile.GFile(f"{remote}/balance.json", "w").write("{}")
    with pytest.raises(ValueError, match=f"{remote}/balance.json is not a balance"):
        train(smoke_config(remote, **changes), run)


def test_remote_records_are_inspected(remote, synthetic_records, tmp_path):
    report = inspect_records(remote, tmp_path / "remote", num_images=4)
    expected = inspect_records(synthetic_records, tmp_path / "local", num_images=4)
    assert report | {"records": ""} == expected | {"records": ""}
    for name in ("contact_sheet.png", "pose.png"):
        remote_image, local_image = (tmp_path / place / name for place in ("remote", "local"))
        assert remote_image.read_bytes() == local_image.read_bytes()


def _video(path):
    VideoWriter(f"{path}.mp4", frames_per_s=25, size_hw=(32, 32))


@pytest.mark.parametrize(
    "use",
    [
        RunFolder,
        load_image,
        load_network,
        load_scheme_map,
        _video,
        lambda path: save_image(path, np.zeros((8, 8, 3), np.uint8)),
        lambda path: train(smoke_config("nowhere"), path),
        lambda path: write_json(path, {}),
        lambda path: write_records(SyntheticSource(num_train=4), path),
        lambda path: write_first_scheme(CvatSource, "faces.csv", path),
        lambda path: CsvSource(path, scheme="wflw_98"),
        lambda path: inspect_records("nowhere", path),
    ],
    ids=range(12),
)
def test_all_but_records_must_be_local(use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="Only records can be remote. Received: ram://run"):
        use("ram://run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("wing_tf.cli.train", ["--config=configs/smoke.py", "--workdir=gs://b/out"]),
        ("wing_tf.cli.evaluate", ["--model=m", "--data=d", "--output=gs://b/out"]),
        ("wing_tf.cli.predict", ["--image=i.png", "--output=gs://b/out"]),
        ("wing_tf.cli.export", ["--model=m", "--format=litert", "--output=gs://b/out"]),
        ("wing_tf.cli.reproduce", ["--table=wing_speed", "--output=gs://b/out"]),
        ("wing_tf.cli.demo", ["--output=gs://b/out"]),
        ("tfrecords_tools.cli", ["balance", "--data=d", "--output=gs://b/out"]),
    ],
)
def test_commands_refuse_remote_outputs(module, arguments, tmp_path):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    name = arguments[-1].partition("=")[0]
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {name}: Only records can be remote. Received: gs://b/out. Name a local path, "
        "which may be of a mounted file system.\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["configs"]


@pytest.mark.slow  # each command imports TensorFlow
def test_commands_read_remote_records(synthetic_records, tmp_path):
    records = f"file://{synthetic_records}"
    model = untrained_model(tmp_path / "model.keras", 32)
    for module, *arguments in (
        ("tfrecords_tools.cli", "inspect", f"--data={records}", "--num_images=4"),
        ("wing_tf.cli.evaluate", f"--model={model}", f"--data={records}/test-*", "--output=report"),
        ("wing_tf.cli.train", f"--config={ROOT}/configs/smoke.py", f"--config.data.path={records}",
         "--config.epochs=1", "--workdir=run"),
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments], capture_output=True, text=True,
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model.keras", "records_inspection", "report", "run"}
