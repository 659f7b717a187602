"""Reading of video files with PyAV, the Python binding of FFmpeg."""

import contextlib
import os
import pathlib
from collections.abc import Generator, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from wing_tf.inference.frame_clock import FrameClock
from wing_tf.inference.frame_conversion import FrameConverter
from wing_tf.inference.video import VideoFrame, VideoReader
from wing_tf.utils.image_size import MAX_PIXELS, check_num_pixels
from wing_tf.utils.pyav import require_pyav

if TYPE_CHECKING:
    import av
else:
    av = require_pyav()

_DEFAULT_RATE, _MIN_RATE, _MAX_RATE = 30.0, 0.01, 1000.0
_MAX_DEMUXER_ERRORS = 100
_ATTACHED_PICTURE = av.stream.Disposition.attached_pic
_SEEK_MARGIN_S, _SEEK_MARGIN_FRAMES = 1, 20  # frames are stored in another order than shown


class VideoFile(VideoReader):
    """Iterator over the frames of a video file; see `open_video`.

    Times are those of the file's time stamps, so that a variable frame rate is kept, and are made
    strictly increasing by `FrameClock`. `FrameConverter` describes the images. A file that was cut
    off is read as far as it goes. A still image is a video of one frame, and the cover of an audio
    file is none.

    Args:
        path: File name.
        max_pixels: Maximum number of pixels of a frame; FFmpeg decodes no larger ones.

    Attributes:
        path: File name.
        start_s: Time stamp of the first frame in seconds, to which those of the audio relate.
        pixel_aspect: Width of a pixel divided by its height, in the rotated frames.
        is_complete: Whether all frames have been read.
        num_broken: As far as it is known, the frames that are absent from a truncated file are
            included at its end.

    Raises:
        ValueError: If there is no such file, its frames are too large, or no frame can be read.
    """

    def __init__(self, path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS):
        self.path, self._max_pixels = pathlib.Path(path), max_pixels
        if not self.path.exists():
            raise ValueError(f"No video at {path}.")
        if self.path.is_dir():
            raise ValueError(f"{path} is a folder, not a video.")
        if not self.path.is_file():
            raise ValueError(f"{path} is not a regular file.")
        if not self.path.stat().st_size:
            raise ValueError(f"{path} is empty.")
        self.num_broken = 0
        self.start_s: float | None = None
        self.is_complete = False
        self._frames = self._read()
        self._first: VideoFrame | None = next(self._frames, None)
        if self._first is None:
            raise ValueError(
                f"{path} is not a video that can be read: no frame, of at most max_pixels="
                f"{max_pixels} pixels, can be decoded."
            )
        self.size_hw = (self._first.image.shape[0], self._first.image.shape[1])

    def __iter__(self) -> Iterator[VideoFrame]:
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        yield from self._frames

    def close(self) -> None:
        """Releases the file; there are no more frames."""
        self._first = None
        self._frames.close()

    def _read(self) -> Generator[VideoFrame]:
        """Yields the frames as images, with their numbers and times."""
        clock, convert = None, FrameConverter()
        for number, (frame, time_base) in enumerate(self._decode()):
            clock = clock or FrameClock(self.frames_per_s)
            stamp_s, decoding_s = (
                None if stamp is None else float(stamp * time_base)
                for stamp in (frame.pts, frame.dts)
            )
            time_s, image = clock(stamp_s, decoding_s), convert(frame)
            if self.start_s is None:
                self.start_s = stamp_s or 0.0
                if convert.is_transposed:
                    self.pixel_aspect = 1 / self.pixel_aspect
            yield VideoFrame(number + self.num_broken, time_s, image)
        self.is_complete = True

    def _describe(self, container: "av.container.InputContainer", stream: Any) -> None:
        """Sets the attributes that the container states."""
        rate = stream.average_rate or stream.guessed_rate or 0
        self.frames_per_s = float(rate) if _MIN_RATE <= rate <= _MAX_RATE else _DEFAULT_RATE
        count = stream.frames or (container.duration or 0) / 1e6 * self.frames_per_s
        self.num_frames = round(count) if count >= 1 else None
        self.pixel_aspect = stream.sample_aspect_ratio or Fraction(1)

    def _decode(self) -> "Iterator[tuple[av.VideoFrame, Fraction]]":
        """Yields the frames in the order in which they are shown, with the unit of their stamps.

        Frame threads, which are fast, lose intact frames near damage. After the first sign of it
        the frames are therefore decoded again, from an earlier key frame on and without such
        threads, so that the frames do not depend on the number of processors.
        """
        last: int | None = None  # stamp of the last frame that was yielded
        with self._open("AUTO") as (container, stream):
            self._describe(container, stream)
            num_pending = 0
            for packet, frames in _decoded_packets(container, stream):
                if frames is None or not _in_order(frames, last):
                    break
                for frame in frames:
                    yield frame, stream.time_base
                    last = frame.pts
                num_pending += (packet is not None) - len(frames)
            else:
                if num_pending == 0:
                    return
        for seek in (last is not None, False):
            if (yield from self._decode_after(last, seek=seek)):
                return

    def _decode_after(
        self, last: int | None, *, seek: bool
    ) -> "Generator[tuple[av.VideoFrame, Fraction], None, bool]":
        """Yields the frames after one that is known by its stamp, without frame threads.

        Returns:
            Whether that frame was found. Damage and time stamps that jump may mislead a seek.
        """
        num_broken = 0
        with self._open("SLICE") as (container, stream):
            if seek and last is not None and not _seek_before(container, stream, last):
                return False
            for packet, frames in _decoded_packets(container, stream):
                if frames is None and _is_after(packet, last):
                    num_broken += 1
                for frame in frames or ():
                    if last is not None:
                        if frame.pts is None or frame.pts < last:
                            continue
                        is_last, last = frame.pts == last, None
                        if is_last:
                            continue
                    self.num_broken, num_broken = self.num_broken + num_broken, 0
                    yield frame, stream.time_base
            if last is None:
                num_absent = _num_absent(container, stream, self.path.stat().st_size)
                self.num_broken += num_broken + num_absent
        return last is None

    @contextlib.contextmanager
    def _open(self, thread_type: str) -> "Iterator[tuple[av.container.InputContainer, Any]]":
        """Opens the file and its video stream."""
        with open_container(self.path, max_pixels=self._max_pixels) as container:
            if container.format.name == "tty":  # shows text as terminals do
                raise ValueError(f"{self.path} is a text, not a video.")
            shown = [s for s in container.streams.video if _ATTACHED_PICTURE not in s.disposition]
            best = container.streams.best("video")
            if not shown:
                kinds = sorted({stream.type for stream in container.streams} - {"video"})
                raise ValueError(
                    f"{self.path} has no video stream, only: {', '.join(kinds) or 'nothing'}."
                )
            stream = best if best in shown else shown[0]
            if stream.codec_context is None:
                raise ValueError(f"{self.path} has a codec that FFmpeg can't decode here.")
            limit_pixels(self.path, stream.codec_context, self._max_pixels)
            stream.thread_type = thread_type
            yield container, stream


