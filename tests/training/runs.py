"""Trainings that a test starts in processes of their own: python runs.py NAME FOLDER RECORDS.

Threads, logical devices, determinism and being killed belong to a whole process.
"""

import os
import pathlib
import sys

from experiments import smoke_config


def train_run(folder, records, *, kill_after=None, **changes):
    """Trains; the process ends at once, as if killed, in the step after `kill_after` epochs."""
    from wing_tf.training import callbacks, fit

    if kill_after is not None:

        def die(self, batch, logs=None):
            if len(callbacks.Backup.found(self.model_backup)) or kill_after == 0:
                os._exit(9)

        callbacks.StopOnNaN.model_backup = pathlib.Path(folder) / "backup"
        callbacks.StopOnNaN.on_train_batch_end = die
    fit.train(smoke_config(records, **changes), folder)


def split_cpu(devices):
    """Makes one CPU look like several devices."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * devices
    )


def sgd_steps(folder, records, *, devices):
    """Takes 20 SGD steps with augmentation, on one or two logical CPUs; saves the weights."""
    split_cpu(devices)
    train_run(
        folder, records,
        **{
            "optimizer.name": "sgd", "optimizer.learning_rate": 3e-4, "optimizer.ema": 0.0,
            "optimizer.clip_norm": 0.0, "schedule.warmup_epochs": 0.0, "jit_compile": "off",
            "precision": "float32", "batch_size": 14, "epochs": 2, "checkpoint_epochs": 2,
        },
    )  # fmt: skip
    from wing_tf.training.build import make_strategy

    strategy = make_strategy()
    assert (strategy.num_replicas_in_sync if strategy else 1) == devices


def main():
    name, folder, records = sys.argv[1:4]
    modes = {
        "exact": {"deterministic": True, "jit_compile": "off", "epochs": 3},
        "compiled": {"jit_compile": "on", "precision": "float32", "epochs": 3},
        "default": {"jit_compile": "auto", "precision": "float32", "epochs": 3},
        "bfloat16": {"precision": "bfloat16", "validation_epochs": 2, "epochs": 3},
        "mirrored": {"precision": "float32", "epochs": 3},
    }
    if name.startswith("steps"):
        sgd_steps(folder, records, devices=int(name[-1]))
        return
    mode, _, killed = name.partition("-")
    if mode == "mirrored":
        split_cpu(2)
    train_run(folder, records, kill_after=int(killed) if killed else None, **modes[mode])


if __name__ == "__main__":
    main()
