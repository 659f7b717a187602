"""What all detectors share."""

import abc
from typing import ClassVar

import numpy as np

from wing_tf.detection.correction import Correction
from wing_tf.utils.opencv import require_opencv


class Detector(abc.ABC):
    """Images to boxes like tight landmark squares, largest first.

    A detector of your own needs `raw_boxes` only; any other callable from an image to boxes serves
    as well wherever a detector is taken.

    Args:
        correction: from raw boxes to landmark squares; the class's own if None.

    Attributes:
        needs_name: it is called with the image's path, too, as ``detector(image, name)``.
        own_correction: what was measured, or is assumed, for this kind of detector.
    """

    needs_name: ClassVar[bool] = False
    own_correction: ClassVar[Correction] = Correction()

    def __init__(self, *, correction: Correction | None = None):
        self.correction = self.own_correction if correction is None else correction

    @abc.abstractmethod
    def raw_boxes(self, image: np.ndarray) -> np.ndarray:
        """Returns the detector's own boxes float64 [N, 4] in any order; see `__call__`."""

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Finds faces.

        Args:
            image: uint8 RGB [H, W, 3].

        Returns:
            Boxes float64 [N, 4] in its pixels, like tight landmark squares, largest first.
        """
        return self.corrected(self.raw_boxes(image))

    def corrected(self, raw_boxes_xyxy_px: np.ndarray) -> np.ndarray:
        """Returns raw boxes [N, 4] corrected and by their longer sides; see `__call__`."""
        sides = np.max(raw_boxes_xyxy_px[:, 2:] - raw_boxes_xyxy_px[:, :2], axis=1)
        return self.correction(raw_boxes_xyxy_px[np.argsort(-sides, kind="stable")])


def shrink_to(image: np.ndarray, longest_px: int) -> np.ndarray:
    """Returns an image whose longer side is at most so many pixels; a smaller one as it is."""
    height, width = image.shape[:2]
    scale = longest_px / max(height, width)
    if scale >= 1:
        return image
    cv2 = require_opencv()
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def from_corners(corners_xywh: np.ndarray, found_in: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Returns OpenCV's boxes in the package's coordinates, in pixels of the image as given.

    Args:
        corners_xywh: [N, 4], left, top, width, height; 0 is the first pixel's edge.
        found_in: the image that was searched (see `shrink_to`).
        image: the image as given.

    Returns:
        ``x0, y0, x1, y1`` float64 [N, 4], pixel centers at integers from 0.
    """
    corners = np.asarray(corners_xywh, np.float64).reshape(-1, 4)
    scale_xy = np.array(image.shape[1::-1]) / found_in.shape[1::-1]
    low, high = corners[:, :2], corners[:, :2] + corners[:, 2:]
    return np.concatenate([low * scale_xy, high * scale_xy], axis=1) - 0.5
