"""One hourglass on 300-W in two steps, from a network of rendered faces: the model for research.

Not the paper's recipe, which is awing_4hg.py: one hourglass of 96 channels that starts from the
weights of a face_68 (rendered faces alone), is trained at 128 px ("first") and then at 192 px, with
heatmaps of 32 and 48 px of the same sigma in pixels. A network of convolutions takes inputs of any
size, and a face at 128 px costs less than half of one at 192 px. AdamW, averaged weights.

Measured (2026-11-29, one core of an AMD EPYC beside other jobs, bfloat16; NME on Helen's 330 test
faces, inter-ocular): "first", from the face_68 of 2026-11-26, 26.9 minutes of processor time and
54,240 faces seen: 3.09 % (2.99 to 3.20). Then 16 epochs at 192 px with ema=0.998, 28 minutes of
processor time: 3.01 %. From these, 48 epochs at 192 px, 67 minutes, 86,784 faces seen: validation
NME 3.18 %, test 2.89 % (2.80 to 3.00), median 2.72, FR8 .3 %; averaged with mirrored faces 2.81 %.
That is face_68_300w in packaging. The validation NME fell by only .01 in the last 24 epochs.

Commands (the stored squares must be large enough for 192 px):
  wing-tfrecords write --source=ibug_300w --root=300W --side=384 --output=RECORDS
  wing-train --config=configs/awing_300w_cpu.py:first --workdir=FIRST --config.data.path=RECORDS
    --config.init_from=face_68
  wing-train --config=configs/awing_300w_cpu.py --workdir=SECOND --config.data.path=RECORDS
    --config.init_from=FIRST --config.epochs=16 --config.optimizer.ema=0.998
  wing-train --config=configs/awing_300w_cpu.py --workdir=RUN --config.data.path=RECORDS
    --config.init_from=SECOND
"""

from wing_tf.training.config import choose, default_config

_VARIANTS = {
    "": {},
    "first": {
        "model.input_size": 128,
        "optimizer.learning_rate": 1.5e-3,
        "schedule.final_ratio": 0.2,  # the second step continues from it
        "epochs": 30,
    },
}  # fmt: skip


def get_config(variant=""):
    """Returns the config."""
    config = default_config()
    config.model.update(
        name="hourglass", input_size=192, num_stacks=1, features=96, boundary_coordinates=False
    )
    config.heatmap.sigma = 1.0
    config.augment.update(
        flip=0.5, rotation_deg=30.0, scale=0.1, translation=0.05, box_jitter=0.05, blur=0.2,
        brightness=0.1, contrast=0.2, color=0.1, noise=0.02, occlusion=0.4,
    )  # fmt: skip
    config.loss.update(name="adaptive_wing", map="dilated")
    config.optimizer.update(name="adamw", learning_rate=1e-3, weight_decay=0.01, ema=0.999)
    config.schedule.update(name="cosine", warmup_epochs=0.5)
    config.batch_size = 16
    config.epochs = 48
    config.validation_epochs = config.checkpoint_epochs = 5
    config.update_from_flattened_dict(choose(_VARIANTS, variant))
    return config
