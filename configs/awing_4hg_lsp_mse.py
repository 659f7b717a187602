"""The squared error for human pose: the twin of awing_4hg_lsp.py.

Paper: Wang, Bo and Li, Adaptive Wing Loss, ICCV 2019, section 7.3: four hourglasses at 256 px,
RMSprop 1e-4 (a tenth from epochs 80 and 160 of 240 on), weight decay 1e-5 as a gradient term,
rotation +-50 degrees, translation +-25 px, scale +-15 %, flips, blur, noise, occlusion.
# The paper is silent: batch size 8; blur, noise and occlusion as strong as below; sigma of the maps
(1.75 heatmap pixels is what the authors' published patch of 7 x 7 has). Maps are drawn at sub-pixel
positions. # Deviates from the paper: there at whole pixels. On CPUs take
awing_small_300w_cpu.py.

Published: PCK@.2, person-centric, 81.8 (table 8); with Adaptive Wing loss 85.9. Not run here.
Command: wing-train --config=configs/awing_4hg_lsp_mse.py --workdir=RUN
--config.data.path=LSP_RECORDS,LSPET_RECORDS
Records: as for awing_4hg_lsp.py
Judging: wing-evaluate --model=RUN --data=LSP_RECORDS --protocol=lsp_pck --output=REPORT
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
                "cache": False,
            },
            "model": {
                "name": "hourglass",
                "input_size": 256,
                "num_stacks": 4,
                "features": 256,
                "depth": 4,
                "boundary": False,
                "coordinates": True,
                "boundary_coordinates": False,
            },
            "heatmap": {
                "sigma": 1.75,
                "decoder": "quarter",
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
            "crop_margin": 1.25,
            "augment": {
                "flip": 0.5,
                "rotation_deg": 50.0,
                "scale": 0.15,
                "translation": 0.1,
                "box_jitter": 0.0,
                "blur": 0.5,
                "blur_sigma_px": 1.0,
                "brightness": 0.0,
                "contrast": 0.0,
                "color": 0.0,
                "noise": 0.05,
                "occlusion": 0.5,
                "occlusion_size": 0.4,
            },
            "loss": {
                "name": "heatmap_mse",
                "alpha": 2.1,
                "omega": 14.0,
                "epsilon": 1.0,
                "theta": 0.5,
                "map": "",
                "map_weight": 10.0,
                "map_threshold": 0.2,
                "activation": "softmax",
            },
            "optimizer": {
                "name": "rmsprop",
                "learning_rate": 1e-4,
                "momentum": 0.0,
                "weight_decay": 1e-5,
                "clip_norm": 0.0,
                "ema": 0.0,
            },
            "schedule": {
                "name": "piecewise",
                "warmup_epochs": 0.0,
                "final_ratio": 0.0,
                "boundaries": (80, 160),
                "factor": 0.1,
            },
            "batch_size": 8,
            "epochs": 240,
            "init_from": "",
            "gradient_checkpointing": False,
            "precision": "auto",
            "jit_compile": "auto",
            "validation_epochs": 1,
            "checkpoint_epochs": 1,
            "num_images": 8,
        }
    )
