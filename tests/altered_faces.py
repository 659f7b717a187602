"""Records of rendered faces whose annotations are changed on purpose."""

import dataclasses
import functools
import pathlib

from tfrecords_tools.sources import Item, SyntheticSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.landmarks import get_scheme

FLIP = list(get_scheme("ibug_68").flip_permutation)


@functools.cache
def _render(number, split):
    source = SyntheticSource(num_train=28, num_test=12, seed=5, image_size=112)
    return source.load(Item("", "", split, number))


class AlteredSource(SyntheticSource):
    """40 rendered faces of all poses, passed through ``change(item, face)``."""

    has_boxes = True  # of some changed ones

    def __init__(self, change=None, *, num_train=28):
        super().__init__(num_train=num_train, num_test=12, seed=5)
        self.change = change

    def load(self, item):
        face = _render(item.source_data, "test" if item.source_data < 12 else "train")
        return face if self.change is None else self.change(item, face)


@functools.cache
def near_frontal():
    """Numbers of the faces with a yaw below 40 degrees."""
    source = AlteredSource()
    return [i.source_data for i in source.items() if abs(source.load(i).angles_deg[0]) < 40]


def key_of(number: int) -> str:
    """The key of a face."""
    return f"synthetic/5/{number:07d}"


def with_landmarks(face, landmarks_px):
    """A face with other landmarks."""
    return dataclasses.replace(face, landmarks_px=landmarks_px)


def flipped(face):
    """A face with all left and right landmarks swapped."""
    return with_landmarks(face, face.landmarks_px[FLIP])


def write(path: pathlib.Path, source, *, side: int = 96, **options) -> pathlib.Path:
    """Writes records; returns their folder."""
    square_format = SquareFormat(side=side)
    write_records(
        source, path, square_format=square_format, num_processes=0, progress=False, **options
    )
    return path
