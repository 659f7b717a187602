"""Runs of the commands, each in a process of its own."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
MODULES = {
    "train": "wing_tf.cli.train",
    "evaluate": "wing_tf.cli.evaluate",
    "predict": "wing_tf.cli.predict",
    "demo": "wing_tf.cli.demo",
    "reproduce": "wing_tf.cli.reproduce",
    "export": "wing_tf.cli.export",
    "tfrecords": "tfrecords_tools.cli",
}


def run_command(name, *arguments):
    return subprocess.run(
        [sys.executable, "-m", MODULES[name], *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
    )


def output_of(name, *arguments):
    """Returns what a command prints that must not fail."""
    done = run_command(name, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def train_smoke(records, run, *flags):
    """Trains for an epoch; returns what is printed. XLA would compile longer than that."""
    return output_of(
        "train", "--config=configs/smoke.py", f"--workdir={run}", f"--config.data.path={records}",
        "--config.epochs=1", "--config.batch_size=8", "--config.jit_compile=off", *flags,
    )  # fmt: skip
