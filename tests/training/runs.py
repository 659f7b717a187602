"""Trainings that a test starts in separate processes: python runs.py NAME FOLDER RECORDS.

Threads, logical devices, determinism and being killed are properties of a whole process.
"""

import os
import pathlib
import sys

from experiments import smoke_config, smoke_hourglass, smoke_smt, untrained_model


def train_run(folder, records, *, kill_after=None, make=smoke_config, **changes):
    """Trains; exits like a killed process in the step after `kill_after` epochs."""
    from wing_tf.training import callbacks
    from wing_tf.training.run import train

    if kill_after is not None:

        def die(self, batch, logs=None):
            if len(callbacks.Backup.found(self.model_backup)) or kill_after == 0:
                os._exit(9)

        callbacks.StopOnNaN.model_backup = pathlib.Path(folder) / "backup"
        callbacks.StopOnNaN.on_train_batch_end = die
    train(make(records, **changes), folder)


def split_cpu(devices):
    """Makes one CPU look like several devices."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * devices
    )


def refined(records, folder):
    """Overrides for a second stage on balanced poses, its backbone frozen at first."""
    from wing_tf.data.pose_balance import fit_balance
    from wing_tf.data.read import read_landmarks
    from wing_tf.data.records import open_records

    first, balance = folder / "first.keras", folder / "balance.json"
    if not balance.is_file():
        train = open_records(records, split="train")
        untrained_model(first, 32)
        landmarks, visibility, _ = read_landmarks(train)
        fit_balance(landmarks, visibility, train.scheme).save(balance)
    return {
        "precision": "float32", "epochs": 3, "two_stage.first": str(first),
        "two_stage.input_size": 96, "two_stage.margin": 1.8, "two_stage.correct": True,
        "balance.path": str(balance), "optimizer.frozen_epochs": 1.0,
        "optimizer.backbone_rate": 0.5,
    }  # fmt: skip


def sgd_steps(folder, records, *, devices, make=smoke_config, **changes):
    """Takes 20 SGD steps with augmentation, on one or two logical CPUs; saves the weights."""
    split_cpu(devices)
    train_run(
        folder, records, make=make,
        **{
            "optimizer.name": "sgd", "optimizer.learning_rate": 1e-3, "optimizer.ema": 0.0,
            "optimizer.clip_norm": 1.0, "schedule.warmup_epochs": 0.0, "jit_compile": "off",
            "precision": "float32", "batch_size": 14, "epochs": 2, "checkpoint_epochs": 2,
            **changes,
        },
    )  # fmt: skip
    from wing_tf.training.accelerator import make_strategy

    strategy = make_strategy()
    assert (strategy.num_replicas_in_sync if strategy else 1) == devices


def main():
    name, folder, records = sys.argv[1:4]
    modes = {
        "compiled": {"jit_compile": "on", "precision": "float32", "epochs": 3},
        "default": {"jit_compile": "auto", "precision": "float32", "epochs": 3},
        "bfloat16": {"precision": "bfloat16", "validation_epochs": 2, "epochs": 3},
        "mirrored": {"precision": "float32", "epochs": 3},
        "decreasing": {"precision": "float32", "epochs": 3},
        "mirrored_decreasing": {"precision": "float32", "epochs": 3, "batch_size": 16},
        "visible": {"precision": "float32", "epochs": 3, "model.visibility": True},
        # Two sigmas: two epochs follow the first, after which the number of epochs is decided.
        "limited_decreasing": {
            "precision": "float32", "epochs": 9, "time_limit_minutes": 1e-4, "heatmap.sigma": 1.0,
            "sigma_schedule.max_epochs_per_sigma": 0, "schedule.name": "cosine",
        },
        "stacks": {"precision": "float32", "epochs": 3, "model.features": 8},
    }  # fmt: skip
    if name.startswith("stacked"):
        small = {"model.features": 8, "optimizer.learning_rate": 1e-5}
        sgd_steps(folder, records, devices=int(name[-1]), make=smoke_hourglass, **small)
        return
    if name.startswith(("steps", "compiled_steps", "unclipped", "normed")):
        normed = {"model.name": "mobilenet", "model.width": 0.35, "model.input_size": 32}
        normed["optimizer.learning_rate"] = 1e-5
        normed["jit_compile"] = "auto" if name.endswith("2") else "off"
        unclipped = {"optimizer.clip_norm": 0.0}
        changes = {
            "steps": {}, "compiled_steps": {"jit_compile": "on"}, "unclipped": unclipped,
            "normed": normed,
        }[name[:-1]]  # fmt: skip
        sgd_steps(folder, records, devices=int(name[-1]), **changes)
        return
    mode, _, killed = name.partition("-")
    if mode.startswith("mirrored"):
        split_cpu(2)
    changes = refined(records, pathlib.Path(folder).parent) if mode == "refined" else modes[mode]
    make = smoke_smt if mode.endswith("decreasing") else smoke_config
    make = smoke_hourglass if mode == "stacks" else make
    train_run(folder, records, kill_after=int(killed) if killed else None, make=make, **changes)


if __name__ == "__main__":
    main()
