"""MobileNetV2 at half width with Wing loss on 300-W: a network for phones, on two CPU cores.

Not a paper's recipe: that of wing_cnn6_300w_cpu.py, with w and epsilon the same fraction of the
image.
844,600 parameters.

Expected: not run whole here.
Command: wing-train --config=configs/wing_mobilenet_300w_cpu.py --workdir=RUN
--config.data.path=RECORDS
"""

from wing_tf.training.config import default_config


def get_config():
    """Returns the config."""
    config = default_config()
    config.model.update(name="mobilenet", input_size=112, width=0.5)
    config.crop_margin = 1.1
    config.augment.update(
        flip=0.5, rotation_deg=20.0, scale=0.05, translation=0.05, box_jitter=0.03, blur=0.2,
        brightness=0.1, contrast=0.2, color=0.1, noise=0.02, occlusion=0.3,
    )  # fmt: skip
    config.loss.update(name="wing", width=17.0, curvature=3.5)
    config.optimizer.update(name="adamw", learning_rate=1e-3, weight_decay=0.01, ema=0.999)
    config.schedule.update(name="cosine", warmup_epochs=1.0)
    config.batch_size = 32
    config.epochs = 430
    config.validation_epochs = config.checkpoint_epochs = 10
    return config
