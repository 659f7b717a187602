"""Networks that emit the visibility of landmarks."""

import numpy as np
import pytest

from wing_tf.codecs import HeatmapCodec
from wing_tf.model_spec import ModelSpec
from wing_tf.models import (
    HEATMAP_MODELS,
    MODELS,
    cnn6,
    correction,
    heatmap_localizer,
    stacked_hourglass,
    two_stage,
)
from wing_tf.models.saving import load_network, save_network
from wing_tf.models.visibility import visibility_localizer, without_visibility
from wing_tf.training.gradient_checkpointing import CheckpointedStacks
from wing_tf.training.initialization import copy_layers

SMALL = {
    "hourglass": {"num_stacks": 2, "features": 8, "depth": 1},
    "smt_net": {"num_stacks": 2, "features": 8, "inner_features": 8, "depth": 1},
    "mobile_unet": {"width": 0.125},
}
CODEC = HeatmapCodec(input_size=32, heatmap_size=8, sigma=1.0)


def _networks(name, **options):
    """A network as it is trained, and as it is used."""
    if name in MODELS:
        network = MODELS[name](5, input_size=128 if name == "cnn7" else 32, **options)
        return network, visibility_localizer(network)
    network = HEATMAP_MODELS[name](5, input_size=32, **SMALL[name], **options)
    return network, heatmap_localizer(network, 5, CODEC)


@pytest.mark.parametrize("name", [*MODELS, *HEATMAP_MODELS])
def test_every_network_emits_probabilities_of_its_logits(name):
    network, localizer = _networks(name, visibility=True)
    image = np.random.default_rng(0).uniform(0, 255, (2, *network.input_shape[1:]))
    found = localizer(image.astype(np.float32))
    expected = {"landmarks", "visibility"} | ({"scores"} if name in HEATMAP_MODELS else set())
    assert set(found) == expected
    outputs = network(image.astype(np.float32))
    logits = (outputs[-1] if isinstance(outputs, list) else outputs)["visibility"]
    assert logits.dtype == "float32"
    np.testing.assert_allclose(
        found["visibility"], 1 / (1 + np.exp(-np.asarray(logits))), atol=1e-6
    )
    plain, plain_localizer = _networks(name)
    assert "visibility" not in {layer.name for layer in plain_localizer.layers}
    head = [layer for layer in network.layers if layer.name.startswith("visibility")]
    assert network.count_params() - plain.count_params() == sum(x.count_params() for x in head)


def test_saved_localizer_emits_visibility(tmp_path):
    _, localizer = _networks("cnn6", visibility=True)
    path = tmp_path / "network.keras"
    save_network(localizer, path, ModelSpec(scheme="celeba_5", input_size=32, margin=1.2))
    image = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    found = load_network(path)[0](image)
    for name, expected in localizer(image).items():
        np.testing.assert_array_equal(found[name], expected)


@pytest.mark.parametrize("corrects", [False, True])
def test_two_stage_model_emits_the_visibility_of_the_second_stage(corrects):
    second = cnn6(5, input_size=32, width=0.1, visibility=True)
    reference = np.array([[10, 10], [22, 10], [16, 16], [11, 22], [21, 22]], np.float32)
    used = correction(second, reference) if corrects else second
    first = cnn6(5, input_size=32, width=0.1, name="first")
    both = two_stage(
        first, used, reference, input_size=64, margin=1.6, first_margin=1.2, second_margin=1.2
    )
    image = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    second.get_layer("visibility").bias.assign([-20, -20, 0, 20, 20])
    second.get_layer("visibility").kernel.assign(0 * second.get_layer("visibility").kernel)
    found = both(image)
    assert found["landmarks"].shape == (2, 5, 2)
    np.testing.assert_allclose(found["visibility"], [[0, 0, 0.5, 1, 1]] * 2, atol=1e-6)


def test_first_stage_is_used_without_its_visibility():
    _, localizer = _networks("cnn6", visibility=True)
    image = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    landmarks = without_visibility(localizer)(image)
    np.testing.assert_array_equal(landmarks, localizer(image)["landmarks"])
    _, heatmaps = _networks("hourglass", visibility=True)
    assert without_visibility(heatmaps) is heatmaps


def test_recomputed_hourglasses_emit_the_same_visibility():
    network = stacked_hourglass(
        5, num_stacks=3, features=8, depth=1, input_size=32, visibility=True
    )
    image = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    plain, ours = network(image), CheckpointedStacks(network)(image, training=False)
    assert len(plain) == len(ours) == 3
    for name in ("maps", "visibility"):
        np.testing.assert_allclose(ours[-1][name], plain[-1][name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["cnn6", "hourglass"])
def test_visibility_is_added_to_a_trained_network(name):
    """All else is copied, whatever the order of the layers."""
    _, trained = _networks(name)
    network, localizer = _networks(name, visibility=True)
    last = network.output[-1] if isinstance(network.output, list) else network.output
    copied, new = copy_layers(type(network)(network.inputs, last), trained)
    assert {layer.split("_")[0] for layer in new} == {"visibility"}
    image = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    expected = trained(image)
    expected = expected["landmarks"] if isinstance(expected, dict) else expected
    np.testing.assert_allclose(localizer(image)["landmarks"], expected, atol=1e-4)
