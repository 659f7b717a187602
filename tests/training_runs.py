"""Trainings in processes of their own: python training_runs.py DEVICES FOLDER RECORDS NAME ...

Each one has the folder of its name. Threads and logical devices are properties of a process.
"""

import csv
import os
import pathlib
import shutil
import subprocess
import sys

from experiments import smoke_config, smoke_hourglass, smoke_smt, untrained_model

_TESTS = pathlib.Path(__file__).parent
_ONE_STACK = {"model.num_stacks": 1, "model.features": 8}
_SGD = {
    "optimizer.name": "sgd", "optimizer.learning_rate": 1e-3, "optimizer.ema": 0.0,
    "optimizer.clip_norm": 1.0, "schedule.warmup_epochs": 0.0, "batch_size": 14, "epochs": 2,
    "checkpoint_epochs": 2,
}  # fmt: skip
_STACKED = {**_SGD, "optimizer.learning_rate": 1e-5, "model.features": 8}
_CHANGES = {
    "plain": {},
    "default": {"jit_compile": "auto"},
    "bfloat16": {"precision": "bfloat16", "validation_epochs": 2},
    "hourglass": _ONE_STACK,
    "decreasing": _ONE_STACK,
    # Two sigmas: two epochs follow the first, after which the number of epochs is decided.
    "limited_decreasing": {
        **_ONE_STACK, "epochs": 9, "time_limit_minutes": 1e-4, "heatmap.sigma": 1.0,
        "sigma_schedule.max_epochs_per_sigma": 0, "schedule.name": "cosine",
    },
    # Twenty steps with augmentation.
    "steps": _SGD,
    "compiled_steps": {**_SGD, "jit_compile": "on"},
    "unclipped": {**_SGD, "optimizer.clip_norm": 0.0},
    "stacked": _STACKED,
    "default_stacked": {**_STACKED, "jit_compile": "auto"},
}  # fmt: skip


def run_python(script, *arguments):
    """Runs a script beside this one; returns what it prints."""
    done = subprocess.run(
        [sys.executable, _TESTS / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "PYTHONPATH": f"{_TESTS.parent}{os.pathsep}{_TESTS}",
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def run_result(folder):
    """The weights of the last network, and the columns of the log."""
    import keras

    import wing_tf.layers  # noqa: F401  (two-stage files hold its layers)

    network = keras.saving.load_model(folder / "checkpoints" / "last.keras")
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return network.get_weights(), {key: [float(row[key]) for row in rows] for key in rows[0]}


def refined(records):
    """Overrides for a second stage on balanced poses, its backbone frozen at first.

    The files of the first stage and of the balance are beside the records.
    """
    from wing_tf.data.pose_balance import fit_balance
    from wing_tf.data.read import read_landmarks
    from wing_tf.data.records import open_records

    first, balance = (pathlib.Path(records).parent / name for name in ("first.keras", "poses.json"))
    if not balance.is_file():
        train = open_records(records, split="train")
        untrained_model(first, 32)
        landmarks, visibility, _ = read_landmarks(train)
        fit_balance(landmarks, visibility, train.scheme).save(balance)
    return {
        "two_stage.first": str(first), "two_stage.input_size": 96, "two_stage.margin": 1.8,
        "two_stage.correct": True, "balance.path": str(balance), "optimizer.frozen_epochs": 1.0,
        "optimizer.backbone_rate": 0.5,
    }  # fmt: skip


def train_run(name, folder, records):
    """Trains in the folder of a name; copies it as a kill in the second epoch would leave it.

    The copy is in the folder ``killed``. A training that is resumed is not copied.
    """
    from wing_tf.training import callbacks
    from wing_tf.training.run import train

    make = smoke_hourglass if "stacked" in name or name == "hourglass" else smoke_config
    make = smoke_smt if "decreasing" in name else make
    changes = refined(records) if name == "refined" else _CHANGES[name]
    config = make(records, **{"precision": "float32", "epochs": 3, **changes})
    run, copy = folder / name, folder / "killed" / name
    is_new, former = not run.exists(), callbacks.StopOnNaN.on_train_batch_end

    def copy_once(self, batch, logs=None):
        former(self, batch, logs)
        if is_new and not copy.exists() and callbacks.Backup.found(run / "backup"):
            shutil.copytree(run, copy)

    callbacks.StopOnNaN.on_train_batch_end = copy_once
    try:
        train(config, run)
    finally:
        callbacks.StopOnNaN.on_train_batch_end = former


def split_cpu(devices):
    """Makes one CPU look like several devices."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * devices
    )


def main():
    devices, folder, records, *names = sys.argv[1:]
    split_cpu(int(devices))
    from wing_tf.training.accelerator import make_strategy

    strategy = make_strategy()
    assert (strategy.num_replicas_in_sync if strategy else 1) == int(devices)
    for name in names:
        train_run(name, pathlib.Path(folder), records)


if __name__ == "__main__":
    main()
