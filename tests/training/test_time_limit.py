import itertools
import json

import ml_collections
import numpy as np
import pytest
from experiments import smoke_config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from wing_tf.training.optimizer import make_optimizer, make_schedule
from wing_tf.training.paced_schedule import set_pace
from wing_tf.training.resolve import complete_config
from wing_tf.training.run import train
from wing_tf.training.time_limit import epochs_per_sigma, epochs_within


def test_as_many_epochs_fit_as_the_time_allows():
    # 2 finished, 60 seconds left at 5 seconds each.
    assert epochs_within(60.0, 5.0, finished=2, max_epochs=100) == 14
    assert epochs_within(60.0, 5.0, finished=2, max_epochs=9) == 9
    # There is at least one in which the schedule is completed, or one for each sigma.
    assert epochs_within(-3.0, 5.0, finished=2, max_epochs=100) == 3
    assert epochs_within(0.0, 5.0, finished=2, max_epochs=100, num_sigmas=4) == 6
    assert epochs_within(0.0, 5.0, finished=2, max_epochs=4, num_sigmas=4) == 4


def test_every_sigma_has_an_epoch_left():
    for finished, more, count in itertools.product(range(1, 9), range(30), range(2, 6)):
        epochs = finished + count + more
        limit = epochs_per_sigma(epochs, finished, count, 0)
        first = max(limit, finished + 1)  # it may have had more before the decision
        assert first + (count - 2) * limit < epochs, (epochs, finished, count)
        assert limit <= epochs / count
    assert epochs_per_sigma(100, 2, 4, 10) == 10


def _config(**schedule):
    values = {"epochs": 12, "time_limit_minutes": 1.0, "schedule": schedule}
    return complete_config(ml_collections.ConfigDict(values))


@pytest.mark.parametrize(
    "schedule",
    [
        {"name": "cosine", "final_ratio": 0.1, "warmup_epochs": 2.0},
        {"name": "exponential", "final_ratio": 0.01},
        {"name": "piecewise", "boundaries": (6.0, 9.0)},
    ],
    ids=lambda schedule: schedule["name"],
)
def test_paced_schedule_is_that_of_fewer_epochs(schedule):
    optimizer = make_optimizer(_config(**schedule), steps_per_epoch=10)

    def rate(step):
        optimizer.iterations.assign(step)
        return float(optimizer.learning_rate)

    plain = _config(**schedule)
    plain.time_limit_minutes = 0.0
    expected = make_schedule(plain, 10)
    steps = range(0, 120, 7)
    np.testing.assert_array_equal([rate(s) for s in steps], [float(expected(s)) for s in steps])
    # 7 epochs instead of 12, of which the warm-up takes as many.
    warmup = int(10 * schedule.get("warmup_epochs", 0))
    fewer = _config(**schedule)
    fewer.epochs, fewer.time_limit_minutes = 7, 0.0
    if "boundaries" in schedule:
        fewer.schedule.boundaries = tuple(b * 7 / 12 for b in schedule["boundaries"])
    expected = make_schedule(fewer, 10)
    set_pace(optimizer, (120 - warmup) / (70 - warmup))
    steps = [0, 5, 19, 20, 33, 36, 55, 69, 70]
    np.testing.assert_allclose(
        [rate(s) for s in steps], [float(expected(s)) for s in steps], rtol=1e-4
    )


def test_limited_training_completes_its_schedule(synthetic_records, tmp_path, capsys):
    """However fast the machine is, the limit allows no more than one epoch after the first."""
    config = smoke_config(synthetic_records, epochs=9, time_limit_minutes=1e-4)
    config.schedule.final_ratio = 0.25
    run = train(config, tmp_path / "run")
    said = capsys.readouterr().out
    assert "epochs 1 to 9, as many as fit into 0.0001 minutes." in said
    assert "0.0001 minutes: 2 epochs of " in said
    assert "epoch 2/2 " in said
    decision = json.loads((run / "time_limit.json").read_text())
    assert (decision["epochs"], decision["decided_after"]) == (2, 1)
    assert len((run / "metrics.csv").read_text().split()) == 3
    events = EventAccumulator(str(run / "tensorboard" / "train")).Reload()
    rates = [event.value for event in events.Scalars("epoch_learning_rate")]
    peak = config.optimizer.learning_rate
    assert len(rates) == 2
    assert rates[0] > 0.9 * peak
    assert rates[1] == pytest.approx(0.25 * peak, rel=1e-3)
    train(config, run)
    assert "holds a finished training of 2 epochs" in capsys.readouterr().out
