import json
import math
import re
import shutil
import subprocess
import sys

import keras
import ml_collections
import numpy as np
import pytest
from experiments import smoke_config

from wing_tf.data.augment import Augmenter
from wing_tf.data.batches import training_batches
from wing_tf.data.records import open_records
from wing_tf.evaluation.evaluator import evaluate
from wing_tf.landmarks import get_scheme, shared_points
from wing_tf.models import cnn6, stacked_hourglass
from wing_tf.models.saving import load_network
from wing_tf.training.callbacks import Progress, StopOnNaN, averaged_weights
from wing_tf.training.config import default_config
from wing_tf.training.initialization import copy_layers, copy_shared_maps
from wing_tf.training.resolve import complete_config
from wing_tf.training.run import train
from wing_tf.training.run_folder import RunFolder, truncate_log
from wing_tf.training.tasks import make_task
from wing_tf.training.trainer import make_trainer


@pytest.fixture(scope="module")
def train_records(synthetic_records):
    return open_records(str(synthetic_records), split="train")


@pytest.fixture(scope="module")
def run(synthetic_records, tmp_path_factory):
    """A finished smoke run."""
    return train(smoke_config(synthetic_records), tmp_path_factory.mktemp("runs") / "run")


def test_run_folder_holds_all_files(run, synthetic_records):
    assert {path.name for path in run.iterdir()} >= {
        "config.json", "environment.txt", "metrics.csv", "tensorboard", "checkpoints", "backup",
    }  # fmt: skip
    assert json.loads((run / "config.json").read_text())["data"]["path"] == str(synthetic_records)
    assert "tensorflow" in (run / "environment.txt").read_text()
    rows = (run / "metrics.csv").read_text().split()
    assert len(rows) == 3
    assert rows[0].split(",") == ["epoch", "loss", "val_nme"]
    assert [path.name for path in (run / "backup").iterdir()] == ["epoch-000002.weights.h5"]
    assert any((run / "tensorboard" / "images").iterdir())
    assert {path.name for path in (run / "validation_images").iterdir()} == {
        "first.jpg",
        "best.jpg",
    }


def test_config_without_a_newer_key_is_resumed(run, synthetic_records, tmp_path, capsys):
    """As of a training that an earlier version started."""
    again = shutil.copytree(run, tmp_path / "again")
    saved = json.loads((again / "config.json").read_text())
    del saved["time_limit_minutes"], saved["schedule"]["factor"]
    (again / "config.json").write_text(json.dumps(saved))
    config = smoke_config(synthetic_records)
    train(config, again)
    assert "holds a finished training of 2 epochs" in capsys.readouterr().out
    config.time_limit_minutes = 5.0
    with pytest.raises(ValueError, match="time_limit_minutes is 0.0 there, 5.0 here"):
        train(config, again)


def test_saved_model_is_the_plain_network(run):
    network, spec = load_network(run)
    assert type(network).__name__ == "Functional"
    assert network.input_shape == (None, 32, 32, 3)
    assert (spec.scheme_name, spec.input_size, spec.margin) == ("ibug_68", 32, 1.15)


def test_validation_score_equals_evaluation(run, synthetic_records, tmp_path):
    report = evaluate(run, f"{synthetic_records}/validation-*", tmp_path, normalizer="box")
    logged = [float(r.split(",")[2]) for r in (run / "metrics.csv").read_text().split()[1:]]
    assert report["nme"] == pytest.approx(min(logged), rel=1e-6)


@pytest.mark.slow
def test_rarer_validation_does_not_change_weights(synthetic_records, tmp_path):
    rows = []
    for name, every in (("often", 1), ("seldom", 2)):
        config = smoke_config(
            synthetic_records, epochs=3, validation_epochs=every, checkpoint_epochs=3,
            precision="float32",
        )  # fmt: skip
        run = train(config, tmp_path / name)
        rows.append([row.split(",") for row in (run / "metrics.csv").read_text().split()])
    often, seldom = (np.array(part[1:], float) for part in rows)
    np.testing.assert_allclose(seldom[:, :2], often[:, :2], rtol=1e-6)  # epoch and loss
    # The second epoch is validated by its period, the last one always.
    np.testing.assert_array_equal(np.isnan(seldom[:, 2]), [True, False, False])
    np.testing.assert_allclose(seldom[1:, 2], often[1:, 2], rtol=1e-5)
    assert truncate_log(tmp_path / "seldom" / "metrics.csv", 2) == seldom[1, 2]
    assert truncate_log(tmp_path / "seldom" / "metrics.csv", 1) == math.inf


