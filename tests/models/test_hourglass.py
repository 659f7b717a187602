import keras
import numpy as np
import pytest
from exported import litert_outputs, noise_image

from wing_tf.codecs import DECODERS, HeatmapCodec
from wing_tf.models import heatmap_localizer, stacked_hourglass

SMALL = {"features": 16, "depth": 2, "input_size": 64}


def _trainable(network):
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_variables)


@pytest.mark.parametrize(
    ("landmarks", "stacks", "parameters"),
    [
        (98, 1, 6_333_603),
        pytest.param(98, 2, 12_273_414, marks=pytest.mark.slow),
        pytest.param(68, 4, 24_099_156, marks=pytest.mark.slow),
    ],
)
def test_number_of_parameters_equals_the_papers(landmarks, stacks, parameters):
    network = stacked_hourglass(landmarks, num_stacks=stacks)
    assert _trainable(network) == parameters
    called = network(np.zeros((1, 256, 256, 3))) if stacks == 1 else None
    assert called is None or called.shape == (1, 64, 64, landmarks + 1)
    assert [maps.shape for maps in network.outputs] == [(None, 64, 64, landmarks + 1)] * stacks


def test_each_module_can_be_left_out():
    full, no_boundary_coordinates, no_boundary, no_coordinates = (
        _trainable(stacked_hourglass(5, num_stacks=2, **SMALL, **options))
        for options in (
            {},
            {"boundary_coordinates": False},
            {"boundary": False, "boundary_coordinates": False},
            {"boundary": False, "coordinates": False, "boundary_coordinates": False},
        )
    )
    # x and y of the boundary as inputs of the second hourglass.
    assert full - no_boundary_coordinates == 2 * 16
    # One heatmap in both heads, and once back into the features.
    assert no_boundary_coordinates - no_boundary == 2 * 17 + 16
    # Three channels into a 7x7 stem of 4, and two 1x1 convolutions of 19 to 16.
    assert no_boundary - no_coordinates == 3 * 49 * 4 + 2 * (19 * 16 + 16)


def test_boundary_heatmap_is_an_input_of_the_next_stack():
    keras.utils.set_random_seed(0)
    network = stacked_hourglass(5, num_stacks=2, **SMALL)
    image = noise_image(64)
    first, second = (np.asarray(maps) for maps in network(image))
    head = network.get_layer("stack1_maps")
    # Only the boundary heatmap is changed, and not through `maps_back`.
    head.bias.assign(np.r_[np.zeros(5), 100.0])
    network.get_layer("stack1_maps_back").kernel.assign(
        network.get_layer("stack1_maps_back").kernel * np.r_[np.ones(5), 0][None, None, :, None]
    )
    moved_first, moved_second = (np.asarray(maps) for maps in network(image))
    np.testing.assert_allclose(moved_first[..., :5], first[..., :5], atol=1e-4)
    assert np.abs(moved_second - second).max() > 1e-3


@pytest.mark.parametrize("decoder", DECODERS)
def test_saved_localizer_emits_landmarks_and_scores(decoder, tmp_path):
    keras.utils.set_random_seed(0)
    codec = HeatmapCodec(input_size=64, heatmap_size=16, decoder=decoder, sigma=1.2)
    network = stacked_hourglass(5, num_stacks=2, **SMALL)
    whole = heatmap_localizer(network, 5, codec)
    image = noise_image(64, count=3)
    out = {name: np.asarray(value) for name, value in whole(image).items()}
    landmarks, scores = codec.decode(network(image)[-1][..., :5])
    np.testing.assert_array_equal(out["landmarks"], landmarks)
    np.testing.assert_array_equal(out["scores"], scores)
    whole.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")(image)
    np.testing.assert_allclose(again["landmarks"], out["landmarks"], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("decoder", DECODERS)
def test_litert_equals_keras_with_builtin_operations(decoder, tmp_path):
    pytest.importorskip("ai_edge_litert")
    keras.utils.set_random_seed(0)
    codec = HeatmapCodec(input_size=64, heatmap_size=16, decoder=decoder)
    whole = heatmap_localizer(stacked_hourglass(5, num_stacks=2, **SMALL), 5, codec)
    image = noise_image(64)
    landmarks, scores = litert_outputs(whole, image, tmp_path / "hourglass.tflite")
    expected = whole(image)
    np.testing.assert_allclose(landmarks, expected["landmarks"], atol=0.1)
    np.testing.assert_allclose(scores, expected["scores"], atol=1e-3)


def test_a_codec_of_another_size_is_refused():
    network = stacked_hourglass(5, num_stacks=1, **SMALL, boundary_coordinates=False)
    fits = {"input_size": 64, "heatmap_size": 16}
    with pytest.raises(ValueError, match="must emit 7 or more maps of 16 x 16"):
        heatmap_localizer(network, 7, HeatmapCodec(**fits))
    with pytest.raises(ValueError, match="must emit 5 or more maps of 32 x 32"):
        heatmap_localizer(network, 5, HeatmapCodec(input_size=64, heatmap_size=32))
    with pytest.raises(ValueError, match="for inputs of 128 pixels"):
        heatmap_localizer(network, 5, HeatmapCodec(input_size=128, heatmap_size=16))


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_stacks": 0},
        {"features": 30},
        {"input_size": 72},
        {"depth": 0},
        {"boundary": False},
        {"coordinates": False},
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}`"):
        stacked_hourglass(5, **SMALL | arguments)
