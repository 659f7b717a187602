"""Few images of one's own: the network of face_68 for any landmark scheme, eleven minutes.

Not a paper's recipe: the hourglass of awing_synthetic_cpu.py without boundary map, which few
schemes have curves for. All layers start from face_68, and of the output layer the channels of
landmarks that both schemes share; the others are new. The variant finetune_cpu.py:head trains the
output layer alone. What counts is the number of faces seen, epochs times faces: the default is for
100 faces.

Measured by benchmarks/few_images.py (2026-11-30, Xeon with AMX, 8000 faces seen in 3.7 minutes of
one core, means of three draws; NME on Helen's 330 test faces, inter-ocular): from face_68, 25 faces
3.85 %, 100 faces 3.49 %, against 5.80 and 5.39 % from new weights; docs/few_images.md has the rest.

Command:
  wing-train --config=configs/finetune_cpu.py --workdir=RUN --config.data.path=RECORDS
    --config.init_from=face_68
"""

from wing_tf.training.config import choose, default_config

_VARIANTS = {"": {}, "head": {"optimizer.backbone_rate": 0.0}}


def get_config(variant=""):
    """Returns the config."""
    config = default_config()
    config.crop_margin = 1.25
    config.model.update(
        name="hourglass", input_size=128, num_stacks=1, features=96, boundary=False,
        boundary_coordinates=False,
    )  # fmt: skip
    config.heatmap.sigma = 1.0
    config.augment.update(
        flip=0.5, rotation_deg=30.0, scale=0.15, translation=0.08, box_jitter=0.05, blur=0.2,
        brightness=0.1, contrast=0.2, color=0.1, noise=0.02, occlusion=0.4,
    )  # fmt: skip
    config.loss.update(name="adaptive_wing", map="dilated")
    config.optimizer.update(name="adamw", learning_rate=1e-3, weight_decay=0.01, ema=0.99)
    config.schedule.update(name="cosine", warmup_epochs=10.0)
    config.batch_size = 8
    config.epochs = 240
    config.validation_epochs = config.checkpoint_epochs = 20
    config.update_from_flattened_dict(choose(_VARIANTS, variant))
    return config
