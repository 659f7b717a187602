"""OpenCV's Haar cascade for frontal faces."""

import pathlib
import threading
from typing import Any

import numpy as np

from wing_tf.detection.correction import Correction
from wing_tf.detection.detector import Detector, from_corners, shrink_to
from wing_tf.geometry import box_iou
from wing_tf.utils.child_process import trust, try_in_child
from wing_tf.utils.opencv import require_opencv

_SHA256 = "0f7d4527844eb514d4a4948e822da90fbb16a34a0bbbbc6adc6498747a5aafb0"
_WINDOW_PX = 24  # window of the cascade: smaller faces can't be detected
# Border as a fraction of the shorter side, for faces that fill the image: the boxes are wider.
_BORDER = 0.15
_MAX_IOU = 0.3  # of two different faces
# A detection is dropped if its strength and its side are below these fractions of another one's.
_WEAK, _SMALL = 0.2, 0.5


class HaarDetector(Detector):
    """OpenCV's Haar cascade for frontal faces, with additional rejection of false detections.

    The strength of a detection is the number of raw hits that were grouped into it. It is no score
    in 0..1, so the boxes have none. Of overlapping detections the strongest is kept. A detection
    that is both much weaker and much smaller than another one is dropped, because it is usually
    texture. Faces of similar size are all kept.

    The default correction was measured by ``benchmarks/landmarker.py --calibrate --sets=train`` on
    the images of 2012 training faces of 300-W: recall 94 %, 0.11 other boxes per image, center
    error after the correction .09 of the side (95 %: .19), scale .86 to 1.15 (5 to 95 %).

    Args:
        scale_factor: Ratio of two consecutive face sizes of the search.
        min_neighbors: Minimum number of raw hits that support a detection.
        min_size: Minimum face size, as a fraction of the shorter side of the image.
        max_side_px: Images with a longer side are scaled down to it, so that the time is bounded.
            Faces below about 50 pixels are detected less often.
        correction: Correction from raw boxes to landmark squares. Defaults to the measured one.

    Raises:
        ValueError: If the file of the cascade can't be read or is damaged.
        ImportError: If OpenCV is not installed, or is version 5, which has no cascades.
    """

    default_correction = Correction((0.0, 0.149), 0.872)

    def __init__(
        self,
        *,
        scale_factor: float = 1.1,
        min_neighbors: int = 3,
        min_size: float = 0.08,
        max_side_px: int = 1024,
        correction: Correction | None = None,
    ):
        super().__init__(correction=correction)
        self.scale_factor, self.min_neighbors = scale_factor, min_neighbors
        self.min_size, self.max_side_px = min_size, max_side_px
        self._load()

    def _load(self) -> None:
        cv2 = require_opencv()
        if not hasattr(cv2, "CascadeClassifier"):
            raise ImportError(
                f"OpenCV {cv2.__version__} lacks CascadeClassifier. Use the detector 'blazeface', "
                "or pip install 'opencv-python<5'."
            )
        path = pathlib.Path(cv2.data.haarcascades, "haarcascade_frontalface_default.xml")
        trust(_SHA256)
        self._cascade = open_cascade(path)
        self._lock = threading.Lock()  # a cascade holds the image while it runs

    def raw_boxes(self, image: np.ndarray) -> np.ndarray:
        """Returns the boxes of the cascade [N, 4], strongest first."""
        small = shrink_to(image, self.max_side_px)
        shorter = min(small.shape[:2])
        if shorter < _WINDOW_PX:
            return np.zeros((0, 4))
        cv2 = require_opencv()
        border = round(_BORDER * shorter)
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        gray = cv2.copyMakeBorder(gray, *[border] * 4, cv2.BORDER_REPLICATE)
        min_side = max(_WINDOW_PX, round(self.min_size * shorter))
        with self._lock:
            found, strengths = self._cascade.detectMultiScale2(
                cv2.equalizeHist(gray),
                scaleFactor=self.scale_factor,
                minNeighbors=self.min_neighbors,
                minSize=(min_side, min_side),
            )
        hits = np.array(found, np.float64).reshape(-1, 4) - [border, border, 0, 0]
        return keep_faces(from_corners(hits, small, image), np.array(strengths).reshape(-1))


def open_cascade(path: pathlib.Path) -> Any:
    """Opens a cascade of OpenCV, at first in a child process.

    Raises:
        ValueError: If the file can't be read or is not a cascade.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"Cannot read the cascade {path}: {error.strerror}.") from None
    try_in_child(_run_once, content, path, reader="OpenCV")
    return _load_cascade(path)


def _load_cascade(path: pathlib.Path) -> Any:
    cv2 = require_opencv()
    try:
        cascade = cv2.CascadeClassifier(str(path))
        is_valid = not cascade.empty()
    except (cv2.error, SystemError):  # OpenCV's binding does not name the reason
        is_valid = False
    if not is_valid:
        raise ValueError(f"{path} is not a cascade that OpenCV {cv2.__version__} can run.")
    return cascade


def _run_once(content: bytes, path: pathlib.Path) -> None:
    """Runs a cascade on a gray image."""
    cascade = _load_cascade(path)
    try:
        cascade.detectMultiScale2(np.full((64, 64), 128, np.uint8))
    except require_opencv().error as error:
        reason = " ".join(str(error.err or error).split())
        raise ValueError(f"{path} is not a cascade that OpenCV can run: {reason}") from None


def keep_faces(boxes: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Returns the boxes [N, 4] that are kept as faces; see `HaarDetector`."""
    order = np.argsort(-strengths, kind="stable")
    boxes, strengths = boxes[order], strengths[order]
    kept: list[int] = []
    for number, box in enumerate(boxes):
        if not np.any(box_iou(boxes[kept], box) > _MAX_IOU):
            kept.append(number)
    boxes, strengths = boxes[kept], strengths[kept]
    sides = boxes[:, 2] - boxes[:, 0]
    weak = strengths[:, None] < _WEAK * strengths
    return boxes[~np.any(weak & (sides[:, None] < _SMALL * sides), axis=1)]
