"""What a training's config may say, with defaults, and its checks.

Files in ``configs/`` write out every key, as a lab note; a config made in code may leave keys out.
"""

import dataclasses
import difflib
import inspect

import ml_collections

from wing_tf.codecs import DECODERS
from wing_tf.data.augment import Augmentation
from wing_tf.losses import COORDINATE_LOSSES, CROSS_ENTROPY_LOSSES, HEATMAP_LOSSES
from wing_tf.losses.cross_entropy import ACTIVATIONS
from wing_tf.losses.weighted_map import MASK_TYPES
from wing_tf.models import HEATMAP_MODELS, MODELS
from wing_tf.training.accelerator import PRECISIONS
from wing_tf.training.sigma_schedule import sigma_values
from wing_tf.utils.did_you_mean import did_you_mean

SCHEDULES = ("cosine", "exponential", "piecewise", "constant")
OPTIMIZERS = ("adamw", "adam", "sgd", "rmsprop")
BALANCE_USES = ("duplicate", "weight")

# What only networks that emit landmarks, or only those that emit heatmaps, have a use for.
LANDMARK_KEYS = (
    "two_stage", "output_init", "optimizer.backbone_rate", "optimizer.frozen_epochs", "loss.width",
    "loss.curvature",
)  # fmt: skip
HEATMAP_KEYS = (
    "heatmap", "sigma_schedule", "residual", "gradient_checkpointing", "loss.activation",
    "loss.alpha", "loss.omega", "loss.epsilon", "loss.theta", "loss.map", "loss.map_weight",
    "loss.map_threshold",
)  # fmt: skip

_NO_AUGMENTATION = dataclasses.asdict(Augmentation())


def default_config() -> ml_collections.ConfigDict:
    """Returns every key with its default."""
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            # Exact repeats of every operation, at the cost of speed.
            "deterministic": False,
            "data": {
                "path": "",  # record folders or globs, separated by commas
                "train_split": "train",
                "validation_split": "validation",
                "cache": True,  # keep decoded squares in memory
            },
            # width multiplies channels. weights, of resnet50 and mobilenet: "", "imagenet", a path.
            "model": {
                "name": "cnn6",
                "input_size": 64,
                "width": 1.0,
                "weights": "",
                # Of hourglass, and some of smt_net: see `wing_tf.models.stacked_hourglass`.
                "num_stacks": 4,
                "features": 256,
                "depth": 4,
                "boundary": True,
                "coordinates": True,
                "boundary_coordinates": True,
                # Of smt_net: see `wing_tf.models.smt_net`.
                "inner_features": 512,
                "residuals": True,
                "residual_features": 256,
            },
            # Of networks that emit heatmaps: see `wing_tf.codecs.HeatmapCodec`; heatmap pixels.
            "heatmap": {
                "sigma": 1.5,
                "decoder": "dark",
                "legacy": False,
                "boundary_sigma": 1.0,
                "log_error": False,  # log the training maps' squared error, all and foreground
            },
            # How heatmap.sigma, the kernel's radius, shrinks; heatmap pixels.
            "sigma_schedule": {
                "spatial_step": 0.0,  # each hourglass's is smaller than the one before's by this
                # In time: see `wing_tf.training.sigma_schedule.SigmaSchedule`.
                "temporal_step": 0.0,  # 0: it stays
                "final_sigma": 1.0,
                "patience": 10,  # epochs without a better validation that end a stage
                "max_epochs_per_sigma": 0,  # the length that ends a stage all the same; 0: none
            },
            # Of networks that emit residuals: see `wing_tf.losses.SubpixelResidualLoss`.
            "residual": {"theta": 0.5, "weight": 1.0},
            # A second stage: `model`, `crop_margin` and `augment` are then the second network's.
            "two_stage": {
                "first": "",  # the trained first stage: a .keras file or run folder; "": one stage
                "input_size": 208,  # of the whole, the context that both crops are cut from
                "margin": 1.6,  # the context's side over the face box's longer side
                "correct": False,  # the first stage's landmarks, instead of beginning anew
                # 0: crops by the first stage; else by the truth with this error, a share of the box
                "simulated_error": 0.0,
                "augment": dict(_NO_AUGMENTATION),  # of the first stage's crops
            },
            "balance": {
                "path": "",  # what `wing-tfrecords balance` has written; "": no balancing
                "use": "duplicate",  # or "weight": faces of rare poses count more in the loss
            },
            "normalizer": "",  # of the validation NME; the scheme's own if empty
            # Landmarks moved on purpose, see `wing_tf.data.label_noise.LabelNoise`.
            "label_noise": {"fraction": 0.0, "distance": 0.0},
            # The crop's side over the face box's longer side; 0: what the records' crop rule says.
            "crop_margin": 1.15,
            "augment": dict(_NO_AUGMENTATION),
            "loss": {
                "name": "wing",
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
                "activation": "softmax",  # of the cross entropies uce and bice: or "sigmoid"
            },
            "optimizer": {
                "name": "adamw",
                "learning_rate": 1e-3,
                "momentum": 0.9,  # sgd and rmsprop
                # adamw: decoupled, times the rate. Others: the papers' L2 decay, a gradient term.
                "weight_decay": 0.0,
                "clip_norm": 0.0,  # of all gradients together; 0: off
                "ema": 0.0,  # decay of the weights' moving average; 0: off
                "backbone_rate": 1.0,  # share of the rate for all but the output layer
                "frozen_epochs": 0.0,  # for how long all but the output layer rests
            },
            "schedule": {
                "name": "cosine",
                "warmup_epochs": 0.0,
                "final_ratio": 0.0,  # last rate over first; cosine and exponential
                "boundaries": (),  # epochs at which "piecewise" multiplies by `factor`
                "factor": 0.1,
            },
            "batch_size": 32,
            "epochs": 100,
            "output_init": 0.02,  # scale of the shape-based output kernel; 0: Keras' default
            "init_from": "",  # a model to start from, also one with another scheme
            # Keep what goes from hourglass to hourglass only, and compute the rest again for the
            # gradients: less memory, a quarter more time.
            "gradient_checkpointing": False,
            # Of activations: "float32", "bfloat16", "float16", or "auto": what the device is
            # fastest in, float16 excepted. Weights and the saved network are always float32.
            "precision": "auto",
            "jit_compile": "auto",  # "auto", "on" or "off"
            "validation_epochs": 1,  # how often the network is judged, and the best one saved
            "checkpoint_epochs": 1,  # how often the state to resume from and images are written
            "num_images": 8,  # validation faces drawn for TensorBoard
        }
    )


