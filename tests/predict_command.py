"""Runs of wing-predict in a process of its own, and their results."""

import csv
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
ENVIRONMENT = {
    key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")
} | {"PYTHONPATH": str(ROOT)}


def predict(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "wing_tf.cli.predict", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
    )


def read_rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def error_line(done):
    """The one line that a command ends with."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("error: ")
    return line
