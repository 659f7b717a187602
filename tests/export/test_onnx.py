"""ONNX files compute what the network computes."""

import importlib.util
import sys

import keras
import numpy as np
import pytest

from wing_tf.codecs import HeatmapCodec
from wing_tf.export.deployed_network import deployed_network
from wing_tf.export.onnx import write_onnx
from wing_tf.export.parity import open_onnx
from wing_tf.model_spec import ModelSpec
from wing_tf.models import (
    cnn6,
    correction,
    heatmap_localizer,
    mobilenet,
    resnet50,
    smt_net,
    stacked_hourglass,
    two_stage,
)
from wing_tf.models.two_stage import reference_in_crop

POINTS = 5
REFERENCE = reference_in_crop(np.random.default_rng(0).uniform(0, 1, (POINTS, 2)), 64, 1.2)

needs_onnx = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("tf2onnx", "onnxruntime")),
    reason="ONNX is an extra",
)


def _two_stage(bias=REFERENCE / 2, correct=False):
    first = cnn6(POINTS, input_size=32, width=0.1)
    first.get_layer("output").bias.assign(np.ravel(bias))
    second = cnn6(POINTS, input_size=64, width=0.1, name="second")
    second.get_layer("output").bias.assign(REFERENCE.ravel())
    return two_stage(
        first, correction(second, REFERENCE) if correct else second, REFERENCE,
        input_size=80, first_margin=1.2, second_margin=1.2,
    )  # fmt: skip


def _maps(build, decoder, **arguments):
    network = build(POINTS, num_stacks=1, features=16, depth=2, input_size=64, **arguments)
    codec = HeatmapCodec(input_size=64, heatmap_size=16, decoder=decoder)
    return heatmap_localizer(network, POINTS, codec)


FAST = {
    "cnn6": lambda: cnn6(POINTS, width=0.1),
    # The first stage emits NaN: the centered crop is used, and the output has no NaN.
    "two_stage_nan": lambda: _two_stage(np.full(2 * POINTS, np.nan)),
}
SLOW = {
    "correction": lambda: _two_stage(correct=True),
    "mobilenet": lambda: mobilenet(POINTS, input_size=64, width=0.35),
    "resnet50": lambda: resnet50(POINTS, input_size=64),
    "hourglass": lambda: _maps(stacked_hourglass, "dark"),
    "smt_net": lambda: _maps(smt_net, "argmax", inner_features=16, residual_features=16),
}


def _deployed(build):
    keras.utils.set_random_seed(0)
    network = build()
    side = network.input_shape[1]
    spec = ModelSpec(scheme="ibug_68", input_size=side, margin=1.2)
    return deployed_network(network, spec)


def _crops(deployed, count=3):
    side = deployed.input_shape[1]
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


def _run(path, crops):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape) == (
        "image", "tensor(uint8)", [1, *crops.shape[1:]],
    )  # fmt: skip
    names = [output.name for output in session.get_outputs()]
    found = [session.run(names, {"image": crop[None]}) for crop in crops]
    return dict(zip(names, map(np.concatenate, zip(*found, strict=True)), strict=True))


@needs_onnx
@pytest.mark.parametrize(
    "name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_onnx_equals_keras(name, tmp_path):
    deployed = _deployed((FAST | SLOW)[name])
    crops = _crops(deployed)
    write_onnx(deployed, tmp_path / "m.onnx")
    found = _run(tmp_path / "m.onnx", crops)
    expected = deployed(crops)
    assert set(found) == set(expected)
    assert np.isfinite(found["landmarks"]).all()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("build", [FAST["cnn6"], _two_stage])
def test_lower_precisions_are_smaller_and_close_to_keras(build, tmp_path):
    deployed = _deployed(build)
    crops = _crops(deployed, 8)
    expected = deployed(crops)["landmarks"]
    sizes = {}
    for precision, max_px in {"float32": 1e-3, "float16": 0.05, "dynamic": 1, "int8": 1}.items():
        path = tmp_path / f"{precision}.onnx"
        write_onnx(deployed, path, precision=precision, calibration=crops[:6])
        distance = np.abs(_run(path, crops)["landmarks"] - expected)
        assert distance.max() <= max_px, precision
        sizes[precision] = path.stat().st_size
    assert sizes["float16"] < 0.65 * sizes["float32"]
    assert max(sizes["dynamic"], sizes["int8"]) < 0.7 * sizes["float32"]


@needs_onnx
@pytest.mark.parametrize("precision", ["float32", pytest.param("int8", marks=pytest.mark.slow)])
def test_a_fixed_batch_size_equals_keras(precision, tmp_path):
    deployed = _deployed(FAST["cnn6"])
    crops = _crops(deployed, 5)
    path = tmp_path / "m.onnx"
    write_onnx(deployed, path, precision=precision, calibration=crops, batch_size=2)
    found, scores = open_onnx(path)(crops)
    assert scores is None
    atol = 1e-3 if precision == "float32" else 1
    np.testing.assert_allclose(found, deployed(crops)["landmarks"], atol=atol)


@needs_onnx
def test_wrong_precisions_are_refused(tmp_path):
    deployed = _deployed(FAST["cnn6"])
    with pytest.raises(ValueError, match=r"`precision` must be one of .* Received: 'int4'\."):
        write_onnx(deployed, tmp_path / "m.onnx", precision="int4")
    with pytest.raises(ValueError, match="`calibration` must hold some"):
        write_onnx(deployed, tmp_path / "m.onnx", precision="int8")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["tf2onnx", "onnxruntime"])
def test_a_missing_package_is_named(missing, monkeypatch, tmp_path):
    for name in ("tf2onnx", "onnxruntime"):
        if name == missing:
            monkeypatch.setitem(sys.modules, name, None)  # an import says that it is not there
        elif importlib.util.find_spec(name) is None:
            pytest.skip("ONNX is an extra")
    with pytest.raises(ModuleNotFoundError, match=rf"{missing}: pip install .*\[onnx\]"):
        write_onnx(_deployed(FAST["cnn6"]), tmp_path / "m.onnx")