def complete_config(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Returns the config with defaults where it is silent, after checking it.

    Raises:
        ValueError: on an unknown key (with a suggestion), a wrong type or an impossible value.
    """
    complete = default_config()
    _merge(complete, config, "config")
    _check(complete)
    return complete


def _merge(target, source, prefix: str) -> None:
    for key, value in source.items():
        if key not in target:
            close = difflib.get_close_matches(key, target.keys(), n=1)
            hint = f" Did you mean {prefix}.{close[0]}?" if close else ""
            raise ValueError(f"Unknown config key {prefix}.{key}.{hint}")
        if isinstance(target[key], ml_collections.ConfigDict):
            if not hasattr(value, "items"):
                raise ValueError(f"{prefix}.{key} must hold keys. Received: {value!r}.")
            _merge(target[key], value, f"{prefix}.{key}")
            continue
        try:
            target[key] = tuple(value) if isinstance(value, list) else value
        except TypeError:
            raise ValueError(
                f"{prefix}.{key} must be of type {type(target[key]).__name__}. Received: {value!r}."
            ) from None


def has_boundary(config: ml_collections.ConfigDict) -> bool:
    """Returns whether the config's network emits a boundary map."""
    options = inspect.signature((MODELS | HEATMAP_MODELS)[config.model.name]).parameters
    return "boundary" in options and config.model.boundary


def emits_residuals(config: ml_collections.ConfigDict) -> bool:
    """Returns whether the config's network emits residuals besides heatmaps."""
    options = inspect.signature((MODELS | HEATMAP_MODELS)[config.model.name]).parameters
    return "residuals" in options and config.model.residuals


def _at(config: ml_collections.ConfigDict, key: str):
    """Returns the value at a key with dots."""
    for part in key.split("."):
        config = config[part]
    return config


def _check(config: ml_collections.ConfigDict) -> None:
    choices = {
        "model.name": MODELS | HEATMAP_MODELS,
        "loss.name": COORDINATE_LOSSES | HEATMAP_LOSSES,
        "loss.map": ("", *MASK_TYPES),
        "loss.activation": ACTIVATIONS,
        "heatmap.decoder": DECODERS,
        "optimizer.name": OPTIMIZERS,
        "schedule.name": SCHEDULES,
        "precision": PRECISIONS,
        "jit_compile": ("auto", "on", "off"),
        "balance.use": BALANCE_USES,
    }
    for key, known in choices.items():
        value = _at(config, key)
        if value not in known:
            hint = did_you_mean(value, known, cutoff=0.6)
            raise ValueError(
                f"config.{key} must be one of {', '.join(known)}. Received: {value!r}.{hint}"
            )
    for key in ("batch_size", "epochs", "validation_epochs", "checkpoint_epochs"):
        if config[key] < 1:
            raise ValueError(f"config.{key} must be at least 1. Received: {config[key]}.")
    if config.crop_margin and not 1.0 <= config.crop_margin <= 4.0:
        raise ValueError(
            "config.crop_margin must be in [1, 4], or 0 for the records' crop rule's own. "
            f"Received: {config.crop_margin}."
        )
    if not config.optimizer.learning_rate > 0:
        raise ValueError(
            "config.optimizer.learning_rate must be positive. "
            f"Received: {config.optimizer.learning_rate}."
        )
    if not 0 <= config.optimizer.ema < 1:
        raise ValueError(
            f"config.optimizer.ema must be in [0, 1). Received: {config.optimizer.ema}."
        )
    for key in (
        "seed", "output_init", "num_images", "schedule.warmup_epochs", "schedule.final_ratio",
        "optimizer.weight_decay", "optimizer.clip_norm", "optimizer.momentum",
        "optimizer.backbone_rate", "optimizer.frozen_epochs", "two_stage.simulated_error",
        "sigma_schedule.spatial_step", "sigma_schedule.temporal_step",
        "sigma_schedule.max_epochs_per_sigma",
        "residual.theta", "residual.weight",
    ):  # fmt: skip
        value = _at(config, key)
        if not value >= 0:
            raise ValueError(f"config.{key} can't be negative. Received: {value}.")
    for key, value in config.label_noise.items():
        if not 0 <= value <= 1:
            raise ValueError(f"config.label_noise.{key} must be in [0, 1]. Received: {value}.")
    if config.optimizer.momentum >= 1:
        raise ValueError(
            f"config.optimizer.momentum must be below 1. Received: {config.optimizer.momentum}."
        )
    boundaries = list(config.schedule.boundaries)
    if boundaries != sorted(set(boundaries)):
        raise ValueError(f"config.schedule.boundaries must rise. Received: {boundaries}.")
    if config.schedule.name == "exponential" and not config.schedule.final_ratio > 0:
        raise ValueError("config.schedule.final_ratio must be positive for an exponential decay.")
    _check_parts(config)
    Augmentation(**config.augment)
    Augmentation(**config.two_stage.augment)


def _check_parts(config: ml_collections.ConfigDict) -> None:
    """Refuses keys that would have no effect, and two-stage settings that make no sense."""
    default = default_config()
    options = inspect.signature((MODELS | HEATMAP_MODELS)[config.model.name]).parameters
    for key, value in config.model.items():
        if value != default.model[key] and key != "name" and key not in options:
            raise ValueError(f"config.model.{key} is not for {config.model.name}.")
    two_stage = config.two_stage
    heatmaps = config.model.name in HEATMAP_MODELS
    if heatmaps != (config.loss.name in HEATMAP_LOSSES):
        raise ValueError(
            f"config.loss.name={config.loss.name!r} is not for {config.model.name}, which emits "
            f"{'heatmaps' if heatmaps else 'landmarks'}: take "
            f"{' or '.join(HEATMAP_LOSSES if heatmaps else COORDINATE_LOSSES)}."
        )
    if heatmaps:
        _check_heatmaps(config, default)
    for key in LANDMARK_KEYS if heatmaps else HEATMAP_KEYS:
        if _at(config, key) != _at(default, key):
            raise ValueError(f"config.{key} is not for {config.model.name}.")
    if not two_stage.first:
        for key in ("correct", "simulated_error"):
            if two_stage[key] != default.two_stage[key]:
                raise ValueError(f"config.two_stage.{key} needs config.two_stage.first.")
    if config.balance.use == "weight" and not config.balance.path:
        raise ValueError("config.balance.use='weight' needs config.balance.path.")
    if not 1.0 <= two_stage.margin <= 4.0:
        raise ValueError(
            f"config.two_stage.margin must be in [1, 4]. Received: {two_stage.margin}."
        )
    if two_stage.input_size < 16:
        raise ValueError(
            f"config.two_stage.input_size must be at least 16. Received: {two_stage.input_size}."
        )


def _check_heatmaps(config: ml_collections.ConfigDict, default: ml_collections.ConfigDict) -> None:
    for key in ("sigma", "boundary_sigma"):
        if not config.heatmap[key] > 0:
            raise ValueError(
                f"config.heatmap.{key} must be positive. Received: {config.heatmap[key]}."
            )
    kernel, sigma = config.sigma_schedule, config.heatmap.sigma
    residuals = emits_residuals(config)
    smallest = sigma - kernel.spatial_step * (config.model.num_stacks - 1)
    if not smallest > 0:
        raise ValueError(
            f"config.sigma_schedule.spatial_step={kernel.spatial_step:g} leaves the last "
            f"hourglass a sigma of {smallest:g}."
        )
    if kernel.temporal_step:
        if kernel.spatial_step:
            raise ValueError("config.sigma_schedule: take temporal_step or spatial_step, not both.")
        if not 0 < kernel.final_sigma <= sigma:
            raise ValueError(
                f"config.sigma_schedule.final_sigma must be in (0, {sigma:g}]. "
                f"Received: {kernel.final_sigma:g}."
            )
        if len(sigma_values(sigma, kernel.temporal_step, kernel.final_sigma)) < 2:
            raise ValueError(
                f"config.sigma_schedule.temporal_step={kernel.temporal_step:g} leaves no radius "
                f"between {sigma:g} and {kernel.final_sigma:g}: nothing would shrink."
            )
        if config.heatmap.decoder == "soft_argmax":
            raise ValueError(
                "config.heatmap.decoder='soft_argmax' has a window of one radius, and "
                "config.sigma_schedule.temporal_step changes it. Take another decoder."
            )
        if kernel.patience < 1:
            raise ValueError(
                f"config.sigma_schedule.patience must be at least 1. Received: {kernel.patience}."
            )
        if config.validation_epochs != 1 or config.checkpoint_epochs != 1:
            raise ValueError(
                "config.sigma_schedule.temporal_step needs validation_epochs and "
                "checkpoint_epochs of 1."
            )
    if (config.loss.name, config.loss.activation) == ("uce", "sigmoid"):
        raise ValueError(
            "config.loss.activation='sigmoid' leaves uce without a minimum: take bice."
        )
    useless = {
        "heatmap.boundary_sigma": not has_boundary(config),
        "sigma_schedule.final_sigma": not kernel.temporal_step,
        "sigma_schedule.patience": not kernel.temporal_step,
        "sigma_schedule.max_epochs_per_sigma": not kernel.temporal_step,
        "sigma_schedule.temporal_step": config.heatmap.legacy,
        "sigma_schedule.spatial_step": config.heatmap.legacy or config.model.num_stacks < 2,
        "residual.theta": not residuals,
        "residual.weight": not residuals,
        "heatmap.log_error": config.loss.name in CROSS_ENTROPY_LOSSES,
        "loss.activation": config.loss.name not in CROSS_ENTROPY_LOSSES,
        "heatmap.sigma": config.heatmap.legacy,
        "loss.map_weight": not config.loss.map,
        "loss.map_threshold": config.loss.map != "dilated",
        "gradient_checkpointing": config.model.num_stacks < 2 or config.model.name != "hourglass",
    }
    for key in ("alpha", "omega", "epsilon", "theta"):
        useless[f"loss.{key}"] = config.loss.name != "adaptive_wing"
    for key, is_useless in useless.items():
        if is_useless and _at(config, key) != _at(default, key):
            raise ValueError(f"config.{key} has no effect here: leave it at its default.")
