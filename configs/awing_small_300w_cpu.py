"""A small hourglass with Adaptive Wing loss on 300-W: an hour on two CPU cores.

Not the paper's recipe, which is awing_4hg.py: one hourglass of 128 channels at 128 px, heatmaps of
32 px; AdamW, a cosine schedule, averaged weights; the heatmaps are decoded by DARK.

Measured: Helen test, inter-ocular NME 2.90 % (2.80 to 3.00), median 2.75 %, FR8 0 %, after 98.6
minutes on one core beside other jobs (2026-11-25, AMD EPYC, bfloat16; 57 minutes of both cores),
with --config.heatmap.boundary_sigma=1, twice the width of the boundary map in the paper.
In 16 epochs of two hourglasses of 64 channels, CoordConv costs .1 points of NME (three seeds, table
settle_awing): --config.model.coordinates=False. This recipe was not trained whole without it.
Command:
  wing-train --config=configs/awing_small_300w_cpu.py --workdir=RUN --config.data.path=RECORDS

The variant awing_small_300w_cpu.py:label_noise moves 20 % of the training landmarks by 20 % of the
inter-ocular distance in random directions, without loss map, CoordConv and boundary. Paper: Wang,
Bo and Li, Adaptive Wing Loss, ICCV 2019, table 11: WFLW, four hourglasses, fraction/distance in %
0/0: NME 4.65 %; 10/10: 4.64; 20/20: 4.66; 30/30: 4.86. Not run whole here.
"""

from wing_tf.training.config import choose, default_config

_VARIANTS = {
    "": {},
    "label_noise": {
        "label_noise.fraction": 0.2, "label_noise.distance": 0.2, "loss.map": "",
        "model.boundary": False, "model.coordinates": False,
    },
}  # fmt: skip


def get_config(variant=""):
    """Returns the config."""
    config = default_config()
    config.model.update(
        name="hourglass", input_size=128, num_stacks=1, features=128, boundary_coordinates=False
    )
    config.heatmap.sigma = 1.0
    config.augment.update(
        flip=0.5, rotation_deg=30.0, scale=0.1, translation=0.05, box_jitter=0.05, blur=0.2,
        brightness=0.1, contrast=0.2, color=0.1, noise=0.02, occlusion=0.4,
    )  # fmt: skip
    config.loss.update(name="adaptive_wing", map="dilated")
    config.optimizer.update(name="adamw", learning_rate=2e-3, weight_decay=0.01, ema=0.999)
    config.schedule.update(name="cosine", warmup_epochs=1.0)
    config.batch_size = 16
    config.epochs = 115
    config.validation_epochs = config.checkpoint_epochs = 5
    config.update_from_flattened_dict(choose(_VARIANTS, variant))
    return config
