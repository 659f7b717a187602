"""The mobile U-Net on 300-W, from rendered faces and with a teacher: 25 minutes of two cores.

Not a paper's recipe: starts from the network of mobile_unet_synthetic_cpu.py; half of each label is
the prediction of face_68_300w, which must be installed (packaging/face_68_300w). Without a teacher:
--config.teacher.model=

Measured: 1820 faces, 120 epochs at 160 faces a second, 25 minutes of two cores in bfloat16 (Intel
Xeon with AMX, 2026-11-30). Helen test, 330 faces: 3.25 % (3.14 to 3.35), as int8 3.28 %. It is the
network of face_68_300w_fast, trained on records of --side=384.
Command:
  wing-train --config=configs/mobile_unet_300w_cpu.py --workdir=RUN --config.data.path=RECORDS
    --config.init_from=SYNTHETIC
"""

from wing_tf.training.config import default_config


def get_config():
    """Returns the config."""
    config = default_config()
    config.model.update(name="mobile_unet", input_size=128)
    config.teacher.model = "face_68_300w"
    config.heatmap.sigma = 1.0
    config.augment.update(
        flip=0.5, rotation_deg=30.0, scale=0.1, translation=0.05, box_jitter=0.05, blur=0.2,
        brightness=0.1, contrast=0.2, color=0.1, noise=0.02, occlusion=0.4,
    )  # fmt: skip
    config.loss.update(name="adaptive_wing", map="dilated")
    config.optimizer.update(name="adamw", learning_rate=2e-3, weight_decay=0.01, ema=0.998)
    config.schedule.update(name="cosine", warmup_epochs=1.0)
    config.batch_size = 32
    config.epochs = 120
    config.validation_epochs = config.checkpoint_epochs = 10
    return config
