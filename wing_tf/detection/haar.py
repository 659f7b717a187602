"""Face detectors, corrected to the boxes that networks are trained on."""

import cv2
import numpy as np


class HaarDetector:
    """OpenCV's frontal-face cascade, its boxes moved to where landmark boxes are on average.

    A detector's box differs from the square round a face's landmarks by a nearly constant shift and
    scale, which costs more than most losses gain. Its mean is taken off here, as measured on 1816
    training faces of 300-W with ``benchmarks/haar_correction.py`` (95 % of them found). What stays
    is scatter: centres .09 of the side off on average, scale .84 to 1.12 (5 to 95 %).

    Args:
        scale_factor: between two sizes that are searched.
        min_neighbours: how many raw hits make a face.
        min_size: the smallest face, as a share of the picture's shorter side.
    """

    # Centre of the tight landmark square less that of the raw box, and its side, in raw sides.
    CENTRE_SHIFT_XY = (0.0, 0.146)
    SIDE_RATIO = 0.869

    def __init__(
        self, *, scale_factor: float = 1.1, min_neighbours: int = 5, min_size: float = 0.08
    ):
        self._cascade = cv2.CascadeClassifier(
            cv2.data.haarcascades + "haarcascade_frontalface_default.xml"
        )
        self.scale_factor, self.min_neighbours = scale_factor, min_neighbours
        self.min_size = min_size

    def raw_boxes(self, image: np.ndarray) -> np.ndarray:
        """Returns the cascade's own boxes [N, 4], largest first; see `__call__`."""
        grey = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        smallest = max(24, round(self.min_size * min(image.shape[:2])))
        found = self._cascade.detectMultiScale(
            grey,
            scaleFactor=self.scale_factor,
            minNeighbors=self.min_neighbours,
            minSize=(smallest, smallest),
        )
        found = np.array(found, np.float64).reshape(-1, 4)
        found = found[np.argsort(-found[:, 2], kind="stable")]
        # OpenCV counts whole pixels from the first one's edge; pixel centres are integers here.
        return np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1) - 0.5

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Finds faces.

        Args:
            image: uint8 RGB [H, W, 3].

        Returns:
            Boxes float64 [N, 4] in its pixels, like tight landmark squares, largest first.
        """
        raw = self.raw_boxes(image)
        side = raw[:, 2:] - raw[:, :2]
        centre = (raw[:, :2] + raw[:, 2:]) / 2 + np.array(self.CENTRE_SHIFT_XY) * side
        return np.concatenate(
            [centre - side * self.SIDE_RATIO / 2, centre + side * self.SIDE_RATIO / 2], axis=1
        )
