"""MobileNetV2 at half width with Wing loss on 300-W: a network for phones, on two CPU cores.

No paper's recipe: that of wing_cnn6_300w_cpu.py, with w and epsilon the same share of the image.
844,600 parameters.

Expected: not run whole here.
Command: wing-train --config=configs/wing_mobilenet_300w_cpu.py --workdir=RUN
--config.data.path=RECORDS
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
            "model": {"name": "mobilenet", "input_size": 112, "width": 0.5, "weights": ""},
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
            "crop_margin": 1.1,
            "augment": {
                "flip": 0.5,
                "rotation_deg": 20.0,
                "scale": 0.05,
                "translation": 0.05,
                "box_jitter": 0.03,
                "blur": 0.2,
                "blur_sigma_px": 1.0,
                "brightness": 0.1,
                "contrast": 0.2,
                "color": 0.1,
                "noise": 0.02,
                "occlusion": 0.3,
                "occlusion_size": 0.4,
            },
            "loss": {"name": "wing", "width": 17.0, "curvature": 3.5},
            "optimizer": {
                "name": "adamw",
                "learning_rate": 1e-3,
                "momentum": 0.9,
                "weight_decay": 0.01,
                "clip_norm": 0.0,
                "ema": 0.999,
                "backbone_rate": 1.0,
                "frozen_epochs": 0.0,
            },
            "schedule": {
                "name": "cosine",
                "warmup_epochs": 1.0,
                "final_ratio": 0.0,
                "boundaries": (),
                "factor": 0.1,
            },
            "batch_size": 32,
            "epochs": 430,
            "output_init": 0.02,
            "init_from": "",
            "precision": "auto",
            "jit_compile": "auto",
            "validation_epochs": 10,
            "checkpoint_epochs": 10,
            "num_images": 8,
        }
    )
