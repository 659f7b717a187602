import keras
import numpy as np
import pytest

from wing_tf.codecs import DECODERS, HeatmapCodec
from wing_tf.layers import DecodeHeatmaps

LIMIT = {"quarter": 0.2501, "dark": 0.002, "soft_argmax": 0.25, "argmax": 0.5001}
BORDER_LIMIT = {"quarter": 0.5001, "dark": 0.002, "soft_argmax": 0.5001, "argmax": 0.5001}


def _round_trip(codec, positions_heatmap_px):
    """Errors in heatmap pixels, [B, K, 2]."""
    landmarks = codec.to_input(np.asarray(positions_heatmap_px, np.float32))
    maps, weights = codec.encode(landmarks, np.ones(landmarks.shape[:2]))
    assert np.asarray(weights).all()
    found, scores = codec.decode(maps)
    assert np.asarray(scores).min() > 0.6  # a peak between four pixels
    return np.abs(np.asarray(found) - landmarks) / codec.stride


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("sigma", [0.8, 1.0, 1.5, 2.0, 3.0])
def test_round_trip_inside(decoder, sigma):
    codec = HeatmapCodec(input_size=128, heatmap_size=32, sigma=sigma, decoder=decoder)
    border = 1 + 2 * sigma if decoder == "soft_argmax" else 1
    positions = np.random.default_rng(0).uniform(border, 31 - border, (20, 68, 2))
    assert _round_trip(codec, positions).max() <= LIMIT[decoder]


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("sigma", [0.8, 1.5, 3.0])
def test_round_trip_at_the_border(decoder, sigma):
    codec = HeatmapCodec(input_size=256, heatmap_size=64, sigma=sigma, decoder=decoder)
    along = np.random.default_rng(0).uniform(-0.499, 63.499, (10, 17, 2))
    near = np.random.default_rng(1).uniform(-0.499, 1, (10, 17))
    along[..., 0] = near
    assert _round_trip(codec, along).max() <= BORDER_LIMIT[decoder]
    along[..., 0] = 63 - near
    assert _round_trip(codec, along[..., ::-1]).max() <= BORDER_LIMIT[decoder]


def test_decoded_position_equals_a_dot_drawn_in_the_input():
    """A blob in the input, averaged over blocks of 4 x 4, against what `decode` finds."""
    codec = HeatmapCodec(input_size=64, heatmap_size=16)
    rows, columns = np.mgrid[:64, :64]
    for x, y in ((25.3, 16.9), (31.0, 40.7), (42.6, 33.2)):
        image = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 3.0**2))
        blocks = image.reshape(16, 4, 16, 4).mean(axis=(1, 3)).astype(np.float32)
        found, _ = codec.decode(blocks[None, :, :, None] / blocks.max())
        np.testing.assert_allclose(np.asarray(found)[0, 0], [x, y], atol=0.25)  # .06 of a pixel
        share = blocks / blocks.sum()
        center = [(share.sum(axis=axis) * np.arange(16)).sum() for axis in (0, 1)]
        np.testing.assert_allclose(codec.to_heatmap(np.array([x, y])), center, atol=0.02)


def test_heatmaps_equal_the_formula():
    codec = HeatmapCodec(input_size=48, heatmap_size=12, sigma=1.3)
    landmarks = np.random.default_rng(0).uniform(-0.5, 47.5, (2, 5, 2))
    maps, _ = codec.encode(landmarks, np.ones((2, 5)))
    for b in range(2):
        for k in range(5):
            x, y = (landmarks[b, k] + 0.5) / 4 - 0.5
            rows, columns = np.mgrid[:12, :12]
            expected = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 1.3**2))
            np.testing.assert_allclose(np.asarray(maps)[b, ..., k], expected, atol=1e-6)


