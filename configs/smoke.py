"""Two epochs of a CNN-6 on a 32 px input: does everything run?

Not an experiment. Expected: finishes in seconds on synthetic records.

Commands:
  wing-tfrecords write --source=synthetic --num_train=256 --num_test=32 --side=96 --output=RECORDS
  wing-train --config=configs/smoke.py --workdir=RUN --config.data.path=RECORDS
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
            "model": {"name": "cnn6", "input_size": 32, "width": 1.0, "weights": ""},
            "two_stage": {
                "first": "",
                "input_size": 208,
                "margin": 1.6,
                "correct": False,
                "simulated_error": 0.0,
                "augment": {},
            },
            "balance": {"path": "", "use": "duplicate"},
            "normalizer": "box",
            "label_noise": {"fraction": 0.0, "distance": 0.0},
            "crop_margin": 1.15,
            "augment": {
                "flip": 0.5,
                "rotation_deg": 15.0,
                "scale": 0.05,
                "translation": 0.05,
                "box_jitter": 0.05,
                "blur": 0.2,
                "blur_sigma_px": 1.0,
                "brightness": 0.1,
                "contrast": 0.1,
                "color": 0.1,
                "noise": 0.02,
                "occlusion": 0.2,
                "occlusion_size": 0.4,
            },
            "loss": {"name": "wing", "width": 10.0, "curvature": 2.0},
            "optimizer": {
                "name": "adamw",
                "learning_rate": 1e-3,
                "momentum": 0.9,
                "weight_decay": 1e-4,
                "clip_norm": 1.0,
                "ema": 0.9,
                "backbone_rate": 1.0,
                "frozen_epochs": 0.0,
            },
            "schedule": {
                "name": "cosine",
                "warmup_epochs": 0.5,
                "final_ratio": 0.0,
                "boundaries": (),
                "factor": 0.1,
            },
            "batch_size": 16,
            "epochs": 2,
            "output_init": 0.02,
            "init_from": "",
            "precision": "auto",
            "jit_compile": "auto",
            "validation_epochs": 1,
            "checkpoint_epochs": 1,
            "num_images": 4,
        }
    )