def test_resume_in_another_precision_is_refused(run, synthetic_records):
    began = json.loads((run / "config.json").read_text())["precision"]
    assert began in ("float32", "bfloat16")
    other = {"float32": "bfloat16", "bfloat16": "float32"}[began]
    with pytest.raises(ValueError, match=f"config.precision is '{began}' there, '{other}' here"):
        train(smoke_config(synthetic_records, precision=other), run)


def test_finished_run_is_unchanged(run, synthetic_records, capsys):
    before = (run / "checkpoints" / "best.keras").read_bytes()
    older = run / "backup" / "epoch-000001.weights.h5"
    older.touch()  # as of a process that was killed before it removed it
    train(smoke_config(synthetic_records), run)
    assert "finished training of 2 epochs" in capsys.readouterr().out
    assert (run / "checkpoints" / "best.keras").read_bytes() == before
    assert not older.exists()


def test_another_config_in_the_same_folder_is_refused(run, synthetic_records):
    with pytest.raises(ValueError, match=r"config.batch_size is 16 there, 8 here"):
        train(smoke_config(synthetic_records, batch_size=8), run)


def test_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="not empty and holds no training"):
        RunFolder(tmp_path).open(default_config())
    with pytest.raises(ValueError, match="must be a folder"):
        RunFolder(tmp_path / "thesis.tex").open(default_config())
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


_HOLD = """
import sys
from wing_tf.training.config import default_config
from wing_tf.training.run_folder import RunFolder
folder = RunFolder(sys.argv[1])
folder.open(default_config())
print("open", flush=True)
input()
"""


def test_two_processes_do_not_train_in_one_folder(synthetic_records, tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, folder],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout.readline() == "open\n"
        before = {path: path.stat().st_size for path in folder.rglob("*")}
        message = f"Another process is writing to this folder: it holds {folder / '.lock'}. Wait"
        with pytest.raises(ValueError, match=re.escape(message)):
            train(smoke_config(synthetic_records), folder)
        assert {path: path.stat().st_size for path in folder.rglob("*")} == before
        other.kill()
    again = RunFolder(folder)  # a killed process holds no lock
    again.open(default_config())
    with pytest.raises(ValueError, match="Another process is writing"):
        RunFolder(folder).open(default_config())
    again.close()


def test_log_is_truncated_after_the_backup(tmp_path):
    path = tmp_path / "metrics.csv"
    assert truncate_log(path, 3) == math.inf
    path.write_text("")  # stopped within the first epoch
    assert truncate_log(path, 0) == math.inf
    path.write_text("epoch,loss,val_nme\n0,3,.3\n1,2,.2\n2,1,.1\n3,1")
    assert truncate_log(path, 2) == 0.2
    assert path.read_text().split() == ["epoch,loss,val_nme", "0,3,.3", "1,2,.2"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"precision": "float16"}, marks=pytest.mark.slow),
        {"precision": "bfloat16"},
        pytest.param(
            {"optimizer.name": "sgd", "schedule.name": "constant"}, marks=pytest.mark.slow
        ),
        {"data.cache": False, "loss.name": "l1"},
    ],
    ids=["float16", "bfloat16", "sgd", "streamed"],
)
def test_variants_train(changes, synthetic_records, tmp_path):
    run = train(smoke_config(synthetic_records, epochs=1, **changes), tmp_path / "run")
    network, _ = load_network(run)
    assert network.get_layer("conv1").compute_dtype == "float32"
    assert all(np.isfinite(w).all() for w in network.get_weights())


