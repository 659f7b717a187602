"""Videos: frames of a file or a camera with their times, and videos written."""

import contextlib
import os
import pathlib
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from wing_tf.utils.opencv import require_opencv

cv2 = require_opencv()

_USUAL_RATE = 30.0
_SLOWEST_RATE, _FASTEST_RATE = 0.01, 1000.0
_MOST_TICKS = 65535  # MPEG-4's for a second
# Containers that say how many frames they hold; others say how long they last.
_COUNTED = {".avi", ".m4v", ".mov", ".mp4"}
_MOST_FAILURES_FILE, _MOST_FAILURES_CAMERA = 3000, 30
_CODECS = {".avi": "MJPG", ".m4v": "mp4v", ".mov": "mp4v", ".mp4": "mp4v"}


class VideoFrame(NamedTuple):
    """One frame.

    Attributes:
        index: its number in the video, from 0; frames that could not be read are counted, too, as
            far as can be told.
        time_s: when it was taken, in seconds from the start; later than the one before.
        image: uint8 RGB [H, W, 3].
    """

    index: int
    time_s: float
    image: np.ndarray


def open_video(source: str | os.PathLike | int) -> "VideoReader":
    """Opens a video.

    Args:
        source: a file, or the number of a camera (a text of digits is one, too, where there is no
            such file).

    Raises:
        ValueError: if there is no such file or camera, or no frame of it can be read.

    Example:
        >>> with open_video("video.mp4") as video:  # doctest: +SKIP
        ...     for frame in video:
        ...         print(frame.time_s, frame.image.shape)
    """
    if isinstance(source, str) and source.isdecimal() and not pathlib.Path(source).exists():
        source = int(source)
    return VideoReader(source)


