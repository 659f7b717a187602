"""OpenCV's small network for faces; its file comes from the user."""

import os
import pathlib
import threading
from typing import Any

import numpy as np

from wing_tf.detection.correction import Correction
from wing_tf.detection.detector import Detector, from_corners, shrink_to
from wing_tf.utils.opencv import require_opencv

_TRIAL_SIZE = (320, 320)


class YuNetDetector(Detector):
    """YuNet through ``cv2.FaceDetectorYN``: turned and half-hidden faces, too.

    Its file is ``face_detection_yunet_2023mar.onnx`` of OpenCV's model zoo. Nothing is taken off
    its boxes by default, as no correction was measured for it here: `calibrate` does that.

    Args:
        model_path: the ``.onnx`` file.
        score_threshold: the least score of a face, 0 to 1.
        longest_px: images whose longer side is longer are searched at this size: the network
            was trained on faces of about 10 to 300 pixels.
        correction: from raw boxes to landmark squares; none if None.

    Raises:
        ValueError: if the file can't be read or is of another network, or the score is not one.
    """

    def __init__(
        self,
        model_path: str | os.PathLike,
        *,
        score_threshold: float = 0.7,
        longest_px: int = 640,
        correction: Correction | None = None,
    ):
        super().__init__(correction=correction)
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"`score_threshold` must be 0 to 1. Received: {score_threshold}.")
        self.longest_px = longest_px
        self._lock = threading.Lock()  # it keeps its input size
        self._network = _open(pathlib.Path(model_path), score_threshold)

    def raw_boxes(self, image: np.ndarray) -> np.ndarray:
        """Returns the network's own boxes [N, 4]; see `__call__`."""
        small = shrink_to(image, self.longest_px)
        cv2 = require_opencv()
        bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        with self._lock:
            self._network.setInputSize(small.shape[1::-1])
            _, rows = self._network.detect(bgr)
        rows = (
            np.zeros((0, 15)) if rows is None else rows
        )  # left, top, width, height, 5 points, score
        boxes = from_corners(rows[:, :4], small, image)
        return boxes[np.all(boxes[:, 2:] > boxes[:, :2], axis=1)]


def _open(path: pathlib.Path, score_threshold: float) -> Any:
    """Returns the network, tried on a gray image."""
    cv2 = require_opencv()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"Cannot read detector model {path}: {error.strerror}.") from None
    try:
        # From memory: OpenCV opens no path with letters that the system's code page lacks.
        network = cv2.FaceDetectorYN.create(
            "onnx",
            np.frombuffer(content, np.uint8),
            np.zeros(0, np.uint8),
            _TRIAL_SIZE,
            score_threshold,
        )
        network.detect(np.full((*_TRIAL_SIZE, 3), 128, np.uint8))
    except cv2.error as error:
        reason = " ".join(str(error.err or error).split())
        raise ValueError(
            f"{path} is no YuNet model that OpenCV {cv2.__version__} can run: {reason}"
        ) from None
    return network
