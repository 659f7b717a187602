"""The whole image as the box of one face, for portraits."""

import numpy as np

from wing_tf.detection.correction import Correction
from wing_tf.detection.detector import Detector


class WholeImage(Detector):
    """The largest centered square of the image as its only box.

    Args:
        correction: Correction from that square to the landmark square. The default is assumed, not
            measured: the landmarks are a little below the center and span three fifths of the
            shorter side, between a passport photograph and a loose portrait. For images that are
            all cropped alike, measure it with `calibrate`.
    """

    is_given = True
    default_correction = Correction((0.0, 0.1), 0.6)

    def raw_boxes(self, image: np.ndarray) -> np.ndarray:
        """Returns the square [1, 4]; see `__call__`."""
        size_xy = np.array(image.shape[1::-1], np.float64)
        middle, half = (size_xy - 1) / 2, size_xy.min() / 2
        return np.concatenate([middle - half, middle + half])[None]
