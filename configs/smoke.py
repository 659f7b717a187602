"""Two epochs of a CNN-6 on a 32 px input: a check that everything runs.

Not an experiment. Expected: finishes in seconds on synthetic records.
Commands:
  wing-tfrecords write --source=synthetic --num_train=256 --num_test=32 --side=96 --output=RECORDS
  wing-train --config=configs/smoke.py --workdir=RUN --config.data.path=RECORDS
"""

from wing_tf.training.config import default_config


def get_config():
    """Returns the config."""
    config = default_config()
    config.normalizer = "box"
    config.model.input_size = 32
    config.augment.update(
        flip=0.5, rotation_deg=15.0, scale=0.05, translation=0.05, box_jitter=0.05, blur=0.2,
        brightness=0.1, contrast=0.1, color=0.1, noise=0.02, occlusion=0.2,
    )  # fmt: skip
    config.optimizer.update(weight_decay=1e-4, clip_norm=1.0, ema=0.9)
    config.schedule.warmup_epochs = 0.5
    config.batch_size = 16
    config.epochs = 2
    config.num_images = 4
    return config
