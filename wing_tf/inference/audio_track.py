"""The audio of a video file in another video."""

import contextlib
import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from wing_tf.inference.frame_clock import FrameClock
from wing_tf.inference.video_file import VideoFile, open_container, read_packets
from wing_tf.utils.pyav import require_pyav

if TYPE_CHECKING:
    import av
else:
    av = require_pyav()

_DEFAULT_PACKETS_PER_S = 50.0
# Of codecs that a container holds only with their header, which a damaged file may lack.
_MIN_HEADER_BYTES = {"alac": 36, "flac": 34, "libopus": 19, "opus": 19}
_MAX_LEAD_S = 0.1  # audio before the first frame that is kept, for a decoder to start with

_log = logging.getLogger(__name__)


class AudioTrack:
    """The audio of a video file, muxed into the container of another video.

    Packets are copied as they are if the container can hold their codec, and are encoded to AAC
    otherwise, also if its header is lost. Packets that are damaged are skipped. Of several tracks
    the one that FFmpeg considers best is taken. A file without audio gives no packets.

    Args:
        source: The video file.
        container: Container to which nothing has been muxed yet.
    """

    def __init__(self, source: VideoFile, container: "av.container.OutputContainer"):
        self._source, self._output = source, container
        self._input = open_container(source.path)
        self._stream: Any = self._input.streams.best("audio")
        self._target: Any = None
        self._is_copy = True
        self._packets: Iterator[tuple[float, list[av.Packet]]] = iter(())
        if self._stream is not None:
            if self._stream.codec_context is None:
                _log.warning("%s: its audio can't be read and is left out.", source.path)
            else:
                self._add_stream()
                self._packets = self._read()
        self._next = next(self._packets, None)

    def mux_until(self, time_s: float) -> None:
        """Muxes the packets that start before a time of the video in seconds."""
        while self._next is not None and self._next[0] < time_s:
            for packet in self._next[1]:
                # Of a damaged packet. Errors of the file itself are kept by the file.
                with contextlib.suppress(av.FFmpegError):
                    self._output.mux(packet)
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Muxes what the encoder holds back, and releases the source."""
        if not self._is_copy:
            self._output.mux(self._target.encode(None))
        self._input.close()

    def _add_stream(self) -> None:
        context = self._stream.codec_context
        self._is_copy = len(context.extradata or b"") >= _MIN_HEADER_BYTES.get(context.name, 0)
        if self._is_copy:
            try:
                self._target = self._output.add_stream_from_template(self._stream)
            except ValueError:
                self._is_copy = False
        if not self._is_copy:
            self._target = self._output.add_stream("aac", rate=self._stream.rate)
            # Some containers state only the number of channels.
            layout = self._stream.layout
            self._target.layout = {1: "mono", 2: "stereo"}.get(layout.nb_channels, layout.name)

    def _read(self) -> "Iterator[tuple[float, list[av.Packet]]]":
        """Yields packets of the output, with their time in the video."""
        clock = None
        for packet in read_packets(self._input, self._stream):
            if packet is None:
                break
            unit = packet.time_base
            if clock is None:
                rate = 1 / (packet.duration * unit) if packet.duration else _DEFAULT_PACKETS_PER_S
                clock = FrameClock(float(rate), origin_s=self._source.start_s)
            stamp = packet.pts if packet.dts is None else packet.dts
            time_s = clock(None if stamp is None else float(stamp * unit))
            if time_s < -_MAX_LEAD_S:
                continue
            if self._is_copy:
                packet.pts = packet.dts = round(time_s / unit)
                packet.stream = self._target
                yield time_s, [packet]
            else:
                yield time_s, self._encoded(packet, time_s)

    def _encoded(self, packet: "av.Packet", time_s: float) -> "list[av.Packet]":
        packets = []
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.FFmpegError:
            return []
        for frame in frames:
            frame.time_base = Fraction(1, frame.sample_rate)
            frame.pts = round(time_s * frame.sample_rate)
            time_s += frame.samples / frame.sample_rate
            packets += self._target.encode(frame)
        return packets
