"""Networks, losses and codecs under the settings that another project has left in keras.json."""

import contextlib
import functools
import io
import json
import os
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

from wing_tf.models import cnn6, mobilenet
from wing_tf.models.keras_settings import default_keras_settings

# Prints what each part of the package computes from the same weights and inputs, as JSON.
# `names` are those of the networks.
SCRIPT = """
import functools, json, sys
import keras, numpy as np
from keras import ops, tree
from wing_tf import layers, losses, models
from wing_tf.codecs import DECODERS, HeatmapCodec, boundary_map
from wing_tf.metrics.keras_metrics import HeatmapMeanSquaredError

def weigh(network):
    generator = np.random.default_rng(0)
    for weight in network.weights:
        values = generator.normal(0, 0.1, weight.shape)
        weight.assign(0.5 + values**2 if weight.path.endswith("variance") else values)
    return network

def cnn(name):
    return models.cnn6(5, input_size=32, width=0.1, name=name)

reference = np.array([[8.0, 8], [24, 8], [16, 16], [10, 24], [22, 24]])
two_stage = functools.partial(
    models.two_stage, reference_shape=reference, input_size=48, first_margin=1.2, second_margin=1.3
)
small = {"num_stacks": 2, "features": 8, "depth": 1, "input_size": 32}
heatmaps = {"hourglass": small, "smt_net": small | {"inner_features": 8, "residual_features": 8}}
heatmaps["mobile_unet"] = {"width": 0.125, "input_size": 32}
builders = {
    name: functools.partial(model, 5, input_size=64) for name, model in models.MODELS.items()
}
for name, model in models.HEATMAP_MODELS.items():
    builders[name] = functools.partial(model, 5, **heatmaps[name])
builders["two_stage"] = lambda: two_stage(cnn("first"), cnn("second"))
corrected = lambda: two_stage(cnn("first"), models.correction(cnn("second"), reference))
builders["correction"] = corrected
networks = {name: builders[name]() for name in names or builders}
codecs = {d: HeatmapCodec(input_size=32, heatmap_size=8, decoder=d) for d in DECODERS}
for name in [name for name in heatmaps if name in networks]:  # In order: each draws an image.
    networks[f"{name} localizer"] = models.heatmap_localizer(networks[name], 5, codecs["dark"])

generator = np.random.default_rng(1)
computed = {"settings": [keras.config.floatx(), keras.config.image_data_format()]}
for name, network in networks.items():
    weigh(network)
    image = generator.integers(0, 256, (1, *network.input_shape[1:]), np.uint8)
    dtypes = sorted({weight.dtype for weight in network.weights})
    computed[name] = [network.count_params(), dtypes, network(image)]
maps, other_maps = generator.uniform(0, 1, (2, 2, 8, 8, 3))
points, other_points = generator.uniform(1, 9, (2, 2, 3, 2))
for name, loss in losses.COORDINATE_LOSSES.items():
    computed[name] = [loss()(points, other_points, np.ones((2, 3)))]
for name, loss in losses.HEATMAP_LOSSES.items():
    for weighted in (loss(), losses.WeightedLossMap(loss())):
        computed[f"{name} {weighted.name}"] = [weighted(maps, other_maps, np.ones((2, 3)))]
computed["residual"] = [losses.SubpixelResidualLoss()(points, other_points)]
for name, codec in codecs.items():
    encoded, weights = codec.encode(3 * points, np.ones((2, 3)))
    computed[f"decoder {name}"] = [encoded, weights, codec.decode(encoded)]
computed["boundary"] = [boundary_map(points, heatmap_size=8)]
turn = np.array([[[0.8, -0.6, 1.0], [0.6, 0.8, 0.5]]] * 2)
computed["warp"] = [layers.warp_affine(maps, turn, (8, 8))]
computed["blur"] = [layers.gaussian_blur(maps, [0.5, 1.0])]
metric = HeatmapMeanSquaredError(foreground=0.2, dtype="float32")
metric.update_state(maps, other_maps, np.ones((2, 3)))
computed["metric"] = [metric.result()]

def plain(value):
    if isinstance(value, (str, int)):
        return value
    array = ops.convert_to_numpy(value)
    return [str(array.dtype), list(array.shape), array.astype("float64").ravel().tolist()]

print(json.dumps(tree.map_structure(plain, computed)))
"""

# One network of each kind: they share their layers with the others.
KINDS = ("cnn6", "mobilenet", "hourglass", "two_stage")


@functools.cache
def _expected(names):
    """Returns what this process computes, which has the default settings."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(SCRIPT, {"names": names})
    return json.loads(output.getvalue())


@pytest.mark.parametrize(
    ("names", "floatx", "image_data_format", "epsilon"),
    [
        (KINDS, "float16", "channels_first", 1e-2),
        pytest.param((), "float16", "channels_first", 1e-2, marks=pytest.mark.slow),
        pytest.param((), "float64", "channels_last", 1e-12, marks=pytest.mark.slow),
    ],
)
def test_keras_json_changes_nothing(tmp_path, names, floatx, image_data_format, epsilon):
    settings = {"floatx": floatx, "image_data_format": image_data_format, "epsilon": epsilon}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    command = [sys.executable, "-c", f"names = {names}\n{SCRIPT}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    found, expected = json.loads(done.stdout.splitlines()[-1]), _expected(names)
    assert found.pop("settings") == [floatx, image_data_format]
    assert found.keys() == expected.keys() - {"settings"}
    for name, (*kinds, values) in found.items():
        *expected_kinds, expected_values = expected[name]
        assert kinds == expected_kinds, name  # Numbers of parameters, dtypes.
        assert len(values) == len(expected_values)
        keras.tree.map_structure(functools.partial(_check_close, name), values, expected_values)
    assert found["mobilenet"][0] == 1_856_074


def _check_close(name, value, expected_value):
    if isinstance(value, str):
        assert value == expected_value, name
    else:
        np.testing.assert_allclose(value, expected_value, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.fixture
def other_settings():
    """Settings of another project, and a function that tells whether they are in force."""
    keras.config.set_floatx("float16")
    keras.config.set_image_data_format("channels_first")
    yield lambda: (keras.config.floatx(), keras.config.image_data_format()) == (
        "float16", "channels_first",
    )  # fmt: skip
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")


def test_settings_are_restored_after_an_error(other_settings):
    with pytest.raises(ValueError, match="must be positive"):
        cnn6(0)
    assert other_settings()
    with pytest.raises(ValueError, match="`weights` argument"):  # Inside of keras.applications.
        mobilenet(5, input_size=32, weights="missing.weights.h5")
    assert other_settings()


def test_settings_are_restored_when_the_last_thread_has_ended(other_settings):
    with contextlib.ExitStack() as main:
        main.enter_context(default_keras_settings())
        building, ended = threading.Event(), threading.Event()

        def build():
            with default_keras_settings():
                building.set()
                ended.wait()

        thread = threading.Thread(target=build)
        thread.start()
        building.wait()
        main.close()
        assert not other_settings()
        ended.set()
        thread.join()
        assert other_settings()


def test_dtype_policy_of_a_script_applies(other_settings):
    network = cnn6(5, input_size=32, width=0.1)
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = cnn6(5, input_size=32, width=0.1)
    finally:
        keras.config.set_dtype_policy(former)
    assert network.get_layer("conv1").compute_dtype == "bfloat16"
    assert network.get_layer("conv1").kernel.dtype == "float32"
    assert network.get_layer("output").compute_dtype == "float32"
    assert other_settings()
