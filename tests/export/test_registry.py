"""Export of every registered model in every precision of LiteRT files."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from wing_tf.codecs import HeatmapCodec
from wing_tf.codecs.heatmap import DECODERS
from wing_tf.export.deployed_network import deployed_network
from wing_tf.export.formats import PRECISIONS
from wing_tf.export.litert import write_litert
from wing_tf.export.saved_model import write_saved_model
from wing_tf.inference.litert_backend import LiteRtBackend
from wing_tf.layers import DecodeHeatmaps
from wing_tf.model_spec import ModelSpec
from wing_tf.models import (
    HEATMAP_MODELS,
    MODELS,
    correction,
    heatmap_localizer,
    two_stage,
)
from wing_tf.models.two_stage import reference_in_crop

POINTS = 12
SMALL = {
    "cnn6": {"input_size": 64, "width": 0.25},
    "cnn7": {"input_size": 64, "width": 0.25},
    "mobilenet": {"input_size": 64, "width": 0.35},
    "resnet50": {"input_size": 64},
    "hourglass": {"input_size": 64, "num_stacks": 1, "features": 16, "depth": 2},
    "smt_net": {
        "input_size": 64, "num_stacks": 1, "features": 16, "inner_features": 16, "depth": 2,
        "residual_features": 16,
    },
    "mobile_unet": {"input_size": 64, "width": 0.25},
}  # fmt: skip
NAMES = [*MODELS, *HEATMAP_MODELS, "two_stage", "correction"]

# Maximum mean distance of a landmark, in pixels of 64.
MAX_PX = {"float32": 1e-3, "float16": 0.05, "dynamic": 1.5, "int8": 2.5}
MAX_SIZE = {"float32": 1.05, "float16": 0.62, "dynamic": 0.5, "int8": 0.55}


def build(name):
    """A small network of each kind, always with the same weights."""
    keras.utils.set_random_seed(0)
    if name in MODELS:
        return MODELS[name](POINTS, **SMALL[name])
    if name in HEATMAP_MODELS:
        network = HEATMAP_MODELS[name](POINTS, **SMALL[name])
        codec = HeatmapCodec(input_size=64, heatmap_size=16, decoder="quarter")
        return heatmap_localizer(network, POINTS, codec)
    spread = np.random.default_rng(1).uniform(-0.5, 0.5, (POINTS, 2))
    reference = reference_in_crop(spread, 64, 1.2)
    first = MODELS["cnn6"](POINTS, input_size=32, width=0.25)
    # Valid landmarks, on which the second crop depends.
    first.get_layer("output").bias.assign((reference / 2).ravel())
    second = MODELS["cnn6"](POINTS, input_size=64, width=0.25, name="fine")
    if name == "correction":
        second = correction(second, reference)
    return two_stage(
        first, second, reference, input_size=80, margin=1.6, first_margin=1.2, second_margin=1.2
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_precision_is_close_to_keras(name, tmp_path):
    network = build(name)
    side = network.input_shape[1]
    deployed = deployed_network(network, ModelSpec(scheme="ibug_68", input_size=side, margin=1.1))
    crops = np.random.default_rng(0).integers(0, 256, (4, side, side, 3), np.uint8)
    expected = network(crops.astype(np.float32))
    expected = expected if isinstance(expected, dict) else {"landmarks": expected}
    sizes = {}
    # The layers of the others are among these.
    whole = name in ("cnn6", "mobilenet", "hourglass", "correction")
    for precision in PRECISIONS if whole else ("float32", "int8"):
        path = tmp_path / f"{precision}.tflite"
        write_litert(deployed, path, precision=precision, calibration=crops)
        landmarks, scores = LiteRtBackend(path.read_bytes(), path=path, num_threads=1)(crops)
        distance = np.linalg.norm(landmarks - expected["landmarks"], axis=-1)
        if name not in HEATMAP_MODELS:
            assert scores is None
            assert np.mean(distance) <= MAX_PX[precision], precision
        elif precision in ("float32", "float16"):
            # Rounding selects another one of equal peaks in the heatmaps of untrained networks.
            assert np.quantile(distance, 0.75) <= MAX_PX[precision], precision
            np.testing.assert_allclose(scores, expected["scores"], atol=0.01)
        else:
            assert np.all((landmarks > -8) & (landmarks < 72))
        sizes[precision] = path.stat().st_size
    if name in ("cnn6", "cnn7"):
        for precision, size in sizes.items():
            assert size <= MAX_SIZE[precision] * sizes["float32"], sizes


_WITHOUT_PACKAGE = """
import importlib.abc, sys
import numpy as np
import tensorflow as tf

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("wing_tf", "tfrecords_tools"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
for folder in sys.argv[1:]:
    served = tf.saved_model.load(folder + "/saved_model").signatures["serving_default"]
    out = served(image=np.load(folder + "/crops.npy"))
    np.savez(folder + "/found.npz", **{name: value.numpy() for name, value in out.items()})
"""


@pytest.mark.slow
def test_saved_models_run_without_this_package(tmp_path):
    networks = {name: build(name) for name in NAMES}
    for name, network in networks.items():
        side = network.input_shape[1]
        spec = ModelSpec(scheme="ibug_68", input_size=side, margin=1.1)
        folder = tmp_path / name
        write_saved_model(deployed_network(network, spec), spec, folder / "saved_model")
        crops = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8)
        np.save(folder / "crops.npy", crops)
    run = subprocess.run(
        [sys.executable, "-c", _WITHOUT_PACKAGE, *(tmp_path / name for name in NAMES)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    for name, network in networks.items():
        expected = network(np.load(tmp_path / name / "crops.npy").astype(np.float32))
        expected = expected if isinstance(expected, dict) else {"landmarks": expected}
        found = np.load(tmp_path / name / "found.npz")
        assert set(found) == set(expected)
        distance = np.linalg.norm(found["landmarks"] - expected["landmarks"], axis=-1)
        assert np.quantile(distance, 0.75) < 1e-3, name


def test_all_registered_models_are_tested():
    assert set(SMALL) == set(MODELS) | set(HEATMAP_MODELS)


def test_empty_heatmaps_decode_to_finite_landmarks_in_float16(tmp_path):
    """The decoders' guards against 0 must not become 0 themselves."""
    for decoder in DECODERS:
        maps = keras.Input((16, 16, 2), dtype="uint8", name="image")
        codec = HeatmapCodec(input_size=64, heatmap_size=16, decoder=decoder)
        decode = DecodeHeatmaps(2, codec.get_config())
        landmarks, _ = decode(keras.ops.cast(maps, "float32") - 1.0)
        path = tmp_path / f"{decoder}.tflite"
        write_litert(keras.Model(maps, {"landmarks": landmarks}), path, precision="float16")
        run = LiteRtBackend(path.read_bytes(), path=path, num_threads=1)
        for level in (0, 1):
            landmarks, _ = run(np.full((1, 16, 16, 2), level, np.uint8))
            assert np.all((landmarks >= -2) & (landmarks <= 66)), (decoder, level)
