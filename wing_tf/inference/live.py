"""Frames of network streams and cameras."""

import contextlib
import logging
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from wing_tf.inference.frame_clock import FrameClock
from wing_tf.inference.frame_conversion import FrameConverter
from wing_tf.inference.live_source import connect, reason_of, shown_source
from wing_tf.inference.video import VideoFrame, VideoReader
from wing_tf.utils.image_size import MAX_PIXELS
from wing_tf.utils.pyav import require_pyav

if TYPE_CHECKING:
    import av
else:
    av = require_pyav()

_DEFAULT_RATE, _MAX_RATE = 30.0, 1000.0
_FIRST_DELAY_S, _MAX_DELAY_S = 0.5, 8.0  # between two attempts to connect again
_STABLE_S = 5.0  # a connection that lasts longer starts with the first delay again
_WAIT_S = 0.05  # interval of `on_wait`
_AGAIN_S = 0.005  # wait for a device that has no frame yet

_log = logging.getLogger(__name__)


class LiveVideo(VideoReader):
    """Iterator over the newest frames of a network stream or a camera; see `open_video`.

    A thread reads and decodes all frames and keeps only the newest one, so that whoever is slower
    than the source gets fewer frames instead of late ones. `VideoFrame.number` counts all decoded
    frames, and `VideoFrame.time_s` is the time of the monotonic clock at which a frame was decoded,
    from the first one.

    A lost connection is opened again, after .5 s and up to 8 s later each time. Each success is one
    warning of Python's `logging`. The iteration ends if there was no frame for `give_up_s`, with a
    warning, too.

    A stream that states its duration is a recording: it is read completely, with the times of its
    time stamps, and a connection that is lost for good is an error. `FrameConverter` describes the
    images.

    Args:
        source: URL, or number of a camera.
        open_timeout_s: Maximum time to open the source.
        read_timeout_s: A source that sends nothing for longer is lost.
        give_up_s: Maximum time without a frame.
        options: Options of FFmpeg, for example ``{"rtsp_transport": "udp"}``.
        max_pixels: Maximum number of pixels of a frame; FFmpeg decodes no larger ones.

    Attributes:
        num_dropped: Number of frames that were decoded and not returned, because newer ones came.

    Raises:
        ValueError: If the source can't be opened, has no video or sends no frame; in the iteration,
            if a recording can't be read to its end.

    Examples:
        >>> with LiveVideo("rtsp://user:password@camera/live") as video:  # doctest: +SKIP
        ...     for frame in video:
        ...         print(frame.time_s, frame.image.shape)
    """

    def __init__(
        self,
        source: str | int,
        *,
        open_timeout_s: float = 10.0,
        read_timeout_s: float = 10.0,
        give_up_s: float = 60.0,
        options: Mapping[str, str] | None = None,
        max_pixels: int = MAX_PIXELS,
    ):
        self._source, self._name, self._give_up_s = source, shown_source(source), give_up_s
        self._open = lambda: connect(
            source,
            open_timeout_s=open_timeout_s,
            read_timeout_s=read_timeout_s,
            options=options,
            max_pixels=max_pixels,
        )
        container = self._open()
        rate = container.streams.video[0].guessed_rate
        self.frames_per_s = float(rate) if rate and 0 < rate <= _MAX_RATE else _DEFAULT_RATE
        self._is_recording = container.duration is not None
        self.num_frames = (
            round(container.duration / av.time_base * self.frames_per_s)
            if container.duration is not None
            else None
        )
        self._clock, self._convert = FrameClock(self.frames_per_s), FrameConverter()
        self.num_broken = self.num_dropped = 0
        self._newest: tuple[int, float, av.VideoFrame] | None = None
        self._number = -1
        self._start_s: float | None = None  # time of the first frame
        self._last_s: float | None = None  # time of the last frame
        self._changed, self._stop, self._is_over = threading.Condition(), threading.Event(), False
        self._error: BaseException | None = None  # of the thread
        self._thread = threading.Thread(
            target=self._read_all, args=(container,), name=self._name, daemon=True
        )
        # A thread inside of FFmpeg would crash the end of the interpreter, which waits for it here.
        weakref.finalize(self, _finish, self._thread, self._stop, open_timeout_s + read_timeout_s)
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._is_over, read_timeout_s)
            first = self._newest
        if first is None:
            self.close()
            raise self._error or ValueError(f"{self._name}: it sends no frame.")
        image = self._convert(first[2])
        self.size_hw = (image.shape[0], image.shape[1])

    def __iter__(self) -> Iterator[VideoFrame]:
        while (newest := self._take()) is not None:
            number, time_s, frame = newest
            yield VideoFrame(number, time_s, self._convert(frame))

    def close(self) -> None:
        """Releases the source; there are no more frames."""
        self._stop.set()
        with self._changed:
            self._newest = None
            self._changed.notify_all()
        # A read that waits for the network ends by its own timeout.
        self._thread.join(timeout=1.0)

    def _take(self) -> "tuple[int, float, av.VideoFrame] | None":
        """Waits for a frame that was not returned yet; None if there are no more."""
        while not self._stop.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._newest or self._is_over, _WAIT_S)
                newest, self._newest = self._newest, None
                is_over = self._is_over
                self._changed.notify_all()
            if newest is not None:
                return newest
            if self._error is not None:
                raise self._error
            if is_over or (self.on_wait is not None and not self.on_wait()):
                break
        return None

    def _put(self, frame: av.VideoFrame) -> None:
        """Replaces the newest frame; the next frame of a recording waits until it was taken."""
        now_s = self._last_s = time.monotonic()
        with self._changed:
            if self._is_recording:
                self._changed.wait_for(lambda: self._newest is None or self._stop.is_set())
                now_s = self._clock(frame.time)
            self._start_s = now_s if self._start_s is None else self._start_s
            self._number += 1
            self.num_dropped += self._newest is not None
            self._newest = self._number, now_s - self._start_s, frame
            self._changed.notify_all()

    def _read_all(self, container: "av.container.InputContainer | None") -> None:
        """Reads frames, and connects again, until there are no more."""
        delay_s = _FIRST_DELAY_S
        try:
            while container is not None:
                start_s = time.monotonic()
                with container:
                    error = self._read_connection(container)
                if self._is_recording and error is None:
                    break
                if time.monotonic() - start_s > _STABLE_S:
                    delay_s = _FIRST_DELAY_S
                reason = reason_of(error, self._source) if error else "the stream ended"
                container, delay_s = self._connect_again(reason, delay_s)
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _read_connection(self, container: "av.container.InputContainer") -> av.FFmpegError | None:
        """Reads frames until the connection is lost; returns the error, None at an end."""
        stream = container.streams.video[0]
        while not self._stop.is_set():
            try:
                for packet in container.demux(stream):
                    if self._stop.is_set():
                        break
                    try:
                        for frame in packet.decode():
                            self._put(frame)
                    except av.FFmpegError:
                        self.num_broken += 1
                return None
            except av.error.BlockingIOError:  # a device without a new frame
                time.sleep(_AGAIN_S)
            except av.FFmpegError as error:
                return error
        return None

    def _connect_again(
        self, reason: str, delay_s: float
    ) -> "tuple[av.container.InputContainer | None, float]":
        """Opens a lost source again; returns it and the next delay, or None if it is given up."""
        if self._last_s is None or self._is_recording:
            raise ValueError(f"{self._name}: {reason}.")
        while not self._stop.wait(delay_s):
            lost_s = time.monotonic() - self._last_s
            if lost_s > self._give_up_s:
                _log.warning("%s: %s; no frame for %.0f s.", self._name, reason, lost_s)
                break
            delay_s = min(2 * delay_s, _MAX_DELAY_S)
            with contextlib.suppress(ValueError):
                container = self._open()
                lost_s = time.monotonic() - self._last_s
                _log.warning("%s: %s; connected again after %.1f s.", self._name, reason, lost_s)
                return container, delay_s
        return None, delay_s


def _finish(thread: threading.Thread, stop: threading.Event, timeout_s: float) -> None:
    """Waits until a thread has ended, as it does after the timeout of its current read."""
    stop.set()
    if thread.is_alive():
        thread.join(timeout_s)
