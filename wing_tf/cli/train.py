"""Train a landmark network.

  wing-train --config=configs/wing_cnn6_300w_cpu.py --workdir=RUN --config.data.path=RECORDS

The config is a Python file with get_config(); --config=FILE.py:VARIANT passes it a variant. Any of
its keys can be set from the command line, such as --config.batch_size=64. The run folder gets the
resolved config, metrics.csv, TensorBoard logs and checkpoints/{best,last}.keras. The same command
on the same folder resumes.
"""

from absl import flags
from ml_collections import config_flags

from wing_tf.cli import common

_CONFIG = config_flags.DEFINE_config_file("config", None, "The config file.", lock_config=True)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "The run folder: new, empty, or of a training to resume.", required=True
)


def main() -> None:
    """Trains by the flags."""
    config = _CONFIG.value
    config.keys()  # raises if the file could not be loaded, before TensorFlow is imported

    from wing_tf.training.run import train

    train(config, _WORKDIR.value)


def entry() -> None:
    """The console command."""
    flags.mark_flag_as_required("config")
    common.run(main, __name__)


if __name__ == "__main__":
    entry()
