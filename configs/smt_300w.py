"""SMT-Net on 300-W: the paper's full network, with its sigma that decreases in time.

Paper: Yang et al., Stacked Multi-Target Network for Robust Facial Landmark Localisation, CVPR
Workshops 2019, section 5.3: two hourglasses at 256 px, 512 channels down and 256 up, BICE with
spatial softmax, hinged residuals (theta .5), sigma 4 and delta 1; Adam 1e-2, weight decay 5e-4 as a
gradient term; rotation +-30 degrees, flips, translation +-5 % of the box, scale +-7 %, blur of
sigma 1.
# The paper is unclear: the rate "drops to 1e-4 at epoch 120 and epoch 200", here a tenth at each.
# The paper is silent: the batch size, here 16; when training with one sigma has converged: 100
epochs without a better validation, at most 220, so that sigma 4 is trained at all three rates; the
rate while sigma decreases: the last one, with the loss times the first sigma over the current one,
which keeps the scale of the gradients in Adam's moments; the residuals' weight: 1 beside a cross
entropy that is summed over pixels.
# Deviates from the paper: translation and scale change every face, not every other one. Boxes are
tight landmark boxes as in the paper, times 1.15, or the outline would lie on the border. For CPUs
there is smt_small_300w_cpu.py.

Published: inter-ocular NME 3.89 % on the full test set, 3.44 % common, 5.75 % challenge (table 4).
Not run here.
Command: wing-train --config=configs/smt_300w.py --workdir=RUN --config.data.path=RECORDS
"""

from wing_tf.training.config import default_config


def get_config():
    """Returns the config."""
    config = default_config()
    config.model.update(
        name="smt_net", input_size=256, num_stacks=2, inner_features=512, features=256
    )
    config.heatmap.update(sigma=4.0, decoder="argmax")
    config.sigma_schedule.update(
        temporal_step=1.0, final_sigma=1.0, patience=100, max_epochs_per_sigma=220
    )
    config.residual.update(theta=0.5, weight=1.0)
    config.augment.update(flip=0.5, rotation_deg=30.0, scale=0.07, translation=0.043, blur=0.5)
    config.loss.update(name="bice", activation="softmax")
    config.optimizer.update(name="adam", learning_rate=1e-2, weight_decay=5e-4)
    config.schedule.update(name="piecewise", boundaries=(120, 200))
    config.batch_size = 16
    config.epochs = 880
    return config
