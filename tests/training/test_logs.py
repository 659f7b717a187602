"""Logs of a training on a disk that is full."""

import errno
import os

import numpy as np
import pytest
from full_disk import limited_files
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from wing_tf.training.logs import EventFile, MetricsLog
from wing_tf.utils.atomic import WriteError


def test_events_are_whole_when_the_disk_is_full(tmp_path):
    events = EventFile(tmp_path / "train")
    events.add(0, {"loss": 1.0})
    events.add(0, {"image": np.zeros((4, 5, 3), np.uint8)})
    events.flush()
    (path,) = (tmp_path / "train").iterdir()
    whole = path.read_bytes()
    for step in range(1, 20):
        events.add(step, {"loss": 0.5})
    with pytest.raises(WriteError) as caught, limited_files(len(whole) + 100):
        events.flush()
    assert str(caught.value) == f"{path} can't be written: {os.strerror(errno.EFBIG)}."
    assert path.read_bytes() == whole
    resumed = EventFile(tmp_path / "train")
    resumed.add(1, {"loss": 0.25})
    resumed.close()
    found = EventAccumulator(str(tmp_path / "train")).Reload()
    assert [event.step for event in found.Scalars("loss")] == [0, 1]
    assert [(image.width, image.height) for image in found.Images("image")] == [(5, 4)]


def test_first_event_on_a_full_disk_leaves_no_file(tmp_path):
    events = EventFile(tmp_path / "train")
    events.add(0, {"loss": 1.0})
    with pytest.raises(WriteError, match=r"events\.out\.\S+ can't be written"), limited_files(0):
        events.flush()
    assert list((tmp_path / "train").iterdir()) == []


def test_metrics_have_whole_rows_when_the_disk_is_full(tmp_path):
    path = tmp_path / "metrics.csv"
    log = MetricsLog(path)
    log.on_epoch_end(0, {"val_nme": 0.25, "loss": 3.0})
    rows = "epoch,loss,val_nme\r\n0,3.0,0.25\r\n"
    with pytest.raises(WriteError, match="metrics.csv can't"), limited_files(len(rows) + 5):
        log.on_epoch_end(1, {"val_nme": 0.125, "loss": 2.0})
    assert path.read_bytes().decode() == rows
    log.on_epoch_end(1, {"val_nme": 0.125, "loss": 2.0})
    assert path.read_bytes().decode() == rows + "1,2.0,0.125\r\n"
