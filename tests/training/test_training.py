import math

import keras
import ml_collections
import numpy as np
import pytest
from experiments import smoke_config

from wing_tf.data.augment import Augmenter
from wing_tf.data.batches import training_batches
from wing_tf.data.records import open_records
from wing_tf.models.saving import load_network
from wing_tf.training.callbacks import Progress, StopOnNaN, averaged_weights
from wing_tf.training.resolve import complete_config
from wing_tf.training.run import train
from wing_tf.training.run_folder import truncate_log
from wing_tf.training.tasks import make_task
from wing_tf.training.trainer import make_trainer


@pytest.fixture(scope="module")
def train_records(synthetic_records):
    return open_records(str(synthetic_records), split="train")


@pytest.mark.slow
def test_rarer_validation_does_not_change_weights(synthetic_records, tmp_path):
    rows = []
    for name, every in (("often", 1), ("seldom", 2)):
        config = smoke_config(
            synthetic_records, epochs=3, validation_epochs=every, checkpoint_epochs=3,
            precision="float32",
        )  # fmt: skip
        run = train(config, tmp_path / name)
        rows.append([row.split(",") for row in (run / "metrics.csv").read_text().split()])
    often, seldom = (np.array(part[1:], float) for part in rows)
    np.testing.assert_allclose(seldom[:, :2], often[:, :2], rtol=1e-6)  # epoch and loss
    # The second epoch is validated by its period, the last one always.
    np.testing.assert_array_equal(np.isnan(seldom[:, 2]), [True, False, False])
    np.testing.assert_allclose(seldom[1:, 2], often[1:, 2], rtol=1e-5)
    assert truncate_log(tmp_path / "seldom" / "metrics.csv", 2) == seldom[1, 2]
    assert truncate_log(tmp_path / "seldom" / "metrics.csv", 1) == math.inf


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"precision": "float16"}, marks=pytest.mark.slow),
        {"precision": "bfloat16"},
        pytest.param(
            {"optimizer.name": "sgd", "schedule.name": "constant"}, marks=pytest.mark.slow
        ),
        {"data.cache": False, "loss.name": "l1"},
    ],
    ids=["float16", "bfloat16", "sgd", "streamed"],
)
def test_variants_train(changes, synthetic_records, tmp_path):
    run = train(smoke_config(synthetic_records, epochs=1, **changes), tmp_path / "run")
    network, _ = load_network(run)
    assert network.get_layer("conv1").compute_dtype == "float32"
    assert all(np.isfinite(w).all() for w in network.get_weights())


def test_several_record_sets_are_trained_together(synthetic_records, tmp_path, capsys):
    from tfrecords_tools.sources import SyntheticSource
    from tfrecords_tools.square_crops import SquareFormat
    from tfrecords_tools.writer import write_records

    more = tmp_path / "more"
    write_records(
        SyntheticSource(num_train=40, seed=9),
        more,
        square_format=SquareFormat(side=96),
        progress=False,
        num_processes=0,
    )
    config = smoke_config(f"{synthetic_records},{more}", epochs=1)
    train(config, tmp_path / "run")
    first = open_records(str(synthetic_records), split="train").num_faces
    second = open_records(str(more), split="train").num_faces
    assert f"{first + second} training" in capsys.readouterr().out


def test_shared_training_and_validation_files_are_refused(synthetic_records, tmp_path):
    config = smoke_config(f"{synthetic_records}/train-*")
    with pytest.raises(ValueError, match="training and validation share"):
        train(config, tmp_path / "run")


def test_nan_stops_with_advice_and_saves_nothing(synthetic_records, tmp_path):
    config = smoke_config(
        synthetic_records,
        **{"optimizer.learning_rate": 1e30, "optimizer.clip_norm": 0.0, "optimizer.name": "sgd"},
    )
    with pytest.raises(FloatingPointError, match="Try a smaller config.optimizer.learning_rate"):
        train(config, tmp_path / "run")
    assert list((tmp_path / "run" / "backup").iterdir()) == []
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []
    with pytest.raises(FloatingPointError):
        StopOnNaN().on_epoch_end(0, {"loss": float("inf")})


@pytest.mark.parametrize("precision", ["float32", pytest.param("float16", marks=pytest.mark.slow)])
def test_averaged_weights_are_restored(precision, train_records):
    config = complete_config(
        ml_collections.ConfigDict(
            {"optimizer": {"ema": 0.5}, "batch_size": 8, "precision": precision}
        )
    )
    trainer = make_trainer(config, make_task(config, train_records), 10)
    batches = training_batches(train_records, batch_size=8, num_draws=Augmenter.num_draws, seed=0)
    trainer.fit(batches, steps_per_epoch=2, verbose=0, shuffle=False, callbacks=[_Halfway()])


class _Halfway(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        before = [v.numpy() for v in self.model.trainable_variables]
        with averaged_weights(self.model):
            inside = [v.numpy() for v in self.model.trainable_variables]
        after = [v.numpy() for v in self.model.trainable_variables]
        assert any(not np.array_equal(a, b) for a, b in zip(before, inside, strict=True))
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)


def test_time_left_does_not_count_compilation(monkeypatch, capsys):
    """A first epoch of 60 s and others of 2 s, of 100 faces each."""
    clock = iter([0.0, 60.0, 62.0, 62.0, 64.0])
    monkeypatch.setattr("wing_tf.training.callbacks.time.monotonic", lambda: next(clock))
    progress = Progress(faces_per_epoch=100)
    progress.set_params({"steps": 4, "epochs": 33})
    for epoch in range(3):
        progress.on_epoch_begin(epoch)
        progress.on_train_batch_end(0)
        progress.on_epoch_end(epoch, {"loss": 2.5, "val_nme": 0.05})
    assert capsys.readouterr().out.splitlines() == [
        "epoch 1/33  loss 2.500  validation NME 5.00 %",
        "epoch 2/33  loss 2.500  validation NME 5.00 %  50 faces/s  1.0 min left",  # 31 * 2 s
        "epoch 3/33  loss 2.500  validation NME 5.00 %  50 faces/s  1.0 min left",
    ]
