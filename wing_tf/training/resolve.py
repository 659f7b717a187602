"""Completion, checks and resolution of training configs."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import ml_collections

from wing_tf.codecs import DECODERS
from wing_tf.data.augment import Augmentation
from wing_tf.data.records import RecordSet
from wing_tf.losses import COORDINATE_LOSSES, CROSS_ENTROPY_LOSSES, HEATMAP_LOSSES
from wing_tf.losses.cross_entropy import ACTIVATIONS
from wing_tf.losses.weighted_map import MASK_TYPES
from wing_tf.models import HEATMAP_MODELS, MODELS
from wing_tf.training.accelerator import PRECISIONS, plan_execution
from wing_tf.training.config import default_config
from wing_tf.training.optimizer import OPTIMIZERS, SCHEDULES
from wing_tf.training.sigma_schedule import sigma_values
from wing_tf.utils.did_you_mean import did_you_mean

ALL_MODELS: dict[str, Callable] = {**MODELS, **HEATMAP_MODELS}
ALL_LOSSES: dict[str, Callable] = {**COORDINATE_LOSSES, **HEATMAP_LOSSES}

CHOICES: dict[str, Iterable[str]] = {
    "model.name": ALL_MODELS,
    "loss.name": ALL_LOSSES,
    "loss.map": ("", *MASK_TYPES),
    "loss.activation": ACTIVATIONS,
    "heatmap.decoder": DECODERS,
    "optimizer.name": OPTIMIZERS,
    "schedule.name": SCHEDULES,
    "precision": PRECISIONS,
    "jit_compile": ("auto", "on", "off"),
    "balance.use": ("duplicate", "weight"),
}
"""The values that keys may have, by the keys' dotted names."""


def complete_config(config: Mapping) -> ml_collections.ConfigDict:
    """Returns a config with defaults for the keys that it leaves out, after checking it.

    Args:
        config: Nested keys of `wing_tf.training.config.default_config`.

    Raises:
        ValueError: On an unknown key, a wrong type, an invalid value, or a key that does not apply
            to the chosen model, loss, optimizer or schedule and differs from its default.
    """
    complete = default_config()
    _merge(complete, config, "config")
    _check_values(complete)
    _check_combinations(complete)
    _check_applicable(complete)
    if has_boundary(complete) and not complete.heatmap.boundary_sigma:
        # One pixel of the paper's maps of 64 px, the same fraction of the face in all maps.
        complete.heatmap.boundary_sigma = complete.model.input_size / 256
    return complete


def resolve_config(
    config: Mapping, records: RecordSet, num_replicas: int = 1
) -> ml_collections.FrozenConfigDict:
    """Returns the config that a training follows and writes to its run folder.

    The crop margin and the precision, if left to the records and the machine, are decided here.

    Args:
        config: As for `complete_config`.
        records: The training faces.
        num_replicas: Number of devices.

    Raises:
        ValueError: As `complete_config`; if the batches can't be split over the devices, or if
            there are fewer faces than a batch has.
    """
    resolved = complete_config(config)
    if resolved.batch_size > records.num_faces:
        raise ValueError(
            f"config.batch_size={resolved.batch_size} is more than the {records.num_faces} faces."
        )
    if resolved.batch_size % num_replicas:
        raise ValueError(
            f"config.batch_size={resolved.batch_size} must be a multiple of the {num_replicas} "
            "devices."
        )
    resolved.crop_margin = resolved.crop_margin or records.margin
    resolved.precision = plan_execution(resolved).precision
    return ml_collections.FrozenConfigDict(resolved)


def has_boundary(config: ml_collections.ConfigDict) -> bool:
    """Returns whether the config's network emits a boundary map."""
    return "boundary" in model_options(config) and config.model.boundary


def emits_residuals(config: ml_collections.ConfigDict) -> bool:
    """Returns whether the config's network emits residuals besides heatmaps."""
    return "residuals" in model_options(config) and config.model.residuals


