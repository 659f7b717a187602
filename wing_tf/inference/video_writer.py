"""Writing of video files with PyAV, the Python binding of FFmpeg."""

import contextlib
import math
import os
import pathlib
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from wing_tf.inference.audio_track import AudioTrack
from wing_tf.inference.video_file import VideoFile
from wing_tf.utils.atomic import WriteError, atomic_path
from wing_tf.utils.local_path import local_path
from wing_tf.utils.pyav import require_pyav

if TYPE_CHECKING:
    import av
else:
    av = require_pyav()

_MIN_RATE, _MAX_RATE = 0.01, 1000.0
_FORMATS = {".m4v": "mp4", ".mkv": "matroska", ".mov": "mov", ".mp4": "mp4"}
# By codec: the unit of time, in which usual frame intervals are whole numbers (MPEG-4 has at most
# 65535 units per second), and the options.
_CODECS = {
    "libx264": (Fraction(1, 120_000), {"preset": "veryfast", "crf": "20"}),
    "mpeg4": (Fraction(1, 60_000), {"qmin": "2", "qmax": "5"}),
}
_BT709, _LIMITED_RANGE = 1, 1


class VideoWriter:
    """Writes a video file, atomically.

    The codec is H.264 if FFmpeg has its encoder, and MPEG-4 otherwise. Frames keep their times, so
    that the frame rate may vary. Frames of an odd height or width get one more row or column, equal
    to the last one. Colors are those of BT.709. If the ``with`` block ends with an exception, no
    file is left.

    Args:
        path: File name that ends in ``.mp4``, ``.m4v``, ``.mov`` or ``.mkv``.
        frames_per_s: Frame rate, .01 to 1000: for frames without a time, and for the duration of
            the last frame.
        size_hw: Height and width of the frames.
        pixel_aspect: Width of a pixel divided by its height.
        audio_from: Video file whose audio the video gets, if it has any; see `AudioTrack`. If all
            frames of the file were read before this file is closed, it gets the whole audio,
            otherwise as much as corresponds to the frames.
        codec: "libx264" or "mpeg4". Defaults to the first one that FFmpeg has.

    Raises:
        ValueError: If the suffix, the rate, the size or the codec is not valid.
        OSError: If the file can't be written.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        frames_per_s: float,
        size_hw: tuple[int, int],
        pixel_aspect: Fraction = Fraction(1),
        audio_from: VideoFile | None = None,
        codec: str | None = None,
    ):
        self.path = local_path(path)
        format = _FORMATS.get(self.path.suffix.lower())
        if format is None:
            raise ValueError(
                f"A video must be one of {', '.join(sorted(_FORMATS))}. Received: {self.path}."
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
        if codec is None:
            codec = next(name for name in _CODECS if name in av.codecs_available)
        if codec not in _CODECS:
            raise ValueError(f"`codec` must be one of {', '.join(_CODECS)}. Received: {codec}.")
        self._rate, self._size_hw = float(frames_per_s), (size_hw[0], size_hw[1])
        self._start_s = self._last_s = 0.0
        self._last: int | None = None  # time stamp of the last frame
        self._audio_from, self._closing = audio_from, contextlib.ExitStack()
        self._to_yuv = av.video.reformatter.VideoReformatter()
        self._is_open = True
        with self._checked():
            partial = self._closing.enter_context(atomic_path(self.path))
            self._file = self._closing.enter_context(_OutputFile(partial))
            self._container = av.open(self._file, "w", format=format)
            self._stream = self._add_stream(codec, pixel_aspect)
            self._audio = AudioTrack(audio_from, self._container) if audio_from else None

    def write(self, image: np.ndarray, time_s: float | None = None) -> None:
        """Adds a frame.

        Args:
            image: uint8 RGB [H, W, 3], of the video's size.
            time_s: Time of the frame in seconds, later than that of the previous one. The video
                starts with the first frame. Defaults to one frame interval after the previous one.

        Raises:
            ValueError: on another kind or size of image, or if the time is not later.
            OSError: If the file can't be written; there is no file then.
        """
        if image.shape != (*self._size_hw, 3) or image.dtype != np.uint8:
            raise ValueError(
                f"A frame must be uint8 {(*self._size_hw, 3)}. "
                f"Received: {image.dtype} {image.shape}."
            )
        if self._last is None:
            self._start_s = time_s or 0.0
            time_s, stamp = self._start_s, 0
        else:
            time_s = self._last_s + 1 / self._rate if time_s is None else time_s
            if not time_s > self._last_s:
                raise ValueError(
                    f"`time_s` must be later than that of the previous frame, {self._last_s}. "
                    f"Received: time_s={time_s}."
                )
            stamp = max(round((time_s - self._start_s) / self._unit), self._last + 1)
        odd_hw = (n % 2 for n in self._size_hw)
        image = np.pad(image, (*((0, odd) for odd in odd_hw), (0, 0)), mode="edge")
        frame = self._to_yuv.reformat(
            av.VideoFrame.from_ndarray(image, "rgb24"),
            format="yuv420p",
            dst_colorspace=_BT709,
            dst_color_range=_LIMITED_RANGE,
        )
        frame.pts, frame.time_base = stamp, self._unit
        self._last, self._last_s = stamp, time_s
        with self._checked():
            self._mux(self._stream.encode(frame))
            if self._audio is not None:
                self._audio.mux_until(time_s)

    def close(self) -> None:
        """Completes the file and gives it its name.

        Raises:
            ValueError: If no frame was written; there is no file then.
            OSError: If the file can't be written; there is no file then.
        """
        if not self._is_open:
            return
        if self._last is None:
            self._discard(ValueError(f"No frame was written to {self.path}."))
        with self._checked():
            self._mux(self._stream.encode(None))
            if self._audio is not None and self._audio_from is not None:
                is_whole = self._audio_from.is_complete
                self._audio.mux_until(math.inf if is_whole else self._last_s + 1 / self._rate)
                self._audio.close()
            self._container.close()
        with self._checked():
            self._closing.close()
        self._is_open = False

    def _add_stream(self, codec: str, pixel_aspect: Fraction) -> Any:
        self._unit, options = _CODECS[codec]
        rate = Fraction(self._rate).limit_denominator(100_000)
        stream: Any = self._container.add_stream(
            codec, rate=rate, options=options, time_base=self._unit
        )
        context = stream.codec_context
        context.height, context.width = (n + n % 2 for n in self._size_hw)
        context.pix_fmt, context.time_base = "yuv420p", self._unit
        context.sample_aspect_ratio = pixel_aspect
        context.color_range, context.colorspace = _LIMITED_RANGE, _BT709
        context.color_primaries = context.color_trc = _BT709
        return stream

    def _mux(self, packets: "list[av.Packet]") -> None:
        for packet in packets:
            packet.duration = round(1 / (self._rate * self._unit))  # of the last frame
            self._container.mux(packet)

    @contextlib.contextmanager
    def _checked(self) -> Iterator[None]:
        """Discards the file after an error, also after those that FFmpeg does not report."""
        try:
            yield
            if self._file.error is not None:
                raise self._file.error
        except (OSError, av.FFmpegError) as error:
            reason = error.strerror or str(error)
            self._discard(WriteError(error.errno, reason, str(self.path)))

    def _discard(self, error: BaseException) -> NoReturn:
        """Removes what was written, and raises the error."""
        if self._is_open:
            self._is_open = False
            self._file.error = self._file.error or OSError()
            with contextlib.suppress(av.FFmpegError):
                self._container.close()
            with self._closing:
                raise error
        raise error

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.close()
        else:
            self._discard(error)


class _OutputFile:
    """File for FFmpeg to write to, which keeps the first error, as FFmpeg may not report it."""

    def __init__(self, path: pathlib.Path):
        self._file = path.open("wb", buffering=0)
        self.seek, self.tell = self._file.seek, self._file.tell
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Writes all data; after an error none."""
        left = memoryview(data)
        try:
            while left and self.error is None:
                left = left[self._file.write(left) :]
        except OSError as error:
            self.error = error
        return len(data)

    def __enter__(self) -> "_OutputFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
