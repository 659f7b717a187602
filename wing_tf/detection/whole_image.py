"""No detector at all: a portrait is its own box."""

import numpy as np

from wing_tf.detection.correction import Correction
from wing_tf.detection.detector import Detector


class WholeImage(Detector):
    """The image itself is the box: the largest square in its middle.

    Args:
        correction: from that square to the landmark square. The default is assumed, not measured:
            landmarks a little below the middle, over three fifths of the shorter side, which is
            between a passport image's and a loose portrait's. Where images are cropped in one
            way, measure theirs with `calibrate`.
    """

    own_correction = Correction((0.0, 0.1), 0.6)

    def raw_boxes(self, image: np.ndarray) -> np.ndarray:
        """Returns the one square [1, 4]; see `__call__`."""
        size_xy = np.array(image.shape[1::-1], np.float64)
        middle, half = (size_xy - 1) / 2, size_xy.min() / 2
        return np.concatenate([middle - half, middle + half])[None]
