import dataclasses
import math
import subprocess
import sys

import ml_collections
import numpy as np
import pytest
from experiments import CONFIGS, load_config, untrained_model

from wing_tf.codecs import boundary_map, sample_curves
from wing_tf.data.augment import Augmentation
from wing_tf.data.batches import training_batches
from wing_tf.data.read import read_landmarks
from wing_tf.data.records import open_records
from wing_tf.landmarks import get_scheme
from wing_tf.models import HEATMAP_MODELS
from wing_tf.training.config import default_config
from wing_tf.training.initialization import initialize
from wing_tf.training.resolve import complete_config, resolve_config
from wing_tf.training.tasks import make_task
from wing_tf.training.trainer import make_trainer


@pytest.fixture(scope="module")
def train_records(synthetic_records):
    return open_records(str(synthetic_records), split="train")


def _keys(config, prefix=""):
    keys = set()
    for key, value in config.items():
        is_group = isinstance(value, ml_collections.ConfigDict)
        keys |= _keys(value, f"{prefix}{key}.") if is_group else {prefix + key}
    return keys


# These take half a minute each (hundreds of layers), or are another size of awing_small_300w_cpu.
_DEEP = ("awing_4hg", "awing_300w", "finetune", "wing_resnet50", "wing_mobilenet",
         "mobile_unet_300w")  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name.startswith(_DEEP) else [])
        for name in CONFIGS
    ],
)
def test_every_config_takes_a_step(name, train_records, tmp_path):
    config = load_config(name)
    assert _keys(config) == _keys(default_config())  # each can be set on the command line
    if name.startswith("wing_two_stage") and "cnn7" not in name:
        config.two_stage.first = str(untrained_model(tmp_path / "first.keras"))
    config = complete_config(config)
    config.batch_size = 8
    config.jit_compile = "off"
    config.model.weights = ""  # no download here
    if config.model.name in HEATMAP_MODELS:  # the full ones take minutes here
        small = {"input_size": 64, "depth": 1, "features": 8, "inner_features": 16}
        config.model.update(small | {"num_stacks": min(2, config.model.num_stacks)})
    task = make_task(config, train_records)
    trainer = make_trainer(config, task, 10)
    initialize(config, trainer, train_records)
    batches = training_batches(
        train_records,
        batch_size=config.batch_size,
        num_draws=trainer.augmenter.num_draws,
        seed=0,
        curves=task.boundary_curves,
    )
    output = trainer.network.layers[-1]  # the backbone may be frozen at first
    while not output.weights:
        output = output.input._keras_history.operation
    before = output.get_weights()
    trainer.run_eagerly = True  # tracing takes longer than the step
    history = trainer.fit(batches, steps_per_epoch=1, verbose=0, shuffle=False)
    assert math.isfinite(history.history["loss"][0])
    assert not np.array_equal(before[0], output.get_weights()[0])


def test_unknown_variant_is_refused():
    with pytest.raises(ValueError, match=r"the variants 300w, .*, lsp_mse. Received: 'wlfw'"):
        load_config("awing_4hg:wlfw")


def test_augmentation_defaults_are_those_of_the_augmentation():
    assert default_config().augment.to_dict() == dataclasses.asdict(Augmentation())
    assert default_config().two_stage.augment.to_dict() == dataclasses.asdict(Augmentation())


