"""The configs, and small ones for tests."""

import importlib
import pathlib

import numpy as np

_FOLDER = pathlib.Path(__file__).parents[1] / "configs"
_VARIANTS = {
    "awing_300w_cpu": ("first",),
    "awing_4hg": ("300w_1hg", "wflw", "cofw", "aflw", "lsp", "lsp_mse"),
    "awing_small_300w_cpu": ("label_noise",),
    "finetune_cpu": ("head",),
    "wing_cnn6": ("aflw",),
    "wing_two_stage": ("aflw", "300w_cnn7"),
}
CONFIGS = sorted(path.stem for path in _FOLDER.glob("[!_]*.py"))
CONFIGS += [f"{name}:{variant}" for name, found in _VARIANTS.items() for variant in found]


def load_config(name):
    """The config that `wing-train --config=configs/NAME.py` or `NAME.py:VARIANT` gets."""
    name, _, variant = name.partition(":")
    module = importlib.import_module(f"wing_tf.configs.{name}")
    return module.get_config(variant) if variant else module.get_config()


def untrained_model(path, input_size=64):
    """Saves a CNN-6 for 68 landmarks that emits points around the middle of its input."""
    from wing_tf.model_spec import ModelSpec
    from wing_tf.models import cnn6
    from wing_tf.models.saving import save_network

    network = cnn6(68, input_size=input_size, width=0.1)
    spread = np.random.default_rng(0).uniform(0.2, 0.8, 136)
    network.get_layer("output").bias.assign(spread * input_size)
    save_network(network, path, ModelSpec(scheme="ibug_68", input_size=input_size, margin=1.2))
    return path


def smoke_config(records, **changes):
    """The smoke config with changes, named as on the command line."""
    config = load_config("smoke")
    config.data.path = str(records)
    config.jit_compile = "off"  # compiling takes longer than these trainings
    config.update_from_flattened_dict(changes)
    return config


def smoke_smt(records, **changes):
    """The config of a tiny SMT-Net whose sigma decreases after every epoch, with changes."""
    config = load_config("smt_small_300w_cpu")
    config.data.path = str(records)
    small = {
        "model.input_size": 64, "model.features": 8, "model.inner_features": 16, "model.depth": 1,
        "model.num_stacks": 1, "model.residual_features": 16,
        "normalizer": "box", "epochs": 3, "validation_epochs": 1, "checkpoint_epochs": 1,
        "num_images": 2, "optimizer.ema": 0.9, "heatmap.sigma": 1.5, "jit_compile": "off",
        "sigma_schedule.temporal_step": 0.5,
        "sigma_schedule.final_sigma": 0.5, "sigma_schedule.max_epochs_per_sigma": 1,
    }  # fmt: skip
    config.update_from_flattened_dict(small | changes)
    return config


def smoke_hourglass(records, **changes):
    """The config of two tiny hourglasses with Adaptive Wing loss, with changes."""
    config = load_config("awing_small_300w_cpu")
    config.data.path = str(records)
    small = {
        "model.input_size": 64, "model.features": 16, "model.depth": 1, "model.num_stacks": 2,
        "jit_compile": "off", "model.boundary_coordinates": True, "normalizer": "box", "epochs": 3,
        "validation_epochs": 1, "checkpoint_epochs": 1, "num_images": 2, "optimizer.ema": 0.9,
    }  # fmt: skip
    config.update_from_flattened_dict(small | changes)
    return config
