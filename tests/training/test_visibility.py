"""Training of networks that emit the visibility of landmarks."""

import csv

import numpy as np
import pytest
import tensorflow as tf
from experiments import smoke_config, smoke_hourglass, smoke_smt

from wing_tf.data.batches import training_batches
from wing_tf.data.read import read_landmarks
from wing_tf.data.records import open_records
from wing_tf.evaluation.evaluator import evaluate
from wing_tf.evaluation.predict import crop_batches
from wing_tf.metrics import recall_at_precision
from wing_tf.models.saving import load_network
from wing_tf.training.resolve import complete_config
from wing_tf.training.run import train
from wing_tf.training.tasks import make_task
from wing_tf.training.trainer import make_trainer

ON = {"model.visibility": True}


@pytest.fixture(scope="module")
def records(synthetic_records):
    return open_records(str(synthetic_records), split="train")


def _trainer(config, records):
    config = complete_config(config)
    config.precision, config.jit_compile = "float32", "off"
    return make_trainer(config, make_task(config, records), 10)


def _batch(trainer, records, size=4):
    curves = getattr(trainer.augmenter, "boundary_curves", ())
    batches = training_batches(
        records, batch_size=size, num_draws=trainer.augmenter.num_draws, seed=0, curves=curves
    )
    return next(iter(batches))


@pytest.mark.parametrize("make", [smoke_config, smoke_hourglass, smoke_smt])
def test_loss_adds_the_cross_entropy_of_annotated_landmarks(make, synthetic_records, records):
    trainer = _trainer(make(synthetic_records, **ON, **{"visibility.weight": 3.0}), records)
    faces = _batch(trainer, records)
    visibility = faces["visibility"].numpy()
    visibility[:2, :20] = 0
    image, targets, weights = trainer.augmenter({**faces, "visibility": visibility})
    outputs = trainer(image, training=False)
    total = float(trainer.compute_loss(image, targets, outputs, weights))
    trainer.visibility_weight = None
    rest = float(trainer.compute_loss(image, targets, outputs, weights))
    logits = np.asarray((outputs[-1] if isinstance(outputs, list) else outputs)["visibility"], "f8")
    visible = np.asarray(targets["visibility"])
    each = np.log1p(np.exp(np.where(visible == 1, -logits, logits)))
    present = np.asarray(weights)[:, :68]
    assert 0 < (present == 0).sum() < present.size
    assert total - rest == pytest.approx(3 * (each * present).mean(), rel=1e-3)


def test_network_learns_which_landmarks_are_covered(records, synthetic_records):
    """Fits one batch whose rectangles cover landmarks; chance is an area of 0.5."""
    changes = {"augment.occlusion": 1.0, "augment.occlusion_size": 0.9, "visibility.weight": 30.0,
               "optimizer.learning_rate": 3e-3, "schedule.warmup_epochs": 0.0}  # fmt: skip
    trainer = _trainer(smoke_config(synthetic_records, **ON, **changes), records)
    batch = trainer.augmenter(_batch(trainer, records, 16))
    step = tf.function(trainer.learn)
    for _ in range(40):
        step(batch)
    image, targets, _ = batch
    logits = np.asarray(trainer(image, training=False)["visibility"])
    visible = np.asarray(targets["visibility"]) == 1
    assert 0.1 < visible.mean() < 0.97
    assert _area(logits[visible], logits[~visible]) > 0.9


def _area(positive, negative):
    """Returns the area under the ROC curve: how often one of a pair is above the other."""
    return np.mean(positive[:, None] > negative[None])


def test_records_without_occluded_landmarks_are_refused(tmp_path, synthetic_records):
    folder = tmp_path / "records"
    folder.mkdir()
    for file in synthetic_records.glob("*.tfrecord"):
        with tf.io.TFRecordWriter(str(folder / file.name)) as writer:
            for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
                example = tf.train.Example.FromString(record)
                example.features.feature["visibility"].int64_list.value[:] = [2] * 68
                writer.write(example.SerializeToString())
    with pytest.raises(ValueError, match=r"none of the annotated landmarks .*synthetic.*COFW"):
        train(smoke_config(folder, **ON), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"visibility.weight": 2.0}, "visibility.weight does not apply without config.model.vis"),
        ({"visibility.weight": -1.0, **ON}, "visibility.weight must be at least 0"),
    ],
)
def test_keys_without_effect_and_wrong_values_are_errors(changes, message, synthetic_records):
    with pytest.raises(ValueError, match=message):
        complete_config(smoke_config(synthetic_records, **changes))


@pytest.mark.slow
def test_training_logs_and_evaluation_reports_the_recall(synthetic_records, tmp_path):
    config = {**ON, "epochs": 2, "precision": "float32"}
    run = train(smoke_config(synthetic_records, **config), tmp_path / "run")
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    assert all(0 <= float(row["val_occlusion_recall"]) <= 1 for row in rows)
    network, spec = load_network(run)
    assert network.output["visibility"].shape == (None, 68)
    (tmp_path / "report").mkdir()
    report = evaluate(run, f"{synthetic_records}/test-*", tmp_path / "report", normalizer="box")
    records = open_records(str(synthetic_records), split="test")
    visibility = read_landmarks(records)[1]
    scores = report["occlusion"]
    assert scores["num_landmarks"] == visibility.size == 24 * 68
    assert scores["num_occluded"] == (visibility == 1).sum() > 50
    predicted = np.concatenate(
        [np.asarray(network(batch.image)["visibility"]) for batch in crop_batches(records, spec)]
    )
    expected = recall_at_precision((visibility == 1).ravel(), 1 - predicted.ravel())
    assert scores["recall_at_80_precision"] == pytest.approx(expected, abs=0.01)
    text = (tmp_path / "report" / "report.txt").read_text()
    assert "Occlusion recall at 80 % precision" in text


@pytest.mark.slow
def test_second_stage_learns_visibility(synthetic_records, tmp_path):
    first = train(smoke_config(synthetic_records, **ON, epochs=1), tmp_path / "first")
    changes = {
        "epochs": 1, "two_stage.first": str(first), "two_stage.input_size": 96,
        "two_stage.margin": 1.8, "two_stage.correct": True,
    }  # fmt: skip
    run = train(smoke_config(synthetic_records, **ON, **changes), tmp_path / "second")
    assert set(load_network(run)[0].output) == {"landmarks", "visibility"}