def test_init_from_copies_all_but_the_output_of_another_scheme(run):
    other = cnn6(98, input_size=32)
    copied, left = copy_layers(other, load_network(run)[0])
    assert left == ["output"]
    assert copied == [*(f"conv{i}" for i in range(1, 6)), "features"]
    same = cnn6(68, input_size=32)
    assert copy_layers(same, load_network(run)[0])[1] == []
    for a, b in zip(same.get_weights(), load_network(run)[0].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_shared_landmarks_keep_their_heatmaps():
    small = {"num_stacks": 1, "features": 8, "depth": 1, "input_size": 32}
    small["boundary_coordinates"] = False
    other = stacked_hourglass(68, **small)
    network = stacked_hourglass(19, boundary=False, **small)
    _, new = copy_layers(network, other)
    assert new == ["stack1_maps"]
    shared = shared_points(get_scheme("ibug_68"), get_scheme("aflw_19"))
    before = network.get_layer("stack1_maps").get_weights()[0]
    assert copy_shared_maps(network, other, new, shared)
    image = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    ours, theirs = np.asarray(network(image)), np.asarray(other(image))
    np.testing.assert_array_equal(ours[..., 18], theirs[..., 8])  # the chin
    np.testing.assert_array_equal(ours[..., 6], theirs[..., 36])  # an eye corner
    after = network.get_layer("stack1_maps").get_weights()[0]
    kept = [index for index in range(19) if index not in shared]
    assert kept  # centers of the eyes are no landmark of the 68
    np.testing.assert_array_equal(after[..., kept], before[..., kept])
    # The features differ, so the channels would mean something else.
    assert not copy_shared_maps(network, other, ["stack1_features", "stack1_maps"], shared)
    assert not copy_shared_maps(cnn6(19, input_size=32), cnn6(68), ["output"], shared)


def test_several_record_sets_are_trained_together(synthetic_records, tmp_path, capsys):
    from tfrecords_tools.sources import SyntheticSource
    from tfrecords_tools.square_crops import SquareFormat
    from tfrecords_tools.writer import write_records

    more = tmp_path / "more"
    write_records(
        SyntheticSource(num_train=40, seed=9),
        more,
        square_format=SquareFormat(side=96),
        progress=False,
        num_processes=0,
    )
    config = smoke_config(f"{synthetic_records},{more}", epochs=1)
    train(config, tmp_path / "run")
    first = open_records(str(synthetic_records), split="train").num_faces
    second = open_records(str(more), split="train").num_faces
    assert f"{first + second} training" in capsys.readouterr().out


def test_shared_training_and_validation_files_are_refused(synthetic_records, tmp_path):
    config = smoke_config(f"{synthetic_records}/train-*")
    with pytest.raises(ValueError, match="training and validation share"):
        train(config, tmp_path / "run")


def test_batch_larger_than_the_data_is_refused(synthetic_records, tmp_path):
    with pytest.raises(ValueError, match="batch_size=1000 is more than the"):
        train(smoke_config(synthetic_records, batch_size=1000), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalizer": "interocular"}, "config.normalizer must be one of inter_ocular"),
        ({"crop_margin": 3.0}, "does not fit in the records' squares"),
        ({"model.input_size": 8}, "`input_size` must be at least 32"),
        ({"loss.width": -1.0}, "`width` must be positive"),
        ({"init_from": "nowhere.keras"}, "No model at nowhere.keras"),
        ({"data.validation_split": "absent"}, r"split 'absent'.*it has: test, train, validation"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_config_error_leaves_no_run_folder(changes, message, synthetic_records, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(smoke_config(synthetic_records, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nan_stops_with_advice_and_saves_nothing(synthetic_records, tmp_path):
    config = smoke_config(
        synthetic_records,
        **{"optimizer.learning_rate": 1e30, "optimizer.clip_norm": 0.0, "optimizer.name": "sgd"},
    )
    with pytest.raises(FloatingPointError, match="Try a smaller config.optimizer.learning_rate"):
        train(config, tmp_path / "run")
    assert list((tmp_path / "run" / "backup").iterdir()) == []
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []
    with pytest.raises(FloatingPointError):
        StopOnNaN().on_epoch_end(0, {"loss": float("inf")})


@pytest.mark.parametrize("precision", ["float32", pytest.param("float16", marks=pytest.mark.slow)])
def test_averaged_weights_are_restored(precision, train_records):
    config = complete_config(
        ml_collections.ConfigDict(
            {"optimizer": {"ema": 0.5}, "batch_size": 8, "precision": precision}
        )
    )
    trainer = make_trainer(config, make_task(config, train_records), 10)
    batches = training_batches(train_records, batch_size=8, num_draws=Augmenter.num_draws, seed=0)
    trainer.fit(batches, steps_per_epoch=2, verbose=0, shuffle=False, callbacks=[_Halfway()])


class _Halfway(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        before = [v.numpy() for v in self.model.trainable_variables]
        with averaged_weights(self.model):
            inside = [v.numpy() for v in self.model.trainable_variables]
        after = [v.numpy() for v in self.model.trainable_variables]
        assert any(not np.array_equal(a, b) for a, b in zip(before, inside, strict=True))
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)


def test_time_left_does_not_count_compilation(monkeypatch, capsys):
    """A first epoch of 60 s and others of 2 s, of 100 faces each."""
    clock = iter([0.0, 60.0, 62.0, 62.0, 64.0])
    monkeypatch.setattr("wing_tf.training.callbacks.time.monotonic", lambda: next(clock))
    progress = Progress(faces_per_epoch=100)
    progress.set_params({"steps": 4, "epochs": 33})
    for epoch in range(3):
        progress.on_epoch_begin(epoch)
        progress.on_train_batch_end(0)
        progress.on_epoch_end(epoch, {"loss": 2.5, "val_nme": 0.05})
    assert capsys.readouterr().out.splitlines() == [
        "epoch 1/33  loss 2.500  validation NME 5.00 %",
        "epoch 2/33  loss 2.500  validation NME 5.00 %  50 faces/s  1.0 min left",  # 31 * 2 s
        "epoch 3/33  loss 2.500  validation NME 5.00 %  50 faces/s  1.0 min left",
    ]