class VideoReader:
    """Frames of a video in order; see `open_video`.

    A frame that can't be read is left out, and the next one that can is given. Some damage does
    not show: a decoder may hand out frames with wrong parts.

    Attributes:
        size_hw: height and width of a frame.
        frames_per_s: as the video states it; 30 where it states nothing that makes sense.
        num_frames: as a file states it; an estimate for some containers; None for a camera and
            where nothing is stated.
        num_broken: how many frames could not be read so far. At the end, frames that a file states
            but does not hold are in it. Where MPEG-4 ends before its stated frames it may be
            trimmed: these are taken for lost only if the file itself is cut off.
        is_camera: whether it is one.
    """

    def __init__(self, source: str | os.PathLike | int):
        self.is_camera = isinstance(source, int)
        self._name = f"Camera {source}" if self.is_camera else str(source)
        self._path = None if self.is_camera else pathlib.Path(source)
        self._counted = self._path is not None and self._path.suffix.lower() in _COUNTED
        if self._path is not None:
            if not self._path.exists():
                raise ValueError(f"No video at {self._path}.")
            if self._path.is_dir():
                raise ValueError(f"{self._path} is a folder, not a video.")
        with _quiet():
            self._capture = (
                cv2.VideoCapture(source)
                if self.is_camera
                else cv2.VideoCapture(os.fspath(source), cv2.CAP_FFMPEG)
            )
        self._start_s = time.monotonic()
        self.num_broken = self._num_read = 0
        rate, count = (self._capture.get(p) for p in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        self.frames_per_s = float(rate) if 0 < rate <= _FASTEST_RATE else _USUAL_RATE
        self.num_frames = round(count) if count >= 1 and not self.is_camera else None
        self._last = -1, -1.0 / self.frames_per_s  # index and time of the last frame
        first = self._read() if self._capture.isOpened() else None
        if first is None:
            self.close()
            what = "can't be opened" if self.is_camera else "is no video that can be read"
            raise ValueError(f"{self._name} {what}.")
        self._first: VideoFrame | None = first
        self.size_hw = first.image.shape[:2]

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
        """Lets go of the file or camera; there are no more frames."""
        self._first = None
        self._capture.release()

    def _read(self) -> VideoFrame | None:
        """Returns the next frame that can be read; None at the end."""
        if not self._capture.isOpened():
            return None
        most = _MOST_FAILURES_CAMERA if self.is_camera else _MOST_FAILURES_FILE
        for failures in range(most):
            with contextlib.suppress(cv2.error):
                done, image = self._capture.read()
                if done:
                    self.num_broken += failures
                    return self._placed(image, failures)
            if self.is_camera:
                time.sleep(1 / self.frames_per_s)
            elif self._counted and self.num_frames is not None:
                if self._num_read + self.num_broken + failures + 1 >= self.num_frames:
                    break
        missing = self.num_frames - self._num_read if self._counted and self.num_frames else 0
        if missing > self.num_broken and (
            self._path.suffix.lower() == ".avi" or _is_cut_off(self._path)
        ):
            self.num_broken = missing
        return None

    def _placed(self, image: np.ndarray, skipped: int) -> VideoFrame:
        """Returns a frame with its number and time."""
        index, last_s = self._last
        index += skipped + 1
        step_s = 1 / self.frames_per_s
        if self.is_camera:
            time_s = time.monotonic() - self._start_s
        else:
            time_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not time_s > last_s:  # no stamp, or a wrong one
            time_s = last_s + (skipped + 1) * step_s
        self._num_read += 1
        self._last = index, time_s
        return VideoFrame(index, time_s, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


class VideoWriter:
    """Writes a video, under a temporary name until it is whole.

    Leaving its ``with`` by an exception removes what was written.

    Args:
        path: the ending tells the kind: ``.mp4``, ``.m4v`` and ``.mov`` are MPEG-4, ``.avi`` is
            Motion JPEG: larger, and every frame stands alone.
        frames_per_s: the rate, 0.01 to 1000.
        size_hw: height and width of the frames.

    Attributes:
        frames_per_s: the rate that is written: MPEG-4 can't hold all of them, so that it is rounded
            to 3 decimals below 65.5, to 2 below 655, to 1 above.

    Raises:
        ValueError: on another ending, another rate, a size below 2, or if the file can't be
            written.
    """

    def __init__(self, path: str | os.PathLike, *, frames_per_s: float, size_hw: tuple[int, int]):
        self.path = pathlib.Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in _CODECS:
            raise ValueError(
                f"A video must be one of {', '.join(sorted(_CODECS))}. Received: {self.path}."
            )
        if not _SLOWEST_RATE <= frames_per_s <= _FASTEST_RATE:
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
        self._partial = self.path.with_name(f".{self.path.stem}.partial{suffix}")
        with _quiet():
            self._writer = cv2.VideoWriter(
                str(self._partial),
                cv2.CAP_FFMPEG,
                cv2.VideoWriter_fourcc(*_CODECS[suffix]),
                self.frames_per_s,
                self._size_hw[::-1],
            )
        if not self._writer.isOpened():
            self._partial.unlink(missing_ok=True)
            raise ValueError(f"{self.path} can't be written.")

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
        """Finishes the file and gives it its name.

        Raises:
            ValueError: if no frame was written; there is no file then.
        """
        if not self._writer.isOpened():
            return
        self._writer.release()
        if not self._num_written:
            self._partial.unlink(missing_ok=True)
            raise ValueError(f"No frame was written to {self.path}.")
        os.replace(self._partial, self.path)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind, *exception) -> None:
        if kind is None:
            self.close()
        else:
            self._writer.release()
            self._partial.unlink(missing_ok=True)


def _writable_rate(frames_per_s: float) -> float:
    """Returns a rate as near as MPEG-4 can hold: OpenCV states it in decimals."""
    digits = next(n for n in (3, 2, 1) if round(frames_per_s * 10**n) <= _MOST_TICKS)
    return round(float(frames_per_s), digits)


def _is_cut_off(path: pathlib.Path) -> bool:
    """Returns whether an MPEG-4 file ends before the last of its parts does."""
    size, start = path.stat().st_size, 0
    with path.open("rb") as file:
        while start < size:
            file.seek(start)
            head = file.read(16)  # length and kind; the length behind them where it is a long one
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:], "big")
            if length < 8:  # 0: the last part, of any length; else no such file
                return False
            start += length
    return start > size


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV and FFmpeg print nothing about what can't be opened: an error says it."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read once, when FFmpeg is first used
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
