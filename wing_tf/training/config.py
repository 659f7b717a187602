"""The keys of a training's config and their defaults.

Importing this module is cheap: it loads neither TensorFlow nor Keras. Config files start from
`default_config` and set only what an experiment decides. `wing_tf.training.resolve` checks them.
"""

from collections.abc import Mapping
from typing import TypeVar

import ml_collections

T = TypeVar("T")

# As `wing_tf.data.augment.Augmentation`, whose docstring has the units.
_NO_AUGMENTATION = {
    "flip": 0.0,
    "rotation_deg": 0.0,
    "scale": 0.0,
    "translation": 0.0,
    "box_jitter": 0.0,
    "blur": 0.0,
    "blur_sigma_px": 1.0,
    "brightness": 0.0,
    "contrast": 0.0,
    "color": 0.0,
    "noise": 0.0,
    "occlusion": 0.0,
    "occlusion_size": 0.4,
}


def default_config() -> ml_collections.ConfigDict:
    """Returns all keys with their defaults."""
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            # Use deterministic operations, so that a training repeats bit for bit, but slower.
            "deterministic": False,
            "data": {
                "path": "records",  # record folders or globs, separated by commas
                "train_split": "train",
                "validation_split": "validation",
                "cache": True,  # keep decoded squares in memory
            },
            "model": {
                "name": "cnn6",
                "input_size": 64,
                "width": 1.0,  # multiplies the number of channels
                "weights": "",  # of resnet50 and mobilenet: "", "imagenet" or a file
                # Of hourglass, and some of smt_net: see `wing_tf.models.stacked_hourglass`.
                "num_stacks": 4,
                "features": 256,
                "depth": 4,
                "boundary": True,
                "coordinates": True,
                "boundary_coordinates": True,
                "zero_coordinates": False,
                # Of smt_net: see `wing_tf.models.smt_net`.
                "inner_features": 512,
                "residuals": True,
                "residual_features": 256,
                # Of all models: emit how likely each landmark is visible, learned from occluded
                # landmarks of the records.
                "visibility": False,
            },
            # Of networks that emit heatmaps: see `wing_tf.codecs.HeatmapCodec`. In heatmap pixels.
            "heatmap": {
                "sigma": 1.5,
                "decoder": "dark",
                "legacy": False,
                "boundary_sigma": 0.0,  # 0: a 64th of the map's side, as in the paper
                "log_error": False,  # log the squared error of the training heatmaps
            },
            # How heatmap.sigma decreases, in heatmap pixels.
            "sigma_schedule": {
                "spatial_step": 0.0,  # from each hourglass to the next
                # In time: see `wing_tf.training.sigma_schedule.SigmaSchedule`.
                "temporal_step": 0.0,  # 0: sigma is constant in time
                "final_sigma": 1.0,
                "patience": 10,  # epochs without a better validation score before the next sigma
                "max_epochs_per_sigma": 0,  # 0: no limit
            },
            # Of networks that emit residuals: see `wing_tf.losses.SubpixelResidualLoss`.
            "residual": {"theta": 0.5, "weight": 1.0},
            # Weight of the visibility's binary cross entropy.
            "visibility": {"weight": 1.0},
            # For the second stage of a two-stage model: `model`, `crop_margin` and `augment` are
            # then the second network's.
            "two_stage": {
                "first": "",  # the trained first stage: a .keras file or a run folder
                "input_size": 208,  # of the image that both crops are sampled from
                "margin": 1.6,  # its side over the face box's longer side
                "correct": False,  # predict a correction of the first stage's landmarks
                # Crop by ground truth with this error, a fraction of the box's longer side; 0: by
                # the first stage's predictions.
                "simulated_error": 0.0,
                "augment": dict(_NO_AUGMENTATION),  # of the first stage's crops
            },
            "balance": {
                "path": "",  # output of `wing-tfrecords balance`; "": no balancing of poses
                "use": "duplicate",  # repeat faces of rare poses, or "weight" their loss
            },
            "normalizer": "",  # of the validation NME; "": the scheme's default
            # Random shifts of annotations: see `wing_tf.data.label_noise.LabelNoise`.
            "label_noise": {"fraction": 0.0, "distance": 0.0},
            # Distillation: a .keras file, a run folder or a model's name, whose predictions are
            # mixed into the labels: see `wing_tf.training.labels.TeacherLandmarks`.
            "teacher": {"model": "", "weight": 0.5},
            "crop_margin": 1.15,  # crop side over the face box's; 0: as the records' crop rule
            "augment": dict(_NO_AUGMENTATION),
            "loss": {
                "name": "wing",
                # Of wing.
                "width": 10.0,
                "curvature": 2.0,
                # Of adaptive_wing.
                "alpha": 2.1,
                "omega": 14.0,
                "epsilon": 1.0,
                "theta": 0.5,
                # Of heatmap losses, see `wing_tf.losses.WeightedLossMap`: "", "dilated", "heatmap".
                "map": "",
                "map_weight": 10.0,
                "map_threshold": 0.2,
                "activation": "softmax",  # of the cross entropies uce and bice; or "sigmoid"
            },
            "optimizer": {
                "name": "adamw",
                "learning_rate": 1e-3,
                "momentum": 0.9,  # of sgd and rmsprop
                # Of adamw and adam: added to the root of the mean squared gradient, which must be
                # far larger for steps that do not depend on the loss's scale. 0: 1e-7 and 1e-8.
                "epsilon": 0.0,
                # adamw: decoupled, times the rate. Others: an L2 term of the gradient, as in the
                # papers.
                "weight_decay": 0.0,
                "clip_norm": 0.0,  # global norm of the gradients; 0: no clipping
                "ema": 0.0,  # decay of the weights' exponential moving average; 0: no average
                # The backbone's learning rate over the output layer's; 0: it is not trained.
                "backbone_rate": 1.0,
                "frozen_epochs": 0.0,  # epochs before the backbone is trained too
            },
            "schedule": {
                "name": "cosine",
                "warmup_epochs": 0.0,
                "final_ratio": 0.0,  # of cosine and exponential: last rate over first rate
                # Of piecewise: epochs at which the rate is multiplied by `factor`.
                "boundaries": (),
                "factor": 0.1,
            },
            "batch_size": 32,
            "epochs": 100,
            # Train for as many epochs as fit into this time, at most `epochs`, with the schedules
            # completed: see `wing_tf.training.time_limit.TimeLimit`. 0: no limit.
            "time_limit_minutes": 0.0,
            # Scale of the output kernel: shape-based for landmarks, small for heatmaps and
            # residuals. 0: Keras' default.
            "output_init": 0.02,
            # A model whose layers are copied, also one of another scheme: a path or a name.
            "init_from": "",
            # Keep only the activations between hourglasses and recompute the others for the
            # gradients: less memory, 25 % more time.
            "gradient_checkpointing": False,
            # Of activations: "float32", "bfloat16", "float16" or "auto", the fastest of the first
            # two on this device. Weights and saved networks are always float32.
            "precision": "auto",
            # XLA. "auto": on CPUs augmentation and, up to 64 variables, weight update, on GPUs the
            # whole step. "on": the whole step. "off": nothing. On several devices all but what they
            # do together, the sum of the gradients and the weight update.
            "jit_compile": "auto",
            "validation_epochs": 1,  # epochs between validations; the best network is saved
            "checkpoint_epochs": 1,  # epochs between backups for a resume
            "num_images": 8,  # validation faces that are drawn; 0: none
        }
    )


def choose(variants: Mapping[str, T], name: str) -> T:
    """Returns the variant of a config file that ``--config=configs/FILE.py:NAME`` names.

    Raises:
        ValueError: If there is no such variant.
    """
    if name not in variants:
        known = ", ".join(filter(None, variants))
        raise ValueError(f"The config has the variants {known}. Received: {name!r}.")
    return variants[name]
