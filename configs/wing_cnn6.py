"""CNN-6 with Wing loss by the paper's recipe, on 300-W and AFLW.

Paper: Feng et al., Wing Loss, CVPR 2018, section 7.1: SGD, momentum .9, weight decay 5e-4, batch 8,
120,000 iterations, rate 3e-5 falling to 3e-7, rotation +-30 degrees, flip, box corners moved by up
to 5 % of the box (.05 / 1.15 = .043 of the crop), Gaussian blur with p = .5. Table rows: CNN-6
alone is not printed for 300-W; AFLW-Full, CNN-6, Wing: 1.88 x 1e-2 of the face box's width, with
PDB 1.83. Nobody has reproduced the paper's 300-W rows in public.

The arithmetic of the conversion. The paper's loss is a sum over the 2K coordinates of a face (136
in 300-W, 38 in AFLW), ours a mean over them (Keras' reduction): our gradients are 2K times smaller.

    rate          3e-5 * 136 = 4.08e-3, falling to 4.08e-5 (final_ratio .01); 3e-5 * 38 = 1.14e-3
    weight decay  5e-4 / 136 = 3.68e-6 (rate times decay, the shrinkage per step, stays 1.5e-8);
                  5e-4 / 38 = 1.32e-5

Weight decay is the coupled kind: a term of the gradient that passes through momentum.

    epochs        120,000 iterations * 8 faces = 960,000 faces. On 300-W's 3148 training faces, less
                  a tenth held out for validation, an epoch has 354 whole batches: 339 epochs. On
                  AFLW 18,000 (20,000 less a tenth): 53 epochs.

# The paper is silent on how the rate falls between its ends (here: exponentially), initialization
(here: He normal), on the crop (here: the tight landmark box as a square, side x 1.15, instead of a
detector's box) and on how the best iteration is chosen (here: held-out training faces).
# Deviates from the paper: the output layer starts from the training shapes (output_init).

Expected time: not run whole here; at some 200 faces/s on two cores more than an hour.
Commands:
  wing-train --config=configs/wing_cnn6.py --workdir=RUN --config.data.path=RECORDS
and for AFLW:
  wing-tfrecords write --source=aflw --root=AFLW --output=RECORDS
  wing-train --config=configs/wing_cnn6.py:aflw --workdir=RUN --config.data.path=RECORDS
  wing-evaluate --model=RUN --data=RECORDS --protocol=aflw_full --output=REPORT
"""

from wing_tf.training.config import choose, default_config


def get_config(variant="300w"):
    """Returns the config."""
    num_landmarks, epochs = choose({"300w": (68, 339), "aflw": (19, 53)}, variant)
    config = default_config()
    config.model.update(name="cnn6", input_size=64)
    config.augment.update(flip=0.5, rotation_deg=30.0, box_jitter=0.043, blur=0.5)
    config.loss.update(name="wing", width=10.0, curvature=2.0)
    config.optimizer.update(
        name="sgd",
        learning_rate=3e-5 * 2 * num_landmarks,
        momentum=0.9,
        weight_decay=5e-4 / (2 * num_landmarks),
    )
    config.schedule.update(name="exponential", final_ratio=0.01)
    config.batch_size = 8
    config.epochs = epochs
    config.precision = "float32"
    config.checkpoint_epochs = 10
    return config
