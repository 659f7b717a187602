import keras
import numpy as np
import pytest

from wing_tf.codecs import HeatmapCodec
from wing_tf.data.records import open_records
from wing_tf.evaluation.heatmaps import (
    draw_heatmaps,
    draw_heatmaps_by_network,
    face_heatmaps,
    peak_margins,
)
from wing_tf.evaluation.predict import crop_batches
from wing_tf.model_spec import ModelSpec
from wing_tf.models import (
    cnn6,
    heatmap_localizer,
    heatmap_network,
    residual_network,
    smt_net,
    stacked_hourglass,
)


@pytest.fixture(scope="module")
def localizer():
    keras.utils.set_random_seed(0)
    network = stacked_hourglass(68, num_stacks=2, features=8, depth=1, input_size=64)
    codec = HeatmapCodec(input_size=64, heatmap_size=16, sigma=1.0)
    return heatmap_localizer(network, 68, codec)


def test_heatmaps_of_faces(synthetic_records, localizer):
    records = open_records(f"{synthetic_records}/validation-*")
    spec = ModelSpec(scheme="ibug_68", input_size=64, margin=1.2)
    batches = list(crop_batches(records, spec, batch_size=4))
    last = records.num_faces - 1
    faces = face_heatmaps(localizer, iter(batches), [last, 0])
    network, codec = heatmap_network(localizer)
    expected = np.asarray(network(batches[0].image[:1]))[0, ..., :68]
    np.testing.assert_allclose(faces[1].predicted, expected, atol=1e-4)
    # The ground truth heatmaps peak at the ground truth landmarks.
    for face in faces:
        found, scores = codec.decode(face.true[None])
        inside = np.asarray(scores)[0] > 0
        assert inside.sum() > 50
        np.testing.assert_allclose(
            np.asarray(found)[0][inside], face.true_crop_px[inside], atol=0.05
        )
    sheet = draw_heatmaps(faces, records.scheme, ["one", "two"])
    assert sheet.dtype == np.uint8
    assert sheet.shape[0] < sheet.shape[1]  # two rows of three
    compared = draw_heatmaps_by_network(faces[0].true, {"a": faces[0].predicted}, records.scheme)
    assert compared.shape[0] * 3 < compared.shape[1]  # two rows of seven
    with pytest.raises(ValueError, match="There are"):
        face_heatmaps(localizer, iter(batches), [10**6])


def test_network_without_heatmaps_raises(localizer):
    assert heatmap_network(cnn6(5, width=0.1)) is None
    with pytest.raises(ValueError, match="does not decode heatmaps"):
        face_heatmaps(cnn6(5, width=0.1), [], [0])
    with pytest.raises(ValueError, match="does not decode heatmaps"):
        peak_margins(cnn6(5, width=0.1), [], [1])
    assert residual_network(localizer) is None


def test_margins_of_true_and_predicted_heatmaps(synthetic_records):
    """Margins of a Gaussian by its formula, and of a network with constant heatmaps."""
    keras.utils.set_random_seed(0)
    network = smt_net(68, num_stacks=1, features=8, inner_features=8, depth=1, input_size=64,
                      residual_features=4)  # fmt: skip
    head = network.get_layer("stack1_maps")
    head.kernel.assign(head.kernel * 0)
    codec = HeatmapCodec(input_size=64, heatmap_size=16, sigma=1.0, activation="softmax")
    localizer = heatmap_localizer(network, 68, codec)
    spec = ModelSpec(scheme="ibug_68", input_size=64, margin=1.2)
    records = open_records(f"{synthetic_records}/validation-*")
    batches = list(crop_batches(records, spec, batch_size=4))
    true, predicted = peak_margins(localizer, batches, [1, 2, 4])
    assert true.shape == predicted.shape == (records.num_faces, 3)
    np.testing.assert_allclose(predicted, 0, atol=1e-6)  # constant heatmaps have no margin
    # A Gaussian off its pixel's center by (x, y), up to half a pixel each, against the neighbor
    # on its side: 1 - exp(-(1 - 2 max(x, y)) / 2), uniform x and y.
    offset = np.max(np.random.default_rng(0).uniform(0, 0.5, (100_000, 2)), axis=1)
    assert true[:, 0].mean() == pytest.approx(np.mean(1 - np.exp(offset - 0.5)), abs=0.01)
    assert (np.diff(true, axis=1) > 0).all()
    head.bias.assign(np.full(68, -1.0))  # below nothing: empty
    linear = HeatmapCodec(input_size=64, heatmap_size=16)
    _, predicted = peak_margins(heatmap_localizer(network, 68, linear), batches, [1, 30])
    np.testing.assert_array_equal(predicted, 0)
    head.bias.assign(np.zeros(68))
    assert true[:, 2].min() > 0.99
    residuals = np.asarray(residual_network(localizer)(batches[0].image))
    np.testing.assert_allclose(residuals, network(batches[0].image)["residuals"], atol=1e-5)
