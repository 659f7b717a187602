"""A whole training against its bare step: the cost of reading, augmenting, validating and saving.

The training is that of `wing-train`, `wing_tf.training.run.train`, on records. The bare step is the
same trainer's ``learn`` on an augmented batch in the same precision, measured twice afterwards, so
that the training starts in a fresh process.

    python benchmarks/train_end_to_end.py --config=configs/wing_cnn6_300w_cpu.py \\
        --config.data.path=RECORDS --config.epochs=60

With for example --config.epochs=1500 --config.batch_size=8 it also shows whether memory use is
constant. The last line, ``ratio:``, is faces per second from the first epoch's end to the last
one's, over those of the bare step.
"""

import collections
import functools
import os
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from ml_collections import config_flags
from turns import rate

from wing_tf.data.batches import training_batches
from wing_tf.data.records import open_records
from wing_tf.training import callbacks, logs
from wing_tf.training.accelerator import plan_execution
from wing_tf.training.resolve import complete_config
from wing_tf.training.run import train
from wing_tf.training.tasks import make_task
from wing_tf.training.trainer import LandmarkTrainer, make_trainer

_CONFIG = config_flags.DEFINE_config_file("config", None, "The config file.", lock_config=True)
_SAMPLES = 10  # of the memory use


class Watch:
    """Measures a training: tracings, time in callbacks, epochs, memory."""

    def __init__(self):
        self.began = time.perf_counter()
        self.traces = 0
        self.seconds = collections.Counter()
        self.first_step = None
        self.epoch_ends = []
        self.resident = []

    def attach(self):
        """Wraps methods of the trainer and the callbacks for the rest of the process."""
        self._wrap(LandmarkTrainer, "learn", self._on_trace)
        for owner in (
            callbacks.StopOnNaN, callbacks.Validation, callbacks.Progress, callbacks.Backup,
            logs.MetricsLog, logs.TensorBoard,
        ):  # fmt: skip
            for hook in (
                "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_epoch_end",
            ):  # fmt: skip
                if getattr(owner, hook) is not getattr(keras.callbacks.Callback, hook):
                    self._wrap(owner, hook, functools.partial(self._on_call, owner.__name__))
        self._wrap(callbacks.Progress, "on_train_batch_end", self._on_step)
        self._wrap(callbacks.Backup, "on_epoch_end", self._on_epoch_end)  # the last callback

    def _wrap(self, owner, name, observe):
        inner = getattr(owner, name)

        @functools.wraps(inner)
        def outer(*args, **kwargs):
            started = time.perf_counter()
            result = inner(*args, **kwargs)
            observe(time.perf_counter() - started)
            return result

        setattr(owner, name, outer)

    def _on_trace(self, seconds):
        self.traces += 1

    def _on_call(self, owner, seconds):
        if self.epoch_ends:
            self.seconds[owner] += seconds

    def _on_step(self, seconds):
        if self.first_step is None:
            self.first_step = time.perf_counter() - self.began

    def _on_epoch_end(self, seconds):
        self.epoch_ends.append(time.perf_counter())
        with open("/proc/self/statm") as file:
            self.resident.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20)


def main(_):
    """Trains, and prints the figures."""
    config = complete_config(_CONFIG.value)
    if config.epochs < 2:
        raise ValueError("At least two epochs are needed: the first one is the warm-up.")
    records = open_records(config.data.path, split=config.data.train_split)
    steps = records.num_faces // config.batch_size
    watch = Watch()
    watch.attach()
    with tempfile.TemporaryDirectory() as folder:
        train(config, folder)
    traces = watch.traces
    first, second = (bare_rate(config, records, steps) for _ in range(2))
    bare = (first + second) / 2
    trained = watch.epoch_ends[-1] - watch.epoch_ends[0]
    faces = (config.epochs - 1) * steps * config.batch_size
    print(
        f"\n{config.model.name} {config.model.input_size} px, batch {config.batch_size}, "
        f"{plan_execution(config).precision}, {os.cpu_count()} cores, "
        f"{config.epochs} epochs of {steps} steps"
    )
    print(f"bare step: {first:.0f}, {second:.0f}, mean {bare:.0f} faces/s")
    print(f"whole training: {faces / trained:.0f} faces/s")
    print(f"start to first step: {watch.first_step:.1f} s, imports excluded")
    print(f"tracings of the step: {traces}")
    print("time in callbacks, fraction of the whole:")
    for owner, seconds in watch.seconds.most_common():
        print(f"  {owner:<12} {100 * seconds / trained:5.2f} %")
    print(f"  together     {100 * sum(watch.seconds.values()) / trained:5.2f} %")
    at = np.unique(np.linspace(0, config.epochs - 1, _SAMPLES).round().astype(int))
    shown = ", ".join(f"{(i + 1) * steps}: {watch.resident[i]:.0f}" for i in at)
    print(f"resident memory, MiB after n steps: {shown}")
    print(f"ratio: {faces / trained / bare:.3f}")


def bare_rate(config, records, steps: int, seconds: float = 8.0) -> float:
    """Returns faces per second of the trainer's step on an augmented batch."""
    task = make_task(config, records)
    trainer = make_trainer(config, task, steps)
    batches = training_batches(
        records, batch_size=config.batch_size, num_draws=trainer.augmenter.num_draws,
        seed=config.seed, ratio=task.decode_ratio, cache=False,
    )  # fmt: skip
    batch = trainer.augmenter(next(iter(batches)))
    step = tf.function(
        lambda: trainer.learn(batch), jit_compile=plan_execution(config).compile_step or None
    )
    return rate(step, config.batch_size, seconds)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main)
