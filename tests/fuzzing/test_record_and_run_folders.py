"""Damaged files of record folders and trainings are refused in one line, or make sense."""

import json
import math

import numpy as np
import pytest
from fuzzed import check_reader, damaged_bytes, damaged_json

from tfrecords_tools.summary import format_summary, read_manifest
from wing_tf.data.pose_balance import PoseBalance, fit_balance
from wing_tf.export.model_card import find_origin
from wing_tf.landmarks import get_scheme
from wing_tf.reproduction.cell_results import read_log
from wing_tf.training.config import default_config
from wing_tf.training.run_folder import RunFolder, hash_files, truncate_log
from wing_tf.training.time_limit import TimeLimit
from wing_tf.utils.text_files import read_json

pytestmark = pytest.mark.slow  # 300 inputs for each reader

FIVE = np.array([[20.0, 20], [40, 20], [30, 30], [22, 42], [38, 42]])
MANIFEST = {
    "warnings": ["one"], "differences_from_official_counts": [], "scheme": "celeba_5",
    "counts": {"train": 3, "test": 2}, "skipped": {"a.png": "it is empty", "crowds": "2 of them"},
}  # fmt: skip
LOG = (
    "epoch,heatmap_mse,heatmap_mse_foreground,loss,val_nme\n"
    "0,2,3,1.5,.3\n1,2,3,1.2,nan\n2,1,1,1,.1\n"
)


def _balance(path):
    balance = PoseBalance.load(path)
    faces = np.stack([FIVE, FIVE * [1.0, 1.3]])
    if len(balance.mean_shape) == 5:
        weights = balance.face_weights(faces, np.full((2, 5), 2))
        assert np.isfinite(weights).all()
        assert np.isfinite(balance.coefficients(faces, np.full((2, 5), 2))).all()
        assert (weights > 0).all()
    assert balance.mean_weight > 0
    assert balance.max_weight >= 1


def _manifest(path):
    assert format_summary(read_manifest(str(path.parent)), path.parent).count("\n") >= 2


def _limit(path):
    limit = TimeLimit(
        path, minutes=1.0, max_epochs=40, steps_per_epoch=3, warmup_epochs=0.0,
        validation_epochs=1, started=0.0,
    )  # fmt: skip
    assert 1 <= limit.epochs <= 1000


def _config(path):
    folder = RunFolder(path.parent)
    try:
        folder.open(default_config(), {"config.balance.path": __file__})
    finally:
        folder.close()


def _log(path):
    assert truncate_log(path, 2) >= 0


def _training_log(path):
    values = read_log(path)
    assert all(0 <= nme < math.inf for nme in values["validation_nme"].values())


def _origin(path):
    origin = find_origin(path.parent / "checkpoints" / "best.keras")
    assert origin.best is None or 0 <= origin.best < math.inf


def _balance_values(path):
    shapes = FIVE + np.random.default_rng(0).normal(0, 2, (9, 5, 2))
    balance = fit_balance(shapes, np.full((9, 5), 2), get_scheme("celeba_5"), num_bins=3)
    balance.save(path)
    return read_json(path)


JSON = {
    "manifest": ("manifest.json", MANIFEST, _manifest),
    "time limit": ("time_limit.json", {"epochs": 12, "decided_after": 2}, _limit),
    "config": ("config.json", json.loads(default_config().to_json_best_effort()), _config),
}
LOGS = {"training": _log, "cell": _training_log, "exported model": _origin}


@pytest.mark.parametrize("name", JSON)
def test_damaged_json_files_are_refused_or_read(name, tmp_path):
    file, values, read = JSON[name]
    hashes = hash_files({"config.balance.path": __file__})
    (tmp_path / "inputs.json").write_text(json.dumps(hashes))
    path = tmp_path / file
    check_reader(path, json.dumps(values).encode(), lambda: read(path), damaged_json(values))


def test_damaged_pose_balances_are_refused_or_read(tmp_path):
    path = tmp_path / "balance.json"
    values = _balance_values(path)
    valid = path.read_bytes()
    check_reader(path, valid, lambda: _balance(path), damaged_json(values))


@pytest.mark.parametrize("name", LOGS)
def test_damaged_logs_are_refused_or_read(name, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.json").write_text(default_config().to_json_best_effort())
    path = tmp_path / "metrics.csv"
    data = LOG.encode()
    check_reader(path, data, lambda: LOGS[name](path), damaged_bytes(data))
