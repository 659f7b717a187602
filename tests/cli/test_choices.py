"""The registries are the only source of the commands' choices and of the documented names."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tfrecords_tools.sources import SOURCES
from wing_tf.codecs import DECODERS
from wing_tf.data.crop_rules import CROP_RULES, get_crop_rule
from wing_tf.detection import DETECTORS
from wing_tf.evaluation.protocols import PROTOCOLS, get_protocol
from wing_tf.export.formats import FORMATS, PRECISIONS
from wing_tf.losses import COORDINATE_LOSSES, HEATMAP_LOSSES
from wing_tf.models import HEATMAP_MODELS, MODELS
from wing_tf.reproduction import TABLES
from wing_tf.reproduction.figures import FIGURES
from wing_tf.reproduction.recipes import RECIPES
from wing_tf.training import accelerator
from wing_tf.training.optimizer import OPTIMIZERS, SCHEDULES
from wing_tf.training.resolve import complete_config

ROOT = pathlib.Path(__file__).parents[2]


def _choices(module):
    """The values of a command's flags that take one of several, in a process without others."""
    script = (
        f"import json, {module} as module; from absl import flags\n"
        "found = flags.FLAGS.get_key_flags_for_module(module.__name__)\n"
        "print(json.dumps({f.name: f.parser.enum_values for f in found"
        " if hasattr(f.parser, 'enum_values')}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, check=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return {name: set(values) for name, values in json.loads(done.stdout).items()}


@pytest.mark.parametrize(
    ("module", "flag", "registry"),
    [
        ("tfrecords_tools.cli", "source", SOURCES),
        ("tfrecords_tools.cli", "crop", CROP_RULES),
        ("wing_tf.cli.export", "format", FORMATS),
        ("wing_tf.cli.export", "precision", PRECISIONS),
        ("wing_tf.cli.predict", "detector", DETECTORS),
        ("wing_tf.cli.reproduce", "table", {*TABLES, "wing_speed", "settle"}),
        ("wing_tf.cli.reproduce", "figure", FIGURES),
        ("wing_tf.cli.reproduce", "recipe", RECIPES["coordinates"]),
    ],
)
def test_flag_takes_exactly_the_registered_names(module, flag, registry):
    assert _choices(module)[flag] == set(registry)


def test_evaluation_takes_registered_detectors():
    assert _choices("wing_tf.cli.evaluate")["detector"] <= set(DETECTORS)


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("model.name", MODELS | HEATMAP_MODELS),
        ("loss.name", COORDINATE_LOSSES | HEATMAP_LOSSES),
        ("heatmap.decoder", DECODERS),
        ("optimizer.name", OPTIMIZERS),
        ("schedule.name", SCHEDULES),
        ("precision", accelerator.PRECISIONS),
    ],
)
def test_config_error_lists_exactly_the_registered_names(key, registry):
    config = "?"
    for part in reversed(key.split(".")):
        config = {part: config}
    with pytest.raises(ValueError, match=f"config.{key} must be one of ") as error:
        complete_config(config)
    listed = str(error.value).partition("one of ")[2].partition(". Received")[0]
    assert listed.split(", ") == list(registry)


@pytest.mark.parametrize(
    ("get", "registry"), [(get_crop_rule, CROP_RULES), (get_protocol, PROTOCOLS)]
)
def test_lookup_error_lists_the_registered_names(get, registry):
    with pytest.raises(ValueError, match="Received") as error:
        get("?")
    assert all(name in str(error.value) for name in registry)


@pytest.mark.parametrize(
    "registry",
    [
        MODELS, HEATMAP_MODELS, COORDINATE_LOSSES, HEATMAP_LOSSES, DECODERS, OPTIMIZERS, SCHEDULES,
        DETECTORS, FORMATS, SOURCES, PROTOCOLS, CROP_RULES, TABLES,
    ],
    ids=lambda registry: next(iter(registry)),
)  # fmt: skip
def test_documentation_names_all_registered(registry):
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    text = "\n".join(page.read_text() for page in pages)
    assert [name for name in registry if name not in text] == []
