"""The mobile U-Net with Adaptive Wing loss on synthetic faces alone: 50 minutes of two cores.

Not a paper's recipe: that of awing_synthetic_cpu.py, whose commands render the faces, for a network
with half the parameters of face_68 and an eighth of its multiplications. Larger batches and a
higher learning rate, because the network is small and starts from new weights.

Measured: 46,745 rendered faces, 9 epochs at 140 faces a second, 51 minutes of two cores in bfloat16
(Intel Xeon with AMX, beside light jobs, 2026-11-30). Helen test, 330 faces: 4.43 % (4.29 to 4.58).
It is the network of face_68_fast.
Command:
  wing-train --config=configs/mobile_unet_synthetic_cpu.py --workdir=RUN
    --config.data.path=RECORDS/3001,RECORDS/3002,...,RECORDS/3013
"""

from wing_tf.training.config import default_config


def get_config():
    """Returns the config."""
    config = default_config()
    config.normalizer = "box"
    config.crop_margin = 1.25
    config.model.update(name="mobile_unet", input_size=128)
    config.heatmap.sigma = 1.0
    config.augment.update(
        flip=0.5, rotation_deg=30.0, scale=0.15, translation=0.08, box_jitter=0.05, blur=0.4,
        brightness=0.2, contrast=0.4, color=0.2, noise=0.04, occlusion=0.5,
    )  # fmt: skip
    config.loss.update(name="adaptive_wing", map="dilated")
    config.optimizer.update(name="adamw", learning_rate=3e-3, weight_decay=0.01, ema=0.998)
    config.schedule.update(name="cosine", warmup_epochs=0.2)
    config.batch_size = 32
    config.epochs = 9
    return config
