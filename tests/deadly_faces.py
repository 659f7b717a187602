"""Small images of which some kill the process that reads them; imports little, as workers do."""

import contextlib
import os
import signal

import numpy as np

from tfrecords_tools.sources import BadRecordError, Face, Item, Source
from wing_tf.landmarks import get_scheme

POINTS = np.array([[30.0, 20], [60, 22], [45, 40], [33, 55], [58, 56]])


class DeadlySource(Source):
    """Faces of which some raise errors.

    Args:
        count: Number of faces.
        bad: Numbers of faces that are not usable.
        deadly: Numbers of faces that kill their process.
        kills_once: Files by the numbers of faces that kill their process if they can create theirs.
    """

    name, scheme = "deadly", get_scheme("celeba_5")

    def __init__(self, count, *, bad=(), deadly=(), kills_once=None):
        self.count, self.bad, self.skipped = count, bad, {}
        self.deadly, self.kills_once = deadly, kills_once or {}

    def items(self):
        return [Item(f"face/{i}", f"face/{i}", "train", i) for i in range(self.count)]

    def load(self, item):
        number = item.source_data
        if number in self.bad:
            raise BadRecordError("bad on purpose")
        if number in self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if path := self.kills_once.get(number):
            with contextlib.suppress(FileExistsError):
                path.touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
        return Face(np.full((90, 120, 3), number % 256, np.uint8), POINTS, np.full(5, 2))
