"""Frames of live sources: cameras."""

import contextlib
import os
import time
from collections.abc import Iterator

import numpy as np

from wing_tf.inference.video import VideoFrame, VideoReader
from wing_tf.utils.opencv import require_opencv

cv2 = require_opencv()

_DEFAULT_RATE, _MAX_RATE = 30.0, 1000.0
_MAX_FAILURES = 30


class LiveVideo(VideoReader):
    """Iterator over the frames of a camera; see `open_video`.

    Args:
        source: Number of the camera.

    Raises:
        ValueError: If there is no such camera, or if no frame can be read.
    """

    num_frames = None

    def __init__(self, source: int):
        with _quiet():
            self._capture = cv2.VideoCapture(source)
        self._start_s = time.monotonic()
        self.num_broken = 0
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frames_per_s = float(rate) if 0 < rate <= _MAX_RATE else _DEFAULT_RATE
        self._last = -1, -1.0 / self.frames_per_s  # number and time of the last frame
        first = self._read() if self._capture.isOpened() else None
        if first is None:
            self.close()
            raise ValueError(f"Camera {source} can't be opened.")
        self._first: VideoFrame | None = first
        self.size_hw = (first.image.shape[0], first.image.shape[1])

    def __iter__(self) -> Iterator[VideoFrame]:
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        while (frame := self._read()) is not None:
            yield frame

    def close(self) -> None:
        """Releases the camera; there are no more frames."""
        self._first = None
        self._capture.release()

    def _read(self) -> VideoFrame | None:
        """Returns the next frame; None if the camera returns no more."""
        if not self._capture.isOpened():
            return None
        for failures in range(_MAX_FAILURES):
            with contextlib.suppress(cv2.error):
                done, image = self._capture.read()
                if done:
                    self.num_broken += failures
                    return self._frame(image, failures)
            time.sleep(1 / self.frames_per_s)
        return None

    def _frame(self, image: np.ndarray, num_skipped: int) -> VideoFrame:
        """Returns a decoded BGR image as a frame with its number and time."""
        number, last_s = self._last
        time_s = time.monotonic() - self._start_s
        if not time_s > last_s:
            time_s = last_s + (num_skipped + 1) / self.frames_per_s
        self._last = number + num_skipped + 1, time_s
        return VideoFrame(*self._last, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences OpenCV and FFmpeg, which print to stderr about files that can't be opened."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read once, when FFmpeg is first used
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
