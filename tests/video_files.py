"""Small video files, made by PyAV, damage to them, and their frames."""

from fractions import Fraction

import av
import numpy as np

from wing_tf.inference.video import open_video

SIZE_HW = (96, 128)
RATE = 25
SAMPLE_RATE = 44100
NUM_FRAMES = 40


def image(index, *, size_hw=SIZE_HW):
    """A bright square that moves 2 pixels a frame over a gradient."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    rgb = np.stack([rows, columns // 2, (rows + columns) // 3], axis=-1).astype(np.uint8)
    left = 10 + 2 * index % 80
    rgb[30:60, left : left + 20] = (250, 120, 10)
    return rgb


def index_of(rgb):
    """Returns the number of the frame that shows the square at this place, from 0 to 39."""
    row = rgb[45].astype(int)
    return round((np.flatnonzero(row[:, 0] - row[:, 2] > 100)[0] - 10) / 2)


def make(
    path,
    *,
    images=None,
    codec="libx264",
    pix_fmt="yuv420p",
    stamps=None,
    audio=None,
    format=None,
    options=None,
    container_options=None,
    **attributes,
):
    """Writes a video of images, whose time stamps are in frames, with a tone as audio."""
    images = [image(index) for index in range(NUM_FRAMES)] if images is None else images
    with av.open(str(path), "w", format=format, container_options=container_options) as file:
        stream = file.add_stream(codec, rate=RATE, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        for name, value in attributes.items():
            setattr(stream.codec_context, name, value)
        sound = None
        if audio is not None:
            rate = 48000 if audio == "libopus" else SAMPLE_RATE
            sound = file.add_stream(audio, rate=rate, bit_rate=64_000)
        for index, rgb in enumerate(images):
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pix_fmt)
            frame.pts = index if stamps is None else stamps[index]
            frame.time_base = Fraction(1, RATE)
            file.mux(stream.encode(frame))
            if sound is not None:
                file.mux(sound.encode(tone(index)))
        file.mux(stream.encode(None))
        if sound is not None:
            file.mux(sound.encode(None))
    return path


def tone(index):
    """Returns the audio of a frame: a tone of 440 Hz."""
    count = SAMPLE_RATE // RATE
    time_s = (np.arange(count) + index * count) / SAMPLE_RATE
    samples = (8000 * np.sin(2 * np.pi * 440 * time_s)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples.repeat(2)[None], format="s16", layout="stereo")
    frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
    frame.pts = index * count
    return frame


def audio_packets(path):
    """Returns the bytes and times of the audio packets of a file."""
    with av.open(str(path)) as file:
        if not file.streams.audio:
            return []
        packets = [p for p in file.demux(file.streams.audio[0]) if p.size]
        return [(bytes(p), float(p.pts * p.time_base)) for p in packets]


def damage(path, target, start, stop):
    """Writes a copy with noise between two fractions of its length."""
    content = bytearray(path.read_bytes())
    a, b = int(start * len(content)), int(stop * len(content))
    content[a:b] = np.random.default_rng(0).integers(0, 256, b - a, np.uint8).tobytes()
    target.write_bytes(content)
    return target


def read(path):
    """Returns the frames, and the reader after its end."""
    with open_video(path) as video:
        return list(video), video


def cut(path, target, fraction):
    """Writes a copy of the first part."""
    content = path.read_bytes()
    target.write_bytes(content[: int(fraction * len(content))])
    return target


def set_display_matrix(path, matrix):
    """Replaces the display matrix (a, b, c, d) of the first track of an MPEG-4 file."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40  # behind the version, times, numbers and volume
    a, b, c, d = matrix
    values = [a * 65536, b * 65536, 0, c * 65536, d * 65536, 0, 0, 0, 1 << 30]
    content[start : start + 36] = np.array(values, ">i4").tobytes()
    path.write_bytes(content)
    return path
