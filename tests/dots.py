"""Images with a landmark that is a visible dot, and a network that localizes it exactly."""

import keras
import numpy as np
from keras import ops

from tfrecords_tools.sources import BadRecordError, Face, Item, Source
from wing_tf.landmarks import get_scheme

SCHEME = get_scheme("celeba_5")
DOT = 2  # the nose, which flips do not permute


class DotSource(Source):
    """Images of various sizes with a Gaussian dot at the landmark `DOT`; some raise errors."""

    name, scheme = "dots", SCHEME

    def __init__(self, count=6, bad=()):
        self.count, self.bad, self.skipped = count, bad, {}

    def items(self):
        return [Item(f"dot/{i}", f"dot/{i}", "train", i) for i in range(self.count)]

    def load(self, item):
        if item.source_data in self.bad:
            raise BadRecordError("bad on purpose")
        generator = np.random.default_rng(item.source_data)
        size = int(generator.integers(150, 700))
        corners = np.array([[0.3, 0.3], [0.7, 0.32], [0.5, 0.5], [0.35, 0.68], [0.66, 0.7]])
        landmarks = (corners + generator.uniform(-0.04, 0.04, (5, 2))) * size
        rows, columns = np.mgrid[:size, :size]
        x, y = landmarks[DOT]
        sigma = size / 40
        dot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
        image = np.repeat(dot[..., None], 3, axis=2).round().astype(np.uint8)
        return Face(image, landmarks, np.full(5, 2))


def centroids(images):
    """Returns the centers [B, 2] of the dots in images [B, H, W, C], without the JPEG artifacts."""
    weight = ops.maximum(ops.cast(images, "float32")[..., 0] - 12.0, 0.0)
    total = ops.sum(weight, axis=(1, 2))
    x = ops.sum(weight * ops.arange(weight.shape[2], dtype="float32"), axis=(1, 2)) / total
    y = ops.sum(weight * ops.arange(weight.shape[1], dtype="float32")[:, None], axis=(1, 2)) / total
    return ops.stack([x, y], axis=-1)


def dot_network(input_size):
    """Returns a network that predicts the center of the dot for all five landmarks."""
    image = keras.Input((input_size, input_size, 3))
    center = ops.expand_dims(centroids(image), axis=1)
    return keras.Model(image, ops.tile(center, (1, 5, 1)))