def open_container(
    path: pathlib.Path, *, max_pixels: int = MAX_PIXELS
) -> "av.container.InputContainer":
    """Opens a file with FFmpeg, which decodes the first frames of no more than `max_pixels`.

    Raises:
        ValueError: If it can't be read.
    """
    try:
        # The prefix keeps FFmpeg from taking a part of the name for a protocol.
        return av.open(
            f"file:{os.fspath(path)}",
            metadata_errors="replace",
            options={"max_pixels": str(max_pixels)},
        )
    except av.FFmpegError as error:
        raise ValueError(f"{path} is not a video that can be read: {error.strerror}.") from None


def limit_pixels(name: object, decoder: Any, max_pixels: int) -> None:
    """Makes a decoder refuse larger frames. Raises ValueError if the file states that all are."""
    check_num_pixels(f"A frame of {name}", decoder.width * decoder.height, max_pixels)
    decoder.options = {**decoder.options, "max_pixels": str(max_pixels)}


def read_packets(
    container: "av.container.InputContainer", stream: Any
) -> "Iterator[av.Packet | None]":
    """Yields the packets of a stream as far as the file can be read, and None."""
    for _ in range(_MAX_DEMUXER_ERRORS):
        try:
            for packet in container.demux(stream):
                if packet.size:  # an empty one would end the decoding
                    yield packet
            break
        except av.FFmpegError:
            continue
        except IndexError:  # PyAV at the end, if streams have appeared that it does not know
            break
    yield None


def _decoded_packets(
    container: "av.container.InputContainer", stream: Any
) -> "Iterator[tuple[av.Packet | None, list[av.VideoFrame] | None]]":
    """Yields each packet, and None at the end, with its decoded frames; None if it is damaged."""
    for packet in read_packets(container, stream):
        try:
            yield packet, stream.codec_context.decode(packet)
        except av.FFmpegError:
            yield packet, None


def _in_order(frames: "Sequence[av.VideoFrame]", last: int | None) -> bool:
    """Returns whether frames are intact and their stamps are strictly increasing."""
    for frame in frames:
        if frame.is_corrupt or frame.pts is None or (last is not None and frame.pts <= last):
            return False
        last = frame.pts
    return True


def _is_after(packet: "av.Packet | None", stamp: int | None) -> bool:
    return packet is None or packet.pts is None or stamp is None or packet.pts > stamp


def _seek_before(container: "av.container.InputContainer", stream: Any, stamp: int) -> bool:
    """Seeks to a key frame that is stored before a frame; returns whether that succeeded."""
    rate = stream.average_rate or _DEFAULT_RATE
    margin_s = max(_SEEK_MARGIN_S, _SEEK_MARGIN_FRAMES / rate)
    target = stamp - int(margin_s / stream.time_base)
    if target > (stream.start_time or 0):
        try:
            container.seek(target, stream=stream)
        except av.FFmpegError:
            return False
    return True


def _num_absent(container: "av.container.InputContainer", stream: Any, num_bytes: int) -> int:
    """Returns the number of frames that a truncated file states but does not hold."""
    entries = stream.index_entries
    if container.format.name == "avi":
        return max(0, stream.frames - len(entries))
    return sum(entry.pos >= num_bytes for entry in entries)
