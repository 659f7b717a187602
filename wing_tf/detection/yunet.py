"""The YuNet face detector of OpenCV, whose model file the user provides."""

import os
import pathlib
import threading
from typing import Any

import numpy as np

from wing_tf.detection.correction import Correction
from wing_tf.detection.detector import Detector, from_corners, shrink_to
from wing_tf.utils.child_process import try_in_child
from wing_tf.utils.local_path import local_path
from wing_tf.utils.opencv import require_opencv

_TRIAL_SIZE = (320, 320)


class YuNetDetector(Detector):
    """YuNet through ``cv2.FaceDetectorYN``, which also detects rotated and occluded faces.

    The model file is ``face_detection_yunet_2023mar.onnx`` of OpenCV's model zoo. The default
    correction was measured like that of `BlazeFaceDetector`: recall 100 %, 0.08 other boxes per
    image, center error after it .04 of the side (95 %: .09), scale .88 to 1.12 (5 to 95 %).

    Args:
        model_path: The ``.onnx`` file.
        score_threshold: Minimum score of a face, 0 to 1.
        max_side_px: Images with a longer side are scaled down to it: the network was trained on
            faces of about 10 to 300 pixels.
        correction: Correction from raw boxes to landmark squares. Defaults to the measured one.

    Raises:
        ValueError: If the file can't be read or is not a YuNet model, or the threshold is out of
            range.
    """

    default_correction = Correction((0.0, 0.125), 0.789)

    def __init__(
        self,
        model_path: str | os.PathLike,
        *,
        score_threshold: float = 0.7,
        max_side_px: int = 640,
        correction: Correction | None = None,
    ):
        super().__init__(correction=correction)
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"`score_threshold` must be 0 to 1. Received: {score_threshold}.")
        self.max_side_px = max_side_px
        self._model_path, self._score_threshold = local_path(model_path), score_threshold
        self._load()

    def _load(self) -> None:
        self._lock = threading.Lock()  # the network holds its input size
        self._network = _open(self._model_path, self._score_threshold)

    def raw_boxes(self, image: np.ndarray) -> np.ndarray:
        """Returns the boxes of the network with their scores [N, 5]; see `__call__`."""
        small = shrink_to(image, self.max_side_px)
        cv2 = require_opencv()
        bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        with self._lock:
            self._network.setInputSize(small.shape[1::-1])
            _, rows = self._network.detect(bgr)
        # Columns: left, top, width, height, 5 points, score.
        rows = np.zeros((0, 15)) if rows is None else rows
        boxes = from_corners(rows[:, :4], small, image)
        scored = np.concatenate([boxes, np.clip(rows[:, 14:], 0, 1)], axis=1)
        return scored[np.all(boxes[:, 2:] > boxes[:, :2], axis=1)]


def _open(path: pathlib.Path, score_threshold: float) -> Any:
    """Returns the network after a trial on a gray image, at first in a child process."""
    require_opencv()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"Cannot read detector model {path}: {error.strerror}.") from None
    try_in_child(_run_once, content, path, reader="OpenCV")
    return _load_network(content, path, score_threshold)


def _run_once(content: bytes, path: pathlib.Path) -> None:
    _load_network(content, path, 0.0)


def _load_network(content: bytes, path: pathlib.Path, score_threshold: float) -> Any:
    cv2 = require_opencv()
    try:
        # From memory, because OpenCV can't open paths outside of the system's code page.
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
            f"{path} is not a YuNet model that OpenCV {cv2.__version__} can run: {reason}"
        ) from None
    return network
