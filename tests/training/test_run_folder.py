"""The folder of a training: its files, its lock, and what it refuses."""

import json
import math
import re
import shutil
import subprocess
import sys

import pytest
from experiments import smoke_config

from wing_tf.evaluation.evaluator import evaluate
from wing_tf.models.saving import load_network
from wing_tf.training.config import default_config
from wing_tf.training.run import train
from wing_tf.training.run_folder import RunFolder, truncate_log


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
