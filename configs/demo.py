"""CNN-6 with Wing loss on 3000 synthetic faces: the training of `wing-demo`.

Not an experiment. Expected: three to five minutes on two cores.
Command: wing-demo
"""

from wing_tf.training.config import default_config


def get_config():
    """Returns the config."""
    config = default_config()
    config.normalizer = "box"  # profile faces have an inter-ocular distance near 0
    config.augment.update(flip=0.5, rotation_deg=15.0, scale=0.05, translation=0.05)
    config.optimizer.update(name="adamw", learning_rate=1e-3, ema=0.99)
    config.schedule.update(name="cosine", warmup_epochs=0.5)
    config.epochs = 24
    return config
