"""Reading and writing of video files, and reading of cameras."""

import contextlib
import os
import pathlib
import time
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

import numpy as np

from wing_tf.utils.atomic import atomic_path
from wing_tf.utils.opencv import require_opencv

cv2 = require_opencv()

_DEFAULT_RATE = 30.0
_MIN_RATE, _MAX_RATE = 0.01, 1000.0
_MAX_TICKS_PER_S = 65535  # of MPEG-4
# Containers that state their number of frames; others state their duration.
_COUNTED = {".avi", ".m4v", ".mov", ".mp4"}
_MAX_FAILURES_FILE, _MAX_FAILURES_CAMERA = 3000, 30
_CODECS = {".avi": "MJPG", ".m4v": "mp4v", ".mov": "mp4v", ".mp4": "mp4v"}


class VideoFrame(NamedTuple):
    """One frame of a video.

    Attributes:
        number: Position in the video, from 0. Frames that can't be decoded are counted as far as
            they are noticed.
        time_s: Time since the start in seconds, strictly increasing.
        image: uint8 RGB [H, W, 3].
    """

    number: int
    time_s: float
    image: np.ndarray


def open_video(source: str | os.PathLike | int) -> "VideoReader":
    """Opens a video file or a camera.

    Args:
        source: File name, or number of a camera. A string of digits is a camera, too, unless there
            is a file of that name.

    Raises:
        ValueError: If there is no such file or camera, or if no frame can be read.

    Example:
        >>> with open_video("video.mp4") as video:  # doctest: +SKIP
        ...     for frame in video:
        ...         print(frame.time_s, frame.image.shape)
    """
    if isinstance(source, str) and source.isdecimal() and not pathlib.Path(source).exists():
        source = int(source)
    return VideoReader(source)