def test_landmarks_not_annotated_or_outside_have_no_map_and_no_weight():
    codec = HeatmapCodec(input_size=32, heatmap_size=8)
    landmarks = np.array(
        [[[np.nan, np.nan], [10, 10], [-0.6, 3], [3, 31.6], [-0.5, 31.5], [0, 0]]], np.float32
    )
    maps, weights = codec.encode(landmarks, np.array([[0, 2.0, 1, 1, 1, 0]]))
    np.testing.assert_array_equal(np.asarray(weights), [[0, 2, 0, 0, 1, 0]])
    assert np.isfinite(np.asarray(maps)).all()
    drawn = np.asarray(maps).max(axis=(1, 2))[0] > 0
    np.testing.assert_array_equal(drawn, [False, True, False, False, True, False])


def test_legacy_encoding_costs_1_5_px():
    codec = HeatmapCodec(input_size=256, heatmap_size=64, legacy=True, decoder="argmax")
    maps, _ = codec.encode(np.array([[[103.4, 52.0], [103.6, 255.5]]]), np.ones((1, 2)))
    patch = np.asarray(maps)[0, :, :, 0]
    rows, columns = np.nonzero(patch)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 16, 22, 28)
    assert patch[13, 25] == 1  # the pixel from 99.5 to 103.5
    assert patch[13, 26] == pytest.approx(np.exp(-1 / (2 * 1.75**2)))
    assert np.asarray(maps)[0, 63, 26, 1] == 1
    landmarks = np.random.default_rng(0).uniform(20, 236, (50, 68, 2)).astype(np.float32)

    def error(landmarks):
        found, _ = codec.decode(codec.encode(landmarks, np.ones((50, 68)))[0])
        return np.asarray(found) - landmarks

    # Uniform in a square of side 4: .3826 * 4 on average, and no bias.
    assert np.linalg.norm(error(landmarks), axis=-1).mean() == pytest.approx(1.53, abs=0.03)
    np.testing.assert_allclose(error(landmarks).mean(axis=(0, 1)), 0, atol=0.06)
    flipped = landmarks * [-1, 1] + [255, 0]
    np.testing.assert_allclose(error(flipped)[..., 0], -error(landmarks)[..., 0], atol=1e-4)


@pytest.mark.parametrize(("sigma", "mean", "lowest"), [(1.0, 0.921, 0.779), (0.5, 0.732, 0.368)])
def test_highest_pixel_of_a_subpixel_heatmap(sigma, mean, lowest):
    """exp(-(x^2 + y^2) / (2 sigma^2)) for x and y uniform in half a pixel around the center."""
    codec = HeatmapCodec(input_size=64, heatmap_size=64, sigma=sigma)
    steps = np.linspace(-0.5, 0.5, 21)[:-1] + 0.025
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(1, -1, 2) + 32
    grid = np.concatenate([grid, [[[32.5, 32.5]]]], axis=1)
    maps, _ = codec.encode(grid, np.ones(grid.shape[:2]))
    peaks = np.asarray(maps).max(axis=(1, 2))[0]
    assert peaks[:-1].mean() == pytest.approx(mean, abs=2e-3)
    assert peaks[-1] == pytest.approx(lowest, abs=1e-3)


@pytest.mark.parametrize("decoder", DECODERS)
def test_arbitrary_maps_give_finite_landmarks(decoder):
    codec = HeatmapCodec(input_size=64, heatmap_size=16, decoder=decoder)
    generator = np.random.default_rng(0)
    maps = np.stack(
        [
            np.zeros((16, 16, 3)),
            np.full((16, 16, 3), -2.0),
            np.ones((16, 16, 3)),
            generator.normal(size=(16, 16, 3)),
            1e6 * generator.normal(size=(16, 16, 3)),
        ]
    )
    found, scores = codec.decode(maps)
    assert np.isfinite(np.asarray(found)).all()
    assert np.asarray(found).min() > -8
    assert np.asarray(found).max() < 72
    assert (np.asarray(scores)[1] == 0).all()
    assert (np.asarray(scores)[2] == 1).all()


def test_all_decoders_are_exact_at_pixel_centers():
    for decoder in DECODERS:
        codec = HeatmapCodec(input_size=64, heatmap_size=16, decoder=decoder)
        assert _round_trip(codec, [[[5.0, 9.0]]]).max() < 1e-4


