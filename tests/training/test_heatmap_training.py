import csv

import keras
import numpy as np
import pytest
from experiments import smoke_hourglass

from wing_tf.codecs import HeatmapCodec
from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.batches import training_batches
from wing_tf.data.heatmap_targets import HeatmapAugmenter
from wing_tf.data.records import open_records
from wing_tf.evaluation.evaluator import evaluate
from wing_tf.inference import Landmarker
from wing_tf.losses import AdaptiveWingLoss, HeatmapSquaredError, WeightedLossMap
from wing_tf.models import heatmap_localizer, stacked_hourglass
from wing_tf.models.saving import load_network
from wing_tf.training.batch_norm import fuse_batch_norm
from wing_tf.training.resolve import complete_config
from wing_tf.training.run import train
from wing_tf.training.tasks import make_task
from wing_tf.training.trainer import make_loss


def test_heatmap_model_is_trained_saved_evaluated_and_used(synthetic_records, tmp_path):
    run = train(smoke_hourglass(synthetic_records), tmp_path / "run")
    network, spec = load_network(run)
    assert (spec.input_size, spec.scheme_name) == (64, "ibug_68")
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    (tmp_path / "report").mkdir()
    report = evaluate(run, f"{synthetic_records}/validation-*", tmp_path / "report",
                      normalizer="box")  # fmt: skip
    best = min(float(row["val_nme"]) for row in rows)
    assert report["nme"] == pytest.approx(best, rel=1e-4)
    image = np.random.default_rng(0).integers(0, 256, (120, 120, 3), np.uint8)
    face = Landmarker(run)(image, np.array([[20, 20, 90, 100.0]]))[0]
    assert face.landmarks_px.shape == (68, 2)
    assert face.scores.shape == (68,)
    assert 0 <= face.scores.min() <= face.scores.max() <= 1


@pytest.mark.slow
def test_one_hourglass_learns_eight_faces(synthetic_records):
    """Targets, loss and decoder together: it finds the landmarks of faces that it is shown."""
    keras.utils.set_random_seed(0)
    records = open_records(str(synthetic_records), split="train")
    batches = training_batches(records, batch_size=8, num_draws=Augmenter.num_draws, seed=0)
    faces = next(iter(batches))
    crops = {"input_size": 64, "margin": 1.2, "augmentation": Augmentation()}
    codec = HeatmapCodec(input_size=64, heatmap_size=16, sigma=1.0)
    image, maps, weights = HeatmapAugmenter(records.scheme, codec=codec, **crops)(faces)
    ground_truth = np.asarray(Augmenter(records.scheme, **crops)(faces)[1])
    network = stacked_hourglass(68, num_stacks=1, features=32, depth=2, input_size=64,
                                boundary=False, boundary_coordinates=False)  # fmt: skip
    network.compile(keras.optimizers.Adam(5e-3), loss=WeightedLossMap(AdaptiveWingLoss()))
    data, weights = (np.asarray(image), np.asarray(maps)), np.asarray(weights)
    network.fit(*data, sample_weight=weights, batch_size=8, epochs=240, verbose=0)
    found = heatmap_localizer(network, 68, codec)(image)
    assert np.linalg.norm(found["landmarks"] - ground_truth, axis=-1).mean() < 2.5  # it began at 30
    assert np.asarray(found["scores"]).mean() > 0.4


def test_loss_follows_the_config(synthetic_records):
    config = complete_config(smoke_hourglass(synthetic_records))
    loss = make_loss(config)
    assert isinstance(loss, WeightedLossMap)
    assert isinstance(loss.loss, AdaptiveWingLoss)
    config.loss.update({"name": "heatmap_mse", "map": ""})
    assert isinstance(make_loss(config), HeatmapSquaredError)


def test_scheme_without_curves_has_no_boundary_map(synthetic_records):
    records = open_records(str(synthetic_records), split="train")
    import dataclasses

    bare = dataclasses.replace(records, scheme=dataclasses.replace(
        records.scheme, boundary_curves=(), lines=()))  # fmt: skip
    config = complete_config(smoke_hourglass(synthetic_records))
    with pytest.raises(ValueError, match="has no boundary curves"):
        make_task(config, bare)
    config.model.update({"boundary": False, "boundary_coordinates": False})
    assert make_task(config, bare).boundary_curves == ()


@pytest.mark.parametrize("features", [8, 64], ids=["grouped_pixels", "multiples_of_16"])
def test_fused_batch_norm_equals_keras(tmp_path, features):
    """Output, gradients and moving averages, against Keras' own."""
    import tensorflow as tf

    image = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3)).astype(np.float32)
    results = []
    for fused in (False, True):
        keras.utils.set_random_seed(0)
        network = stacked_hourglass(3, num_stacks=1, features=features, depth=1,
                                    input_size=32, boundary_coordinates=False)  # fmt: skip
        if fused:
            norms = [n for n in network.layers if isinstance(n, keras.layers.BatchNormalization)]
            assert fuse_batch_norm(network) == [layer.name for layer in norms]
        with tf.GradientTape() as tape:
            maps = network(image, training=True)
            loss = tf.reduce_mean(maps**2)
        gradients = tape.gradient(loss, network.trainable_variables)
        results.append((maps, network.get_weights(), gradients, network(image)))
    for plain, ours in zip(*(r[1] for r in results), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(results[1][0], results[0][0], atol=1e-3)
    np.testing.assert_allclose(results[1][3], results[0][3], atol=1e-3)
    for plain, ours in zip(*(r[2] for r in results), strict=True):
        np.testing.assert_allclose(ours, plain, atol=2e-3 * float(np.abs(plain).max()) + 1e-6)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(loaded(image), network(image), atol=1e-5)
