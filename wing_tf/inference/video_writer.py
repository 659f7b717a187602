"""Writing of video files."""

import contextlib
import os
import pathlib
from typing import NoReturn

import numpy as np

from wing_tf.inference.video_file import quiet_opencv
from wing_tf.utils.atomic import atomic_path
from wing_tf.utils.opencv import require_opencv

cv2 = require_opencv()

_MIN_RATE, _MAX_RATE = 0.01, 1000.0
_MAX_TICKS_PER_S = 65535  # of MPEG-4
_CODECS = {".avi": "MJPG", ".m4v": "mp4v", ".mov": "mp4v", ".mp4": "mp4v"}


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
        with quiet_opencv():
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
