"""Reading of video files."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import numpy as np

from wing_tf.inference.video import VideoFrame, VideoReader
from wing_tf.utils.opencv import require_opencv

cv2 = require_opencv()

_DEFAULT_RATE, _MAX_RATE = 30.0, 1000.0
# Containers that state their number of frames; others state their duration.
_COUNTED = {".avi", ".m4v", ".mov", ".mp4"}
_MAX_FAILURES = 3000


class VideoFile(VideoReader):
    """Iterator over the frames of a video file; see `open_video`.

    At the end of an AVI file `num_broken` includes the stated frames that are absent. An MPEG-4
    file may state more frames than it shows, so that frames at its end are not counted.

    Args:
        path: File name.

    Raises:
        ValueError: If there is no such file, or if no frame can be read.
    """

    def __init__(self, path: str | os.PathLike):
        path = pathlib.Path(path)
        self._suffix = path.suffix.lower()
        if not path.exists():
            raise ValueError(f"No video at {path}.")
        if path.is_dir():
            raise ValueError(f"{path} is a folder, not a video.")
        with quiet_opencv():
            self._capture = cv2.VideoCapture(os.fspath(path), cv2.CAP_FFMPEG)
        self.num_broken = self._num_read = 0
        rate, count = (self._capture.get(p) for p in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        self.frames_per_s = float(rate) if 0 < rate <= _MAX_RATE else _DEFAULT_RATE
        self.num_frames = round(count) if count >= 1 else None
        # The frames that are surely in the file, if their number is known.
        self._num_stated = self.num_frames if self._suffix in _COUNTED else None
        self._last = -1, -1.0 / self.frames_per_s  # number and time of the last frame
        first = self._read() if self._capture.isOpened() else None
        if first is None:
            self.close()
            raise ValueError(f"{path} is not a video that can be read.")
        self._first: VideoFrame | None = first
        self.size_hw = (first.image.shape[0], first.image.shape[1])

    def __iter__(self) -> Iterator[VideoFrame]:
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        while (frame := self._read()) is not None:
            yield frame

    def close(self) -> None:
        """Releases the file; there are no more frames."""
        self._first = None
        self._capture.release()

    def _read(self) -> VideoFrame | None:
        """Returns the next frame that can be decoded; None at the end."""
        if not self._capture.isOpened():
            return None
        for failures in range(_MAX_FAILURES):
            with contextlib.suppress(cv2.error):
                done, image = self._capture.read()
                if done:
                    self.num_broken += failures
                    return self._frame(image, failures)
            if self._num_stated is not None:
                if self._num_read + self.num_broken + failures + 1 >= self._num_stated:
                    break
        if self._suffix == ".avi" and self._num_stated is not None:
            self.num_broken = max(self.num_broken, self._num_stated - self._num_read)
        return None

    def _frame(self, image: np.ndarray, num_skipped: int) -> VideoFrame:
        """Returns a decoded BGR image as a frame with its number and time."""
        number, last_s = self._last
        time_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not time_s > last_s:  # no time stamp, or a wrong one
            time_s = last_s + (num_skipped + 1) / self.frames_per_s
        self._num_read += 1
        self._last = number + num_skipped + 1, time_s
        return VideoFrame(*self._last, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


@contextlib.contextmanager
def quiet_opencv() -> Iterator[None]:
    """Silences OpenCV and FFmpeg, which print to stderr about files that can't be opened."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read once, when FFmpeg is first used
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
