"""Train a landmark network.

  wing-train --config=configs/wing_cnn6_300w_cpu.py --workdir=RUN --config.data.path=RECORDS

The config is a Python file with get_config(); --config=FILE.py:VARIANT passes it a variant. The
configs of this package are found from any folder, also by name: --config=wing_cnn6_300w_cpu. Any of
its keys can be set from the command line, such as --config.batch_size=64. The run folder gets the
resolved config, metrics.csv, TensorBoard logs, checkpoints/{best,last}.keras and, after the first
validation, validation_images/first.jpg: faces with ground truth and predictions. The same command
on the same folder resumes. --init_from starts from another model, also one of another scheme.
--config.time_limit_minutes=30 trains for as many epochs as fit, with the schedules completed.

On several machines: start the command on each, with TF_CONFIG or by Slurm's srun (docs/scale.md).
"""

import difflib
import pathlib
import sys

import ml_collections
from absl import app, flags
from ml_collections import config_flags

import wing_tf.configs
from wing_tf.cli import common

_CONFIG = config_flags.DEFINE_config_file("config", None, "The config file.", lock_config=True)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "The run folder: new, empty, or of a training to resume."
)
_INIT_FROM = flags.DEFINE_string(
    "init_from",
    None,
    "A .keras file, a run folder (its best model) or the name of a model, whose layers are copied: "
    "--config.init_from.",
)

_WORKER_TIMEOUT = flags.DEFINE_float(
    "worker_timeout",
    600.0,
    "With several workers: seconds without progress after which each ends; longer than the first "
    "step and than a validation.",
    lower_bound=1.0,
)


def main() -> None:
    """Trains by the flags."""
    config = _read_config()
    if _INIT_FROM.value is not None:
        config.init_from = _INIT_FROM.value
    if _WORKDIR.value is None:
        raise app.UsageError("Name the run folder by --workdir=RUN.")

    from wing_tf.training.cluster import join_workers
    from wing_tf.training.run import train

    with join_workers(_WORKER_TIMEOUT.value) as workers:
        train(config, _WORKDIR.value, workers=workers)


def _read_config() -> ml_collections.ConfigDict:
    """Returns the config. TensorFlow is not imported yet."""
    folder = pathlib.Path(wing_tf.configs.__file__).parent
    if _CONFIG.value is None:
        raise app.UsageError(
            "Name a config and a run folder: wing-train --config=FILE.py --workdir=RUN "
            f"--config.data.path=RECORDS. The configs of the papers are in {folder}."
        )
    file = config_flags.get_config_filename(flags.FLAGS["config"])
    path = pathlib.Path(file.partition(":")[0])  # without the variant
    if not path.is_file():
        known = {config.name: config for config in folder.glob("[!_]*.py")}
        near = difflib.get_close_matches(f"{path.stem}.py", known, n=1)
        hint = f"Did you mean {known[near[0]]}?" if near else f"There are configs in {folder}."
        raise ValueError(f"--config: There is no file {path}. {hint}")
    return _CONFIG.value


def own_config(argument: str) -> str:
    """Returns an argument, with the path of a config of the package where --config names one.

    These are ``NAME``, ``NAME.py`` and ``configs/NAME.py``, if there is no such file here.
    """
    flag, _, value = argument.partition("=")
    name, colon, variant = value.partition(":")
    path = pathlib.Path(name)
    own = pathlib.Path(wing_tf.configs.__file__).parent / f"{path.stem}.py"
    is_name = str(path.parent) in (".", "configs") and path.suffix in ("", ".py")
    if flag.lstrip("-") == "config" and is_name and own.is_file() and not path.is_file():
        return f"{flag}={own}{colon}{variant}"
    return argument


def entry() -> None:
    """The console command."""
    sys.argv[1:] = map(own_config, sys.argv[1:])
    common.run(main, __name__)


if __name__ == "__main__":
    entry()
