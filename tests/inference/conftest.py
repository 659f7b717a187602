"""Exported files of small networks that have learnt nothing, and the networks they come from."""

import json

import keras
import numpy as np
import pytest

from wing_tf.codecs import HeatmapCodec
from wing_tf.export.deployed_network import deployed_network
from wing_tf.export.exported_spec import exported_spec
from wing_tf.export.litert import write_litert
from wing_tf.model_spec import ModelSpec
from wing_tf.models import cnn6, heatmap_localizer, two_stage
from wing_tf.models.two_stage import reference_in_crop
from wing_tf.models.visibility import visibility_localizer
from wing_tf.utils.zip_files import attach_files


def _export(network, spec, path, precision="float32", batch_size=1):
    deployed = deployed_network(network, spec)
    write_litert(deployed, path, precision=precision, batch_size=batch_size)
    facts = exported_spec(
        deployed, spec, format="litert", precision=precision, batch_size=batch_size
    )
    attach_files(path, {"model_spec.json": json.dumps(facts), "model_card.md": "# A card\n"})
    return path


@pytest.fixture(scope="session")
def export():
    """A function of network, model spec, path: writes a file, returns its path."""
    return _export


def _plain():
    spec = ModelSpec(scheme="ibug_68", input_size=64, margin=1.2, trained_boxes=["landmark"])
    network = cnn6(68, input_size=64, width=0.25)
    spread = np.random.default_rng(0).uniform(10, 54, 136)
    network.get_layer("output").bias.assign(spread)  # landmarks all over the crop
    return network, spec


def _two_stage():
    reference = reference_in_crop(np.random.default_rng(0).uniform(0, 1, (5, 2)), 128, 1.2)
    first, second = cnn6(5, width=0.1), cnn6(5, width=0.1, input_size=128, name="second")
    first.get_layer("output").bias.assign(reference.ravel() / 2)
    second.get_layer("output").bias.assign(reference.ravel())
    network = two_stage(first, second, reference, first_margin=1.2, second_margin=1.2)
    return network, ModelSpec(scheme="celeba_5", input_size=208, margin=1.6)


def _heatmaps():
    image = keras.Input((64, 64, 3))
    maps = keras.layers.Conv2D(5, 9, strides=4, padding="same")(image / 255)
    codec = HeatmapCodec(input_size=64, heatmap_size=16, sigma=1.2)
    network = heatmap_localizer(keras.Model(image, maps), 5, codec)
    return network, ModelSpec(scheme="celeba_5", input_size=64, margin=1.3, square=False)


def _visibility():
    network = cnn6(5, width=0.1, visibility=True)
    network.get_layer("output").bias.assign(np.random.default_rng(0).uniform(10, 54, 10))
    network.get_layer("visibility").bias.assign([-2, -1, 0, 1, 2])
    return visibility_localizer(network), ModelSpec(scheme="celeba_5", input_size=64, margin=1.2)


BUILDERS = {
    "visibility": _visibility,
    "plain": _plain,
    "two-stage": _two_stage,
    "heatmaps": _heatmaps,
}


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A function from a name to (network, model spec, file), each made once."""
    made = {}

    def get(name):
        if name not in made:
            keras.utils.set_random_seed(0)
            network, spec = BUILDERS[name]()
            path = tmp_path_factory.mktemp("exported") / "model.tflite"
            made[name] = (network, spec, _export(network, spec, path))
        return made[name]

    return get


@pytest.fixture(scope="session")
def frame():
    """An image of 320 x 240 with something at every scale, and three boxes; one leaves it."""
    rows, columns = np.mgrid[:240, :320]
    waves = [127 + 120 * np.sin(rows / a) * np.cos(columns / b) for a, b in
             ((9, 14), (23, 17), (40, 31))]  # fmt: skip
    image = np.stack(waves, axis=-1).astype(np.uint8)
    boxes = np.array([[60.4, 40.1, 200.9, 190.3], [10.0, 12.5, 60.2, 71.0], [250.3, 150, 330, 250]])
    return image, boxes
