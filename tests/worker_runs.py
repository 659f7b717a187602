"""Trainings of several workers, one after the other: worker_runs.py FOLDER RECORDS NAME ...

The workers are those of TF_CONFIG. LOSE may be a signal, an epoch and a step, at whose end this one
is sent the signal.
"""

import os
import pathlib
import sys

from experiments import smoke_config, smoke_smt
from training_runs import refined

from wing_tf.cli.native_logs import filter_native_logs

SGD = {
    "optimizer.name": "sgd", "optimizer.learning_rate": 1e-3, "optimizer.ema": 0.0,
    "optimizer.clip_norm": 1.0, "schedule.warmup_epochs": 0.0, "precision": "float32",
    "batch_size": 14, "epochs": 2, "checkpoint_epochs": 2, "num_images": 0,
}  # fmt: skip
NOISE = {"label_noise.fraction": 0.2, "label_noise.distance": 0.1}
# At higher rates rounding grows: scores differ by up to 4e-3 at 1e-3, 2e-3 at 1e-4.
ADAMW = {
    "precision": "float32", "epochs": 3, "num_images": 0, "optimizer.learning_rate": 2e-5,
}  # fmt: skip


def make_config(name, records):
    """Returns the config of a name."""
    if name == "adamw":
        return smoke_config(records, **ADAMW)
    # Two sigmas, in as many epochs as a limit of time leaves them. The batch normalization of the
    # network is synchronized.
    if name == "sigma":
        return smoke_smt(
            records,
            **{
                **ADAMW, "epochs": 9, "time_limit_minutes": 1e-4, "heatmap.sigma": 1.0,
                "sigma_schedule.max_epochs_per_sigma": 0, "schedule.name": "cosine",
            },
        )  # fmt: skip
    second = refined(records)
    balance = {"balance.path": second["balance.path"]}
    if name == "cached":
        return smoke_config(records, **SGD, **NOISE, **balance)
    if name == "files":
        # XLA compiles the workers' gradients, but not the step of the process that trains alone.
        compiled = "on" if os.environ.get("TF_CONFIG") else "off"
        changes = {"data.cache": False, "balance.use": "weight", "jit_compile": compiled}
        return smoke_config(records, **SGD, **balance, **changes)
    assert name == "second"
    kept = {key: value for key, value in second.items() if not key.startswith("optimizer")}
    return smoke_config(records, **{**kept, **SGD, "epochs": 1})


def lose_worker(signal_number, epoch, step):
    """Sends this process a signal at the end of a step of the training."""
    from wing_tf.training import callbacks

    def keep(self, epoch, logs=None):
        self.epoch = epoch

    def lose(self, batch, logs=None):
        if (self.epoch, batch) == (epoch, step):
            os.kill(os.getpid(), signal_number)

    callbacks.StopOnNaN.on_epoch_begin, callbacks.StopOnNaN.on_train_batch_end = keep, lose


def main():
    folder, records, *names = sys.argv[1:]
    folder = pathlib.Path(folder)
    filter_native_logs()  # before TensorFlow is imported

    from wing_tf.training.cluster import join_workers
    from wing_tf.training.run import train

    if moment := os.environ["LOSE"]:
        lose_worker(*map(int, moment.split()))
    with join_workers(timeout_seconds=1200.0) as workers:
        for name in names:
            train(make_config(name, records), folder / name, workers=workers)
        try:
            workers.check_same({"seed": 0, "index": workers.index})
        except ValueError as error:
            (folder / f"differing{workers.index}.txt").write_text(str(error))
        if workers.index == 1:
            records = _reversed(records, folder / "reversed")
        try:
            config = make_config("adamw", records)
            train(config, folder / "differing", workers=workers)
        except ValueError as error:
            (folder / f"differing_records{workers.index}.txt").write_text(str(error))


def _reversed(records, folder):
    """Writes copies of record files, of the same names and sizes, in another order of faces."""
    import tensorflow as tf

    folder.mkdir(exist_ok=True)
    for path in pathlib.Path(records).glob("*.tfrecord"):
        faces = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        with tf.io.TFRecordWriter(str(folder / path.name)) as writer:
            for face in reversed(faces):
                writer.write(face)
    return folder


if __name__ == "__main__":
    main()
