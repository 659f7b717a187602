"""A small hourglass with Adaptive Wing loss on 300-W: an hour on two CPU cores.

Not the paper's recipe (that is awing_4hg_300w.py): one hourglass of 128 channels at 128 px, maps of
32 px; AdamW, a cosine, averaged weights; the maps decoded by DARK.

Measured: Helen test, inter-ocular NME 2.90 % (2.80 to 3.00), median 2.75 %, FR8 0 %, after 98.6
minutes on one core beside other jobs (2026-11-25, AMD EPYC, bfloat16; 57 minutes of both cores).
Command: wing-train --config=configs/awing_small_300w_cpu.py --workdir=RUN
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
            "model": {
                "name": "hourglass",
                "input_size": 128,
                "num_stacks": 1,
                "features": 128,
                "depth": 4,
                "boundary": True,
                "coordinates": True,
                "boundary_coordinates": False,
            },
            "heatmap": {
                "sigma": 1.0,
                "decoder": "dark",
                "legacy": False,
                "boundary_sigma": 1.0,
                "log_error": False,
            },
            "sigma_schedule": {
                "spatial_step": 0.0,
                "temporal_step": 0.0,
                "final_sigma": 1.0,
                "patience": 10,
                "max_epochs_per_sigma": 0,
            },
            "balance": {"path": "", "use": "duplicate"},
            "normalizer": "",
            "label_noise": {"fraction": 0.0, "distance": 0.0},
            "crop_margin": 1.15,
            "augment": {
                "flip": 0.5,
                "rotation_deg": 30.0,
                "scale": 0.1,
                "translation": 0.05,
                "box_jitter": 0.05,
                "blur": 0.2,
                "blur_sigma_px": 1.0,
                "brightness": 0.1,
                "contrast": 0.2,
                "color": 0.1,
                "noise": 0.02,
                "occlusion": 0.4,
                "occlusion_size": 0.4,
            },
            "loss": {
                "name": "adaptive_wing",
                "alpha": 2.1,
                "omega": 14.0,
                "epsilon": 1.0,
                "theta": 0.5,
                "map": "dilated",
                "map_weight": 10.0,
                "map_threshold": 0.2,
                "activation": "softmax",
            },
            "optimizer": {
                "name": "adamw",
                "learning_rate": 2e-3,
                "momentum": 0.9,
                "weight_decay": 0.01,
                "clip_norm": 0.0,
                "ema": 0.999,
            },
            "schedule": {
                "name": "cosine",
                "warmup_epochs": 1.0,
                "final_ratio": 0.0,
                "boundaries": (),
                "factor": 0.1,
            },
            "batch_size": 16,
            "epochs": 115,
            "init_from": "",
            "gradient_checkpointing": False,
            "precision": "auto",
            "jit_compile": "auto",
            "validation_epochs": 5,
            "checkpoint_epochs": 5,
            "num_images": 8,
        }
    )
