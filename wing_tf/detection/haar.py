"""OpenCV's cascade, which needs no file."""

import threading

import numpy as np

from wing_tf.detection.correction import Correction
from wing_tf.detection.detector import Detector, from_corners, shrink_to
from wing_tf.geometry import box_iou
from wing_tf.utils.opencv import require_opencv

_WINDOW_PX = 24  # of the cascade: nothing smaller can be found
_BORDER = 0.15  # of the shorter side: its boxes are wider than faces, which may fill an image
_OVERLAP = 0.3  # of two boxes of one face
_WEAK, _SMALL = 0.2, 0.5  # of another hit's strength and side


class HaarDetector(Detector):
    """OpenCV's frontal-face cascade, with fewer of its false hits.

    A hit's strength is how many raw hits make it. Of hits that overlap the strongest is taken, and
    one that is both much weaker and much smaller than another is none: texture, not a face. Faces
    of a group are of like sizes and all stay.

    The correction was measured by ``benchmarks/landmarker.py --calibrate --split=train`` on the
    images of 2012 training faces of 300-W, of which 94 % are found with 0.11 other boxes an
    image. What stays is scatter: centers .09 of the side off on average (.19 at 95 %), scale .86
    to 1.15 (5 to 95 %).

    Args:
        scale_factor: between two sizes that are searched.
        min_neighbors: how many raw hits are needed beside a first one.
        min_size: the smallest face, as a share of the image's shorter side.
        longest_px: images whose longer side is longer are searched at this size, so that time is
            bounded. Faces below about 50 pixels are found less often.
        correction: from raw boxes to landmark squares; the measured one if None.
    """

    own_correction = Correction((0.0, 0.149), 0.872)

    def __init__(
        self,
        *,
        scale_factor: float = 1.1,
        min_neighbors: int = 3,
        min_size: float = 0.08,
        longest_px: int = 1024,
        correction: Correction | None = None,
    ):
        super().__init__(correction=correction)
        cv2 = require_opencv()
        self._cascade = cv2.CascadeClassifier(
            cv2.data.haarcascades + "haarcascade_frontalface_default.xml"
        )
        self._lock = threading.Lock()  # a cascade keeps its image
        self.scale_factor, self.min_neighbors = scale_factor, min_neighbors
        self.min_size, self.longest_px = min_size, longest_px

    def raw_boxes(self, image: np.ndarray) -> np.ndarray:
        """Returns the cascade's own boxes [N, 4]; see `__call__`."""
        small = shrink_to(image, self.longest_px)
        shorter = min(small.shape[:2])
        if shorter < _WINDOW_PX:
            return np.zeros((0, 4))
        cv2 = require_opencv()
        border = round(_BORDER * shorter)
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        gray = cv2.copyMakeBorder(gray, *[border] * 4, cv2.BORDER_REPLICATE)
        smallest = max(_WINDOW_PX, round(self.min_size * shorter))
        with self._lock:
            found, strengths = self._cascade.detectMultiScale2(
                cv2.equalizeHist(gray),
                scaleFactor=self.scale_factor,
                minNeighbors=self.min_neighbors,
                minSize=(smallest, smallest),
            )
        hits = np.array(found, np.float64).reshape(-1, 4) - [border, border, 0, 0]
        return faces_of(from_corners(hits, small, image), np.array(strengths).reshape(-1))


def faces_of(boxes: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Returns those of a cascade's boxes [N, 4] that are taken for faces; see `HaarDetector`."""
    order = np.argsort(-strengths, kind="stable")
    boxes, strengths = boxes[order], strengths[order]
    taken: list[int] = []
    for number, box in enumerate(boxes):
        if not np.any(box_iou(boxes[taken], box) > _OVERLAP):
            taken.append(number)
    boxes, strengths = boxes[taken], strengths[taken]
    sides = boxes[:, 2] - boxes[:, 0]
    weak = strengths[:, None] < _WEAK * strengths
    return boxes[~np.any(weak & (sides[:, None] < _SMALL * sides), axis=1)]