def test_dark_is_robust_to_noise_inside_and_on_the_border():
    generator = np.random.default_rng(0)
    codec = HeatmapCodec(input_size=128, heatmap_size=32, sigma=1.5)
    for low, high in ((4, 27), (-0.49, 0.4)):
        positions = np.stack(
            [generator.uniform(low, high, (20, 68)), generator.uniform(4, 27, (20, 68))], axis=-1
        ).astype(np.float32)
        landmarks = codec.to_input(positions)
        maps, _ = codec.encode(landmarks, np.ones((20, 68)))
        maps = np.asarray(maps) + generator.normal(0, 0.03, maps.shape).astype(np.float32)
        found, _ = codec.decode(maps)
        error = np.abs(codec.to_heatmap(np.asarray(found)) - positions)
        assert error.mean() < 0.15
        assert error.max() < 1.8  # the highest pixel may be the next one


@pytest.mark.parametrize("at", [(0, 7), (0, 0), (15, 15), (3, 15)])
def test_single_nonzero_pixel_is_decoded(at):
    maps = np.zeros((1, 16, 16, 1), np.float32)
    maps[0, at[1], at[0], 0] = 1
    for decoder in DECODERS:
        codec = HeatmapCodec(input_size=16, heatmap_size=16, decoder=decoder)
        found = np.asarray(codec.decode(maps)[0])[0, 0]
        assert np.abs(found - at).max() <= 0.75, decoder


@pytest.mark.parametrize(
    "arguments",
    [
        {"input_size": 0},
        {"heatmap_size": 2},
        {"sigma": 0},
        {"sigma": float("nan")},
        {"decoder": "darkk"},
    ],
)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be"):
        HeatmapCodec(**{"input_size": 64, "heatmap_size": 16} | arguments)


@pytest.mark.parametrize(
    ("landmarks", "weights"),
    [((5, 5, 2), (5,)), ((13, 10), (13, 5)), ((2, 5, 2), (2, 5, 1)), ((2, 5, 2), (1, 5))],
)
def test_landmarks_and_weights_of_other_shapes_are_refused(landmarks, weights):
    """Weights [B] would be those of the landmarks if there are as many."""
    codec = HeatmapCodec(input_size=64, heatmap_size=16)
    with pytest.raises(ValueError, match=r"`weights` \[B, K\]"):
        codec.encode(np.ones(landmarks), np.ones(weights))


def test_sigma_of_zero_is_refused():
    with pytest.raises(ValueError, match="`sigma` must be positive"):
        HeatmapCodec(input_size=64, heatmap_size=16).encode(
            np.ones((1, 5, 2)), np.ones((1, 5)), sigma=0.0
        )


@pytest.mark.parametrize("decoder", DECODERS)
def test_no_faces_have_no_landmarks(decoder):
    codec = HeatmapCodec(input_size=64, heatmap_size=16, decoder=decoder)
    landmarks, scores = codec.decode(np.zeros((0, 16, 16, 5), np.float32))
    assert (tuple(landmarks.shape), tuple(scores.shape)) == ((0, 5, 2), (0, 5))


def test_residuals_and_layers_of_another_number_of_landmarks_are_refused():
    codec = HeatmapCodec(input_size=64, heatmap_size=16)
    maps = np.zeros((2, 16, 16, 5), np.float32)
    with pytest.raises(ValueError, match=r"`residuals` must be \[B, 5, 2\]"):
        codec.decode(maps, np.zeros((2, 1, 2)))
    layer = DecodeHeatmaps(7, codec.get_config())
    for inputs in (maps, keras.Input((16, 16, 5))):
        with pytest.raises(ValueError, match="7 or more"):
            layer(inputs)


def test_maps_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"\[B, 16, 16, K\]"):
        HeatmapCodec(input_size=64, heatmap_size=16).decode(np.zeros((1, 16, 8, 3)))
