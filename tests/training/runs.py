"""Trainings that a test starts in processes of their own: python runs.py NAME FOLDER RECORDS.

Threads, logical devices, determinism and being killed belong to a whole process.
"""

import importlib.util
import os
import pathlib
import sys

import numpy as np

SMOKE = pathlib.Path(__file__).parents[2] / "configs" / "smoke.py"


def smoke_config(records, **changes):
    """The smoke config with changes, named as on the command line."""
    spec = importlib.util.spec_from_file_location("smoke", SMOKE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config()
    config.data.path = str(records)
    config.update_from_flattened_dict(changes)
    return config


def train_run(folder, records, *, kill_after=None, **changes):
    """Trains; the process ends at once, as if killed, when an epoch's backup is written."""
    from wing_tf.training import callbacks, fit

    if kill_after is not None:
        whole = callbacks.Backup.on_epoch_end

        def backup_and_die(self, epoch, logs=None):
            whole(self, epoch, logs)
            if epoch + 1 == kill_after:
                os._exit(9)

        callbacks.Backup.on_epoch_end = backup_and_die
    fit.train(smoke_config(records, **changes), folder)


def sgd_steps(folder, records, *, devices):
    """Takes 20 SGD steps with augmentation, on one or two logical CPUs; saves the weights."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * devices
    )
    train_run(
        folder, records,
        **{
            "optimizer.name": "sgd", "optimizer.learning_rate": 0.01, "optimizer.ema": 0.0,
            "optimizer.clip_norm": 0.0, "schedule.warmup_epochs": 0.0, "jit_compile": "off",
            "batch_size": 14, "epochs": 2, "checkpoint_epochs": 2,
        },
    )  # fmt: skip
    from wing_tf.training import fit

    strategy = fit.make_strategy()
    assert (strategy.num_replicas_in_sync if strategy else 1) == devices


def main():
    name, folder, records = sys.argv[1:4]
    exact = {"deterministic": True, "jit_compile": "off", "epochs": 3}
    compiled = {"jit_compile": "on", "epochs": 3}
    if name.startswith("steps"):
        sgd_steps(folder, records, devices=int(name[-1]))
    else:
        mode, _, killed = name.partition("-")
        changes = {"exact": exact, "compiled": compiled}[mode]
        train_run(folder, records, kill_after=1 if killed else None, **changes)


def final_weights(folder):
    """The weights of the last network, and the logged validation scores."""
    import csv

    import keras

    network = keras.saving.load_model(pathlib.Path(folder) / "checkpoints" / "last.keras")
    with (pathlib.Path(folder) / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return network.get_weights(), np.array([[float(r["epoch"]), float(r["val_nme"])] for r in rows])


if __name__ == "__main__":
    main()