class VideoReader:
    """Iterator over the frames of a video; see `open_video`.

    A frame that can't be decoded is skipped. Some damage is not noticed, because a decoder may
    return frames with wrong parts.

    Attributes:
        size_hw: Height and width of the frames.
        frames_per_s: Frame rate that the video states; 30 if it states no plausible one.
        num_frames: Number of frames that a file states, an estimate for some containers. None for a
            camera, and if no number is stated.
        num_broken: Number of frames that could not be decoded so far. At the end of an AVI file it
            includes the stated frames that are absent. An MPEG-4 file may state more frames than
            it shows, so that frames at its end are not counted.
        is_camera: Whether the source is a camera.
    """

    def __init__(self, source: str | os.PathLike | int):
        self.is_camera = isinstance(source, int)
        self._suffix = ""
        if not isinstance(source, int):
            path = pathlib.Path(source)
            self._suffix = path.suffix.lower()
            if not path.exists():
                raise ValueError(f"No video at {path}.")
            if path.is_dir():
                raise ValueError(f"{path} is a folder, not a video.")
        with _quiet():
            self._capture = (
                cv2.VideoCapture(source)
                if isinstance(source, int)
                else cv2.VideoCapture(os.fspath(source), cv2.CAP_FFMPEG)
            )
        self._start_s = time.monotonic()
        self.num_broken = self._num_read = 0
        rate, count = (self._capture.get(p) for p in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        self.frames_per_s = float(rate) if 0 < rate <= _MAX_RATE else _DEFAULT_RATE
        self.num_frames = round(count) if count >= 1 and not self.is_camera else None
        # The frames that are surely in the file, if their number is known.
        self._num_stated = self.num_frames if self._suffix in _COUNTED else None
        self._last = -1, -1.0 / self.frames_per_s  # number and time of the last frame
        first = self._read() if self._capture.isOpened() else None
        if first is None:
            self.close()
            raise ValueError(
                f"Camera {source} can't be opened."
                if self.is_camera
                else f"{source} is not a video that can be read."
            )
        self._first: VideoFrame | None = first
        self.size_hw = (first.image.shape[0], first.image.shape[1])

    def __iter__(self) -> Iterator[VideoFrame]:
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        while (frame := self._read()) is not None:
            yield frame

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Releases the file or camera; there are no more frames."""
        self._first = None
        self._capture.release()

    def _read(self) -> VideoFrame | None:
        """Returns the next frame that can be decoded; None at the end."""
        if not self._capture.isOpened():
            return None
        for failures in range(_MAX_FAILURES_CAMERA if self.is_camera else _MAX_FAILURES_FILE):
            with contextlib.suppress(cv2.error):
                done, image = self._capture.read()
                if done:
                    self.num_broken += failures
                    return self._frame(image, failures)
            if self.is_camera:
                time.sleep(1 / self.frames_per_s)
            elif self._num_stated is not None:
                if self._num_read + self.num_broken + failures + 1 >= self._num_stated:
                    break
        if self._suffix == ".avi" and self._num_stated is not None:
            self.num_broken = max(self.num_broken, self._num_stated - self._num_read)
        return None

    def _frame(self, image: np.ndarray, num_skipped: int) -> VideoFrame:
        """Returns a decoded BGR image as a frame with its number and time."""
        number, last_s = self._last
        if self.is_camera:
            time_s = time.monotonic() - self._start_s
        else:
            time_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not time_s > last_s:  # no time stamp, or a wrong one
            time_s = last_s + (num_skipped + 1) / self.frames_per_s
        self._num_read += 1
        self._last = number + num_skipped + 1, time_s
        return VideoFrame(*self._last, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


class VideoWriter:
    """Writes a video file, atomically.

    If the ``with`` block ends with an exception, no file is left.

    Args:
        path: File name. The suffix determines the codec: MPEG-4 for ``.mp4``, ``.m4v`` and
            ``.mov``, Motion JPEG for ``.avi``, which is larger and has independent frames.
        frames_per_s: Frame rate, 0.01 to 1000.
        size_hw: Height and width of the frames.

    Attributes:
        frames_per_s: Frame rate that is written. MPEG-4 limits its precision: 3 decimals below
            65.5, 2 below 655, 1 above.

    Raises:
        ValueError: If the suffix, the rate or the size is not valid, or if the file can't be
            written.
    """

    def __init__(self, path: str | os.PathLike, *, frames_per_s: float, size_hw: tuple[int, int]):
        self.path = pathlib.Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in _CODECS:
            raise ValueError(
                f"A video must be one of {', '.join(sorted(_CODECS))}. Received: {self.path}."
            )
        if not _MIN_RATE <= frames_per_s <= _MAX_RATE:
            raise ValueError(
                f"`frames_per_s` must be positive, 0.01 to 1000. "
                f"Received: frames_per_s={frames_per_s}."
            )
        if min(size_hw) < 2:
            raise ValueError(f"A video must be at least 2 x 2 pixels. Received: {tuple(size_hw)}.")
        if not self.path.parent.is_dir():
            raise ValueError(f"No folder {self.path.parent} to write {self.path.name} to.")
        self.frames_per_s = _writable_rate(frames_per_s)
        self._size_hw, self._num_written = tuple(size_hw), 0
        self._file = contextlib.ExitStack()
        partial = self._file.enter_context(atomic_path(self.path))
        with _quiet():
            self._writer = cv2.VideoWriter(
                str(partial),
                cv2.CAP_FFMPEG,
                cv2.VideoWriter_fourcc(*_CODECS[suffix]),
                self.frames_per_s,
                self._size_hw[::-1],
            )
        if not self._writer.isOpened():
            self._discard(ValueError(f"{self.path} can't be written."))

    def write(self, image: np.ndarray) -> None:
        """Adds a frame.

        Args:
            image: uint8 RGB [H, W, 3], of the video's size.

        Raises:
            ValueError: on another kind or size of image.
        """
        if image.shape != (*self._size_hw, 3) or image.dtype != np.uint8:
            raise ValueError(
                f"A frame must be uint8 {(*self._size_hw, 3)}. "
                f"Received: {image.dtype} {image.shape}."
            )
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self._num_written += 1

    def close(self) -> None:
        """Completes the file and gives it its name.

        Raises:
            ValueError: If no frame was written; there is no file then.
        """
        if not self._writer.isOpened():
            return
        if not self._num_written:
            self._discard(ValueError(f"No frame was written to {self.path}."))
        self._writer.release()
        self._file.close()

    def _discard(self, error: BaseException) -> NoReturn:
        """Removes what was written, and raises the error."""
        self._writer.release()
        with self._file:
            raise error

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.close()
        else:
            self._discard(error)


def _writable_rate(frames_per_s: float) -> float:
    """Returns the nearest rate that MPEG-4 can hold, of which OpenCV writes the decimals."""
    digits = next(n for n in (3, 2, 1) if round(frames_per_s * 10**n) <= _MAX_TICKS_PER_S)
    return round(float(frames_per_s), digits)


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