def model_options(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns the values of ``config.model`` that the chosen model takes."""
    return _options(config.model, ALL_MODELS)


def loss_options(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns the values of ``config.loss`` that the chosen loss takes."""
    return _options(config.loss, ALL_LOSSES)


def _options(values: ml_collections.ConfigDict, known: Mapping[str, Callable]) -> dict[str, Any]:
    parameters = set(inspect.signature(known[values.name]).parameters) - {"name"}
    return {key: value for key, value in values.items() if key in parameters}


def _merge(target: ml_collections.ConfigDict, source: Mapping, prefix: str) -> None:
    for key, value in source.items():
        if key not in target:
            hint = did_you_mean(f"{prefix}.{key}", [f"{prefix}.{known}" for known in target])
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


def _get(config: ml_collections.ConfigDict, key: str) -> Any:
    for part in key.split("."):
        config = config[part]
    return config


_VALUE_RULES: tuple[tuple[str, Callable[[Any], bool], tuple[str, ...]], ...] = (
    ("at least 1", lambda value: value >= 1, (
        "batch_size", "epochs", "validation_epochs", "checkpoint_epochs", "sigma_schedule.patience",
    )),
    ("at least 0", lambda value: value >= 0, (
        "seed", "output_init", "num_images", "time_limit_minutes", "schedule.warmup_epochs",
        "schedule.final_ratio", "optimizer.weight_decay", "optimizer.clip_norm",
        "optimizer.epsilon", "optimizer.backbone_rate", "optimizer.frozen_epochs",
        "two_stage.simulated_error", "sigma_schedule.spatial_step", "sigma_schedule.temporal_step",
        "sigma_schedule.max_epochs_per_sigma", "residual.theta", "residual.weight",
        "visibility.weight", "heatmap.boundary_sigma",
    )),
    ("at least 16", lambda value: value >= 16, ("two_stage.input_size",)),
    ("positive", lambda value: value > 0, ("optimizer.learning_rate", "heatmap.sigma")),
    ("in [0, 1)", lambda value: 0 <= value < 1, ("optimizer.ema", "optimizer.momentum")),
    ("in [0, 1]", lambda value: 0 <= value <= 1,
     ("label_noise.fraction", "label_noise.distance", "teacher.weight")),
    ("in [1, 4]", lambda value: 1 <= value <= 4, ("two_stage.margin",)),
    ("in [1, 4], or 0 for the margin of the records' crop rule",
     lambda value: value == 0 or 1 <= value <= 4, ("crop_margin",)),
    ("strictly increasing", lambda value: list(value) == sorted(set(value)),
     ("schedule.boundaries",)),
)  # fmt: skip


def _check_values(config: ml_collections.ConfigDict) -> None:
    """Checks each key by itself."""
    for key, known in CHOICES.items():
        value = _get(config, key)
        if value not in known:
            hint = did_you_mean(value, known, cutoff=0.6)
            raise ValueError(
                f"config.{key} must be one of {', '.join(known)}. Received: {value!r}.{hint}"
            )
    for expected, holds, keys in _VALUE_RULES:
        for key in keys:
            if not holds(value := _get(config, key)):
                raise ValueError(f"config.{key} must be {expected}. Received: {value}.")
    Augmentation(**config.augment)
    Augmentation(**config.two_stage.augment)


def _check_combinations(config: ml_collections.ConfigDict) -> None:
    """Checks keys against each other."""
    heatmaps = config.model.name in HEATMAP_MODELS
    if heatmaps != (config.loss.name in HEATMAP_LOSSES):
        raise ValueError(
            f"config.loss.name={config.loss.name!r} is not for {config.model.name}, which emits "
            f"{'heatmaps' if heatmaps else 'landmarks'}: take "
            f"{' or '.join(HEATMAP_LOSSES if heatmaps else COORDINATE_LOSSES)}."
        )
    if config.schedule.name == "exponential" and not config.schedule.final_ratio > 0:
        raise ValueError("config.schedule.final_ratio must be positive for an exponential decay.")
    if config.balance.use == "weight" and not config.balance.path:
        raise ValueError("config.balance.use='weight' needs config.balance.path.")
    if (config.loss.name, config.loss.activation) == ("uce", "sigmoid"):
        raise ValueError(
            "config.loss.activation='sigmoid' leaves uce without a minimum: take bice."
        )
    schedule, sigma = config.sigma_schedule, config.heatmap.sigma
    smallest = sigma - schedule.spatial_step * (config.model.num_stacks - 1)
    if not smallest > 0:
        raise ValueError(
            f"config.sigma_schedule.spatial_step={schedule.spatial_step:g} leaves the last "
            f"hourglass a sigma of {smallest:g}."
        )
    if schedule.temporal_step:
        _check_temporal_schedule(config)


def _check_temporal_schedule(config: ml_collections.ConfigDict) -> None:
    name, schedule, sigma = "config.sigma_schedule", config.sigma_schedule, config.heatmap.sigma
    if schedule.spatial_step:
        raise ValueError(f"{name}: set temporal_step or spatial_step, not both.")
    if not 0 < schedule.final_sigma <= sigma:
        raise ValueError(
            f"{name}.final_sigma must be in (0, {sigma:g}]. Received: {schedule.final_sigma:g}."
        )
    if len(sigma_values(sigma, schedule.temporal_step, schedule.final_sigma)) < 2:
        raise ValueError(
            f"{name}.temporal_step={schedule.temporal_step:g} is larger than the difference of "
            f"heatmap.sigma={sigma:g} and final_sigma={schedule.final_sigma:g}: sigma would never "
            "change."
        )
    if config.heatmap.decoder == "soft_argmax":
        raise ValueError(
            f"config.heatmap.decoder='soft_argmax' has a window that fits one sigma, and "
            f"{name}.temporal_step changes it. Take another decoder."
        )
    if config.validation_epochs != 1 or config.checkpoint_epochs != 1:
        raise ValueError(
            f"{name}.temporal_step needs validation_epochs and checkpoint_epochs of 1."
        )


def _check_applicable(config: ml_collections.ConfigDict) -> None:
    """Refuses values of keys that would have no effect."""
    default = default_config()
    for keys, applies, reason in _applicability(config):
        for key in [] if applies else _leaves(default, keys):
            if (value := _get(config, key)) != (expected := _get(default, key)):
                raise ValueError(
                    f"config.{key} does not apply {reason}: leave it at its default, "
                    f"{expected!r}. Received: {value!r}."
                )


def _leaves(config: ml_collections.ConfigDict, keys: Iterable[str]) -> Iterator[str]:
    """Yields dotted keys, groups of keys expanded."""
    for key in keys:
        value = _get(config, key)
        if isinstance(value, ml_collections.ConfigDict):
            yield from _leaves(config, [f"{key}.{inner}" for inner in value])
        else:
            yield key


def _applicability(config: ml_collections.ConfigDict) -> list[tuple[Iterable[str], object, str]]:
    """Returns keys or groups of keys, whether they apply, and the reason if they don't."""
    parts = ("model", "loss", "optimizer", "schedule")
    model, loss, optimizer, schedule = (config[part] for part in parts)
    sigmas, noise = config.sigma_schedule, config.label_noise
    heatmaps = model.name in HEATMAP_MODELS
    to_model, to_loss, to_optimizer, to_schedule = (f"to the {p} {config[p].name}" for p in parts)
    other_models = [f"model.{key}" for key in model if key not in {"name", *model_options(config)}]
    chosen = {"name", "map", "map_weight", "map_threshold", *loss_options(config)}
    other_losses = [f"loss.{key}" for key in loss if key not in chosen]
    return [
        (other_models, False, to_model),
        (["two_stage"], not heatmaps, to_model),
        (["output_init"], not heatmaps or not config.output_init, f"{to_model} unless it is 0"),
        (["optimizer.backbone_rate", "optimizer.frozen_epochs"], model.name != "smt_net", to_model),
        (["heatmap", "sigma_schedule", "residual", "gradient_checkpointing", "loss.map"],
         heatmaps, f"{to_model}, which emits landmarks"),
        (other_losses, False, to_loss),
        (["model.zero_coordinates"], model.coordinates, "without config.model.coordinates"),
        (["loss.map_weight"], loss.map, "without config.loss.map"),
        (["loss.map_threshold"], loss.map == "dilated", "without config.loss.map='dilated'"),
        (["heatmap.log_error"], loss.name not in CROSS_ENTROPY_LOSSES, to_loss),
        (["heatmap.boundary_sigma"], has_boundary(config), "to a network without a boundary map"),
        (["residual"], emits_residuals(config), f"{to_model} without residuals"),
        (["visibility"], model.visibility, "without config.model.visibility"),
        (["heatmap.sigma", "sigma_schedule.spatial_step", "sigma_schedule.temporal_step"],
         not config.heatmap.legacy, "with config.heatmap.legacy"),
        ([f"sigma_schedule.{key}" for key in ("final_sigma", "patience", "max_epochs_per_sigma")],
         sigmas.temporal_step, "without config.sigma_schedule.temporal_step"),
        (["sigma_schedule.spatial_step"], model_options(config).get("num_stacks", 1) > 1,
         "to a single hourglass"),
        (["gradient_checkpointing"], model.name == "hourglass" and model.num_stacks > 1,
         "to networks other than several hourglasses"),
        (["two_stage"], config.two_stage.first, "without config.two_stage.first"),
        (["optimizer.momentum"], optimizer.name in ("sgd", "rmsprop"), to_optimizer),
        (["optimizer.epsilon"], optimizer.name in ("adamw", "adam"), to_optimizer),
        (["schedule.final_ratio"], schedule.name in ("cosine", "exponential"), to_schedule),
        (["schedule.boundaries", "schedule.factor"], schedule.name == "piecewise", to_schedule),
        (["teacher.weight"], config.teacher.model, "without config.teacher.model"),
        (["label_noise"], not config.teacher.model, "with config.teacher.model"),
        (["label_noise.distance"], noise.fraction, "without config.label_noise.fraction"),
        (["label_noise.fraction"], noise.distance, "without config.label_noise.distance"),
    ]  # fmt: skip
