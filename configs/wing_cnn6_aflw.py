"""CNN-6 with Wing loss on AFLW (19 points), by the paper's recipe.

Paper: Feng et al., Wing Loss, CVPR 2018, section 7. Table row: AFLW-Full, CNN-6, Wing: 1.88 x 1e-2
of the face box's width; with PDB 1.83. As wing_cnn6_300w.py, for 2K = 38 coordinates:

    rate          3e-5 * 38 = 1.14e-3, falling to 1.14e-5
    weight decay  5e-4 / 38 = 1.32e-5
    epochs        960,000 faces of 18,000 (20,000 less a tenth held out): 53

Expected time: not run here, for want of the data.
Command: wing-train --config=configs/wing_cnn6_aflw.py --workdir=RUN --config.data.path=RECORDS
Records: wing-tfrecords write --source=aflw --root=AFLW --output=RECORDS
Judging: wing-evaluate --model=RUN --data=RECORDS --protocol=aflw_full --output=REPORT
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
            "model": {"name": "cnn6", "input_size": 64, "width": 1.0, "weights": ""},
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
                "rotation_deg": 30.0,
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
            "loss": {"name": "wing", "width": 10.0, "curvature": 2.0},
            "optimizer": {
                "name": "sgd",
                "learning_rate": 3e-5 * 38,
                "momentum": 0.9,
                "weight_decay": 5e-4 / 38,
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
            "epochs": 53,
            "output_init": 0.02,
            "init_from": "",
            "precision": "float32",
            "jit_compile": "auto",
            "validation_epochs": 1,
            "checkpoint_epochs": 10,
            "num_images": 8,
        }
    )
