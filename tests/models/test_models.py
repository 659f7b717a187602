import dataclasses
import tempfile
import zipfile

import keras
import numpy as np
import pytest
from experiments import untrained_model
from full_disk import limited_files

from wing_tf.model_spec import ModelSpec
from wing_tf.models import MODELS, cnn6, cnn7, mobilenet, resnet50
from wing_tf.models.saving import find_network, load_network, save_network
from wing_tf.utils.atomic import WriteError

MODEL_SPEC = ModelSpec(scheme="ibug_68", input_size=64, margin=1.15)


@pytest.mark.parametrize(("landmarks", "parameters"), [(19, 3705702), (68, 3806152), (98, 3867652)])
def test_cnn6_has_the_papers_number_of_parameters(landmarks, parameters):
    assert cnn6(landmarks).count_params() == parameters


@pytest.mark.parametrize(("landmarks", "parameters"), [(19, 8407718), (68, 8508168), (98, 8569668)])
def test_cnn7_has_the_papers_number_of_parameters(landmarks, parameters):
    assert cnn7(landmarks).count_params() == parameters


def test_resnet50_preprocesses_images_as_keras_does(tmp_path):
    keras.utils.set_random_seed(0)
    backbone = keras.applications.ResNet50(
        include_top=False, weights=None, pooling="avg", input_shape=(64, 64, 3)
    )
    backbone.save_weights(tmp_path / "backbone.weights.h5")
    network = resnet50(5, input_size=64, weights=tmp_path / "backbone.weights.h5")
    image = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    features = keras.Model(network.input, network.get_layer("avg_pool").output)(image)
    prepared = keras.applications.resnet.preprocess_input(image.astype(np.float32))
    np.testing.assert_allclose(features, backbone(prepared), rtol=1e-4, atol=1e-4)


def test_number_of_parameters_of_pretrained_backbones():
    assert resnet50(68).count_params() == 23_866_376
    assert mobilenet(68, width=0.5).count_params() == 844_600
    # The head takes every position of the last feature map.
    assert mobilenet(68, input_size=128, width=0.5).get_layer("output").kernel.shape == (
        4 * 4 * 160,
        136,
    )


def test_width_multiplies_the_channels():
    network = cnn7(68, width=0.35)
    filters = [network.get_layer(f"conv{i}").filters for i in range(1, 7)]
    assert filters == [24, 48, 88, 176, 176, 176]  # multiples of 8
    assert network.get_layer("features").units == 360
    assert network.output_shape == (None, 68, 2)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_emits_landmarks_and_is_saved_with_its_spec(name, tmp_path):
    network = MODELS[name](68)
    side = network.input_shape[1]
    image = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
    out = network(image)
    assert out.shape == (2, 68, 2)
    path = tmp_path / "model.keras"
    spec = ModelSpec(scheme="ibug_68", input_size=side, margin=1.2)
    save_network(network, path, spec)
    again, read = load_network(path)
    assert read == spec
    np.testing.assert_array_equal(again(image), out)
    assert list(tmp_path.iterdir()) == [path]
    plain = keras.saving.load_model(path)  # without wing_tf's loader
    np.testing.assert_array_equal(plain(image), out)


def test_float16_files_hold_rounded_weights_that_are_restored_as_float32(tmp_path):
    keras.utils.set_random_seed(0)
    network = cnn6(68, width=0.1)
    kernel, bias = network.get_layer("output").get_weights()
    bias[0] = 1e5  # float16 ends at 65504
    network.get_layer("output").set_weights([kernel, bias])
    whole, half = tmp_path / "whole.keras", tmp_path / "half.keras"
    save_network(network, whole, MODEL_SPEC)
    save_network(network, half, MODEL_SPEC, float16=True)
    assert half.stat().st_size < 0.65 * whole.stat().st_size
    again, spec = load_network(half)
    assert spec == MODEL_SPEC
    plain = keras.saving.load_model(half)  # without wing_tf's loader
    for variable, same, true in zip(again.weights, plain.weights, network.weights, strict=True):
        expected = true.numpy()
        if np.abs(expected).max() < 65504:
            expected = expected.astype(np.float16).astype(np.float32)
        assert variable.dtype == "float32"
        np.testing.assert_array_equal(variable, expected)
        np.testing.assert_array_equal(same, expected)


def test_pooling_before_relu_equals_the_papers_order():
    network = cnn6(4, width=0.1, input_size=32)
    image = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    x = network.get_layer("to_unit_range")(image)
    for stage in range(1, 6):  # convolution, ReLU, pooling
        x = keras.layers.MaxPooling2D(2)(keras.ops.relu(network.get_layer(f"conv{stage}")(x)))
    x = network.get_layer("features")(network.get_layer("flatten")(x))
    x = keras.ops.reshape(network.get_layer("output")(x), (2, 4, 2))
    np.testing.assert_allclose(network(image), x, rtol=1e-5, atol=1e-5)


def test_invalid_sizes_are_refused():
    with pytest.raises(ValueError, match="`input_size` must be at least 32"):
        cnn6(68, input_size=16)
    for backbone in (mobilenet, resnet50):
        with pytest.raises(ValueError, match="`input_size` must be at least 32"):
            backbone(68, input_size=31)
    with pytest.raises(ValueError, match="`num_landmarks` must be positive"):
        cnn6(0)
    with pytest.raises(ValueError, match="`width` must be positive"):
        cnn7(68, width=0)


def test_loading_names_the_fault_of_a_file(tmp_path):
    with pytest.raises(ValueError, match="No model at"):
        find_network(tmp_path)
    text = tmp_path / "text.keras"
    text.write_text("no zip")
    with pytest.raises(ValueError, match="not a .keras file"):
        load_network(text)
    bare = tmp_path / "bare.keras"
    with zipfile.ZipFile(bare, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ValueError, match="no wing_tf model spec"):
        load_network(bare)
    five = tmp_path / "five.keras"
    save_network(cnn6(5), five, dataclasses.replace(MODEL_SPEC, scheme="celeba_5"))
    with pytest.raises(ValueError, match="five.keras must emit"):
        load_network(five, MODEL_SPEC)


@pytest.mark.parametrize(
    ("shape", "spec"),
    [((68, 2), {"input_size": 32}), ((136,), {}), ((68, 2), {"scheme": "wflw_98"})],
)
def test_network_that_could_not_be_loaded_is_not_saved(shape, spec, tmp_path):
    image = keras.Input((64, 64, 3))
    flat = keras.layers.Dense(136)(keras.layers.GlobalAveragePooling2D()(image))
    network = keras.Model(image, keras.layers.Reshape(shape)(flat))
    with pytest.raises(ValueError, match="The network must"):
        save_network(network, tmp_path / "m.keras", dataclasses.replace(MODEL_SPEC, **spec))
    assert not list(tmp_path.iterdir())


def test_model_that_can_not_be_unpacked_is_not_called_damaged(tmp_path, monkeypatch):
    path = untrained_model(tmp_path / "model.keras", 32)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with (
        pytest.raises(WriteError, match=f"^{tmp_path} can't be written: File"),
        limited_files(1000),
    ):
        load_network(path)
