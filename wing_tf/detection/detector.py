"""Base class of face detectors."""

import abc
from typing import Any, ClassVar

import numpy as np

from wing_tf.detection.correction import Correction
from wing_tf.utils.opencv import require_opencv


class Detector(abc.ABC):
    """A function from an image to boxes like tight landmark squares, largest first.

    Subclasses implement `raw_boxes`. Any other callable from an image to boxes [N, 4] or [N, 5] can
    be used in place of a detector. The fifth column is the detection score of each box in 0..1, NaN
    where it is unknown.

    Args:
        correction: Correction from raw boxes to landmark squares. Defaults to
            ``default_correction``.

    Attributes:
        needs_name: Whether the detector is called as ``detector(image, name)``, with the path of
            the image.
        is_given: Whether the user says where the faces are, so that faces of a low score are kept.
        default_correction: Correction that was measured or is assumed for this kind of detector.
    """

    needs_name: ClassVar[bool] = False
    is_given: ClassVar[bool] = False
    default_correction: ClassVar[Correction] = Correction()

    def __init__(self, *, correction: Correction | None = None):
        self.correction = self.default_correction if correction is None else correction

    def __getstate__(self) -> dict[str, Any]:
        """Returns the attributes without OpenCV's objects, which can't be pickled."""
        return {k: v for k, v in vars(self).items() if k not in ("_cascade", "_network", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._load()

    def _load(self) -> None:  # noqa: B027 (most detectors have nothing to load)
        """Makes OpenCV's objects; called by the constructors of the detectors that have some."""

    @abc.abstractmethod
    def raw_boxes(self, image: np.ndarray) -> np.ndarray:
        """Returns uncorrected boxes float64 [N, 4] or [N, 5] in any order; see `__call__`."""

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Detects the faces of an image.

        Args:
            image: uint8 RGB [H, W, 3].

        Returns:
            Corrected boxes float64 [N, 4] in pixels of the image, largest first; [N, 5] with
            detection scores if the detector has scores.
        """
        return self.corrected(self.raw_boxes(image))

    def corrected(self, raw_boxes_xyxy_px: np.ndarray) -> np.ndarray:
        """Returns raw boxes corrected and sorted by their longer side; see `__call__`."""
        sides = np.max(raw_boxes_xyxy_px[:, 2:4] - raw_boxes_xyxy_px[:, :2], axis=1)
        return self.correction(raw_boxes_xyxy_px[np.argsort(-sides, kind="stable")])


def shrink_to(image: np.ndarray, max_side_px: int) -> np.ndarray:
    """Returns an image scaled down to a longer side of `max_side_px`, if it is larger."""
    height, width = image.shape[:2]
    scale = max_side_px / max(height, width)
    if scale >= 1:
        return image
    cv2 = require_opencv()
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def from_corners(corners_xywh: np.ndarray, found_in: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Converts OpenCV's boxes to this package's coordinates in the original image.

    Args:
        corners_xywh: Boxes [N, 4] as left, top, width, height; 0 is the edge of the first pixel.
        found_in: The image in which they were detected; see `shrink_to`.
        image: The original image.

    Returns:
        ``x0, y0, x1, y1`` float64 [N, 4]; pixel centers are integers.
    """
    corners = np.asarray(corners_xywh, np.float64).reshape(-1, 4)
    scale_xy = np.array(image.shape[1::-1]) / found_in.shape[1::-1]
    low, high = corners[:, :2], corners[:, :2] + corners[:, 2:]
    return np.concatenate([low * scale_xy, high * scale_xy], axis=1) - 0.5
