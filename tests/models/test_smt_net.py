import keras
import numpy as np
import pytest
from exported import litert_outputs, noise_image

from wing_tf.codecs import HeatmapCodec
from wing_tf.models import heatmap_localizer, smt_net

SMALL = {
    "features": 8, "inner_features": 16, "depth": 2, "input_size": 64, "residual_features": 12,
}  # fmt: skip


@pytest.mark.slow
def test_shapes_and_parameters_of_the_full_network():
    """Two hourglasses, 512 channels down and 256 up; the paper states no number of parameters."""
    network = smt_net(68)
    assert network.count_params() == 31_203_608
    for stack in network.output:
        assert stack["maps"].shape == (None, 64, 64, 68)
        assert stack["residuals"].shape == (None, 68, 2)
    center = network.get_layer("stack1_center_sum").output
    assert center.shape == (None, 4, 4, 512)
    assert network.get_layer("stack1_top_sum").output.shape == (None, 64, 64, 256)


def test_stem_has_the_papers_layers():
    network = smt_net(5, num_stacks=1, **SMALL)
    stem = [layer.name for layer in network.layers if layer.name.startswith("stem")]
    assert network.get_layer("stem_conv").kernel.shape == (7, 7, 3, 2)
    pool = stem.index("stem_pool")
    before = {name.split("_")[1] for name in stem[:pool]}
    after = {name.split("_")[1] for name in stem[pool + 1 :]}
    assert "block1" in before
    assert after == {"block2", "block3", "block4"}


def test_residuals_can_be_left_out():
    plain = smt_net(5, **SMALL, residuals=False)
    assert [maps.shape for maps in plain.outputs] == [(None, 16, 16, 5)] * 2
    extra = smt_net(5, **SMALL).count_params() - plain.count_params()
    # Each stack: batch norm of 16 channels, 4 x 4 x 16 to 12, 12 to 10.
    assert extra == 2 * (4 * 16 + (4 * 4 * 16 * 12 + 12) + (12 * 10 + 10))


def test_localizer_adds_residuals_to_the_highest_pixel(tmp_path):
    keras.utils.set_random_seed(0)
    codec = HeatmapCodec(input_size=64, heatmap_size=16, decoder="argmax", activation="softmax")
    network = smt_net(5, **SMALL)
    for stack, value in ((1, 9.0), (2, 0.25)):
        layer = network.get_layer(f"stack{stack}_residual_fc2")
        layer.kernel.assign(layer.kernel * 0)
        layer.bias.assign(np.full(10, value))
    whole = heatmap_localizer(network, 5, codec)
    image = noise_image(64, count=3)
    out = {name: np.asarray(value) for name, value in whole(image).items()}
    maps = np.asarray(network(image)[-1]["maps"])
    rows, columns = np.divmod(maps.reshape(3, 256, 5).argmax(axis=1), 16)
    expected = (np.stack([columns, rows], axis=-1) + 0.25 + 0.5) * 4 - 0.5
    np.testing.assert_allclose(out["landmarks"], expected, atol=1e-4)
    weights = np.exp(maps.reshape(3, 256, 5).astype(np.float64))
    # Probability of the peak over that of a Gaussian of sigma 1.5.
    peak = weights.max(axis=1) / weights.sum(axis=1)
    np.testing.assert_allclose(out["scores"], 2 * np.pi * 1.5**2 * peak, rtol=1e-4)
    whole.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")(image)
    np.testing.assert_allclose(again["landmarks"], out["landmarks"], atol=1e-4)


@pytest.mark.slow
def test_litert_equals_keras_with_builtin_operations(tmp_path):
    pytest.importorskip("ai_edge_litert")
    keras.utils.set_random_seed(0)
    codec = HeatmapCodec(input_size=64, heatmap_size=16, decoder="argmax", activation="softmax")
    whole = heatmap_localizer(smt_net(5, **SMALL), 5, codec)
    image = noise_image(64)
    landmarks, scores = litert_outputs(whole, image, tmp_path / "smt_net.tflite")
    expected = whole(image)
    np.testing.assert_allclose(landmarks, expected["landmarks"], atol=0.1)
    np.testing.assert_allclose(scores, expected["scores"], atol=1e-3)


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_stacks": 0},
        {"features": 30},
        {"inner_features": 2},
        {"input_size": 72},
        {"depth": 0},
        {"residual_features": 0},
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}`"):
        smt_net(5, **SMALL | arguments)
