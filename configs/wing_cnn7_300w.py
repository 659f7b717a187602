"""CNN-7 with Wing loss on 300-W: the second network of the paper's two, by itself.

Paper: Feng et al., Wing Loss, CVPR 2018, section 7: as wing_cnn6_300w.py, but 128 px, rotation
+-10 degrees, w = 15 and epsilon = 3, rate 1e-5 falling to 1e-7. No table has CNN-7 alone; as the
second stage it is in wing_two_stage_300w.py. The arithmetic of the conversion and what the paper is
silent on are in wing_cnn6_300w.py.

    rate          1e-5 * 136 = 1.36e-3, falling to 1.36e-5
    weight decay  5e-4 / 136 = 3.68e-6

Expected time: not run whole here; hours on two cores, meant for a GPU.
Command: wing-train --config=configs/wing_cnn7_300w.py --workdir=RUN --config.data.path=RECORDS
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """Returns the config."""
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            "deterministic": False,
            "data": {
                "path": "records",
                "train_split": "train",
                "validation_split": "validation",
                "cache": True,
            },
            "model": {"name": "cnn7", "input_size": 128, "width": 1.0, "weights": ""},
            "two_stage": {
                "first": "",
                "input_size": 208,
                "margin": 1.6,
                "correct": False,
                "simulated_error": 0.0,
                "augment": {},
            },
            "balance": {"path": "", "use": "duplicate"},
            "normalizer": "",
            "label_noise": {"fraction": 0.0, "distance": 0.0},
            "crop_margin": 1.15,
            "augment": {
                "flip": 0.5,
                "rotation_deg": 10.0,
                "scale": 0.0,
                "translation": 0.0,
                "box_jitter": 0.05,
                "blur": 0.5,
                "blur_sigma_px": 1.0,
                "brightness": 0.0,
                "contrast": 0.0,
                "color": 0.0,
                "noise": 0.0,
                "occlusion": 0.0,
                "occlusion_size": 0.4,
            },
            "loss": {"name": "wing", "width": 15.0, "curvature": 3.0},
            "optimizer": {
                "name": "sgd",
                "learning_rate": 1e-5 * 136,
                "momentum": 0.9,
                "weight_decay": 5e-4 / 136,
                "clip_norm": 0.0,
                "ema": 0.0,
                "backbone_rate": 1.0,
                "frozen_epochs": 0.0,
            },
            "schedule": {
                "name": "exponential",
                "warmup_epochs": 0.0,
                "final_ratio": 0.01,
                "boundaries": (),
                "factor": 0.1,
            },
            "batch_size": 8,
            "epochs": 339,
            "output_init": 0.02,
            "init_from": "",
            "precision": "float32",
            "jit_compile": "auto",
            "validation_epochs": 1,
            "checkpoint_epochs": 10,
            "num_images": 8,
        }
    )