def test_configs_are_imported_without_tensorflow():
    script = (
        "import sys; from wing_tf.configs.smoke import get_config; get_config();"
        "print([m for m in ('tensorflow', 'keras', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_resolved_config_is_immutable_and_complete(train_records):
    config = {"crop_margin": 0.0, "batch_size": 8}
    resolved = resolve_config(config, train_records, 1)
    assert resolved.crop_margin == train_records.margin
    assert resolved.precision in ("float32", "bfloat16")
    with pytest.raises(AttributeError):
        resolved.batch_size = 4
    assert config == {"crop_margin": 0.0, "batch_size": 8}


_SMT = {"model": {"name": "smt_net"}, "loss": {"name": "bice"}, "heatmap": {"decoder": "argmax"}}
_DECREASING = {**_SMT, "sigma_schedule": {"temporal_step": 0.5, "final_sigma": 0.5}}
_HOURGLASS = {"model": {"name": "hourglass"}, "loss": {"name": "adaptive_wing"}}


@pytest.mark.parametrize(("input_size", "sigma"), [(256, 1.0), (192, 0.75), (128, 0.5)])
def test_boundary_map_is_as_wide_in_small_maps(train_records, input_size, sigma):
    complete = complete_config(
        {**_HOURGLASS, "model": {**_HOURGLASS["model"], "input_size": input_size}}
    )
    assert complete.heatmap.boundary_sigma == sigma
    assert complete_config(complete) == complete
    landmarks, _, boxes = read_landmarks(train_records)
    (x, y, *_), side = boxes[0], np.ptp(boxes[0][[1, 3]])
    curves = get_scheme("ibug_68").boundary_curves
    fractions = []
    for size, width in ((64, 1.0), (input_size // 4, sigma)):
        face = (landmarks[0] - [x, y]) * 0.8 * size / side + 0.1 * size
        samples = sample_curves(face, np.ones(68), curves)[None]
        boundary, _ = boundary_map(samples, heatmap_size=size, sigma=width)
        fractions.append(np.mean(np.asarray(boundary)))
    np.testing.assert_allclose(fractions[1], fractions[0], rtol=0.1)


def test_boundary_sigma_is_kept_if_given():
    given = {**_HOURGLASS, "heatmap": {"boundary_sigma": 0.8}}
    assert complete_config(given).heatmap.boundary_sigma == 0.8
    without = {**_HOURGLASS, "model": {"name": "hourglass", "boundary": False}}
    assert complete_config(without).heatmap.boundary_sigma == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batchsize": 3}, "Unknown config key config.batchsize. Did you mean 'config.batch_size'"),
        ({"loss": {"widht": 3.0}}, "config.loss.widht. Did you mean 'config.loss.width'"),
        ({"loss": {"name": "wings"}}, "Did you mean 'wing'"),
        ({"loss": 3}, "config.loss must hold keys"),
        ({"batch_size": "many"}, "config.batch_size must be of type int"),
        ({"batch_size": 0}, "config.batch_size must be at least 1"),
        ({"crop_margin": 0.5}, "config.crop_margin must be in"),
        ({"optimizer": {"learning_rate": 0.0}}, "must be positive"),
        ({"optimizer": {"ema": 1.0}}, "config.optimizer.ema must be in"),
        ({"augment": {"flip": 2.0}}, "`flip` must be in"),
        ({"schedule": {"name": "exponential"}}, "final_ratio must be positive"),
        ({"schedule": {"boundaries": (8, 4)}}, "boundaries must be strictly increasing"),
        ({"optimizer": {"momentum": 2.0}}, r"momentum must be in \[0, 1\)"),
        ({"optimizer": {"weight_decay": -1.0}}, "weight_decay must be at least 0"),
        ({"seed": -1}, "config.seed must be at least 0"),
        ({"two_stage": {"margin": -1.0}}, "two_stage.margin must be in"),
        ({"two_stage": {"input_size": 0}}, "two_stage.input_size must be at least 16"),
        ({"balance": {"use": "weight"}}, "needs config.balance.path"),
        ({"model": {"name": "hourglass"}}, "'wing' is not for hourglass, which emits heatmaps"),
        ({"loss": {"name": "adaptive_wing"}}, "'adaptive_wing' is not for cnn6"),
        ({**_HOURGLASS, "heatmap": {"decoder": "drk"}}, "Did you mean 'dark'"),
        ({**_HOURGLASS, "heatmap": {"boundary_sigma": -1.0}}, "boundary_sigma must be at least 0"),
        ({**_SMT, "sigma_schedule": {"spatial_step": 1.5}}, "the last hourglass a sigma of -3"),
        ({**_DECREASING, "sigma_schedule": {"temporal_step": 0.5, "spatial_step": 0.2}}, "both"),
        ({**_DECREASING, "sigma_schedule": {"temporal_step": 0.5, "final_sigma": 2.0}}, "0, 1.5]"),
        ({**_DECREASING, "sigma_schedule": {"patience": 0}}, "patience must be at least 1"),
        ({**_DECREASING, "validation_epochs": 2}, "needs validation_epochs"),
        ({**_DECREASING, "sigma_schedule": {"temporal_step": 0.8}}, "sigma would never change"),
        ({**_DECREASING, "heatmap": {"decoder": "soft_argmax"}}, "window that fits one sigma"),
        ({**_SMT, "loss": {"name": "uce", "activation": "sigmoid"}}, "without a minimum"),
    ],
)
def test_invalid_values_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        complete_config(changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"loss": {"name": "l2", "curvature": 3.0}},
            "loss.curvature does not apply to the loss l2",
        ),
        ({"loss": {"theta": 0.4}}, "loss.theta does not apply to the loss wing"),
        (
            {"optimizer": {"momentum": 0.5}},
            "optimizer.momentum does not apply to the optimizer ada",
        ),
        (
            {"schedule": {"boundaries": (4, 8)}},
            "schedule.boundaries does not apply to the schedule",
        ),
        ({"schedule": {"name": "constant", "final_ratio": 0.1}}, "schedule.final_ratio does not"),
        ({"model": {"weights": "imagenet"}}, "model.weights does not apply to the model cnn6"),
        (
            {"model": {"name": "resnet50", "width": 0.5}},
            "width does not apply to the model resnet50",
        ),
        ({"model": {"features": 8}}, "model.features does not apply to the model cnn6"),
        ({"heatmap": {"sigma": 2.0}}, "heatmap.sigma does not apply to the model cnn6"),
        (
            {"sigma_schedule": {"patience": 3}},
            "sigma_schedule.patience does not apply to the model",
        ),
        ({"gradient_checkpointing": True}, "does not apply to the model cnn6"),
        ({"two_stage": {"correct": True}}, "does not apply without config.two_stage.first"),
        (
            {"two_stage": {"augment": {"flip": 0.5}}},
            "two_stage.augment.flip does not apply without",
        ),
        ({"label_noise": {"fraction": 0.2}}, "without config.label_noise.distance"),
        ({**_HOURGLASS, "output_init": 0.1}, "output_init does not apply to the model hourglass"),
        (
            {**_HOURGLASS, "two_stage": {"first": "x"}},
            "two_stage.first does not apply to the model",
        ),
        (
            {**_SMT, "optimizer": {"frozen_epochs": 1.0}},
            "frozen_epochs does not apply to the",
        ),
        ({**_HOURGLASS, "heatmap": {"legacy": True, "sigma": 1.0}}, "heatmap.sigma does not apply"),
        (
            {**_HOURGLASS, "loss": {"name": "heatmap_mse", "theta": 0.4}},
            "loss.theta does not apply",
        ),
        ({**_HOURGLASS, "residual": {"theta": 1.0}}, "residual.theta does not apply"),
        ({**_HOURGLASS, "loss": {"name": "adaptive_wing", "map_weight": 2.0}}, "config.loss.map"),
        ({**_HOURGLASS, "loss": {"name": "adaptive_wing", "activation": "sigmoid"}}, "activation"),
        ({**_HOURGLASS, "sigma_schedule": {"patience": 3}}, "without config.sigma_schedule.temp"),
        ({**_SMT, "gradient_checkpointing": True}, "gradient_checkpointing does not apply"),
        ({**_SMT, "heatmap": {"boundary_sigma": 2.0}}, "network without a boundary map"),
        ({**_SMT, "heatmap": {"log_error": True}}, "heatmap.log_error does not apply to the loss"),
    ],
)
def test_keys_without_effect_are_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        complete_config(changes)
