"""Colors of the frames of video files."""

from fractions import Fraction

import av
import numpy as np
import pytest
from video_files import RATE, make, read


def yuv(color, *, kr, kb, bits, full):
    """Y, Cb and Cr of a color as ITU-R BT.601 and BT.709 define them (equations of section 3)."""
    red, green, blue = np.array(color) / 255
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    unit = 2 ** (bits - 8)
    if full:
        top = 2**bits - 1
        return [luma * top, *(c * top + 128 * unit for c in chroma)]
    return [(16 + 219 * luma) * unit, *((128 + 224 * c) * unit for c in chroma)]


BT601, BT709 = {"kr": 0.299, "kb": 0.114}, {"kr": 0.2126, "kb": 0.0722}


@pytest.mark.parametrize(
    ("pix_fmt", "bits", "matrix", "space", "full", "size_hw"),
    [
        ("yuv420p", 8, BT601, 6, False, (48, 64)),
        ("yuv420p", 8, BT709, 1, False, (48, 64)),
        ("yuv420p", 8, BT709, 1, True, (48, 64)),
        ("yuv420p10le", 10, BT709, 1, False, (48, 64)),
        ("yuv420p10le", 10, BT601, 5, True, (48, 64)),
        ("yuv444p", 8, BT601, 6, True, (33, 47)),
        ("yuva420p", 8, BT709, 1, False, (48, 64)),
        ("yuv420p", 8, BT601, 2, False, (47, 63)),  # not stated: standard definition
        ("yuv420p", 8, BT709, 2, False, (720, 64)),  # not stated: high definition
    ],
)
def test_colors_follow_matrix_range_and_depth(
    tmp_path, pix_fmt, bits, matrix, space, full, size_hw
):
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (250, 120, 10), (30, 30, 30), (255, 255, 255)]
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=RATE)  # lossless
        stream.height, stream.width, stream.pix_fmt = *size_hw, pix_fmt
        context = stream.codec_context
        context.colorspace, context.color_range = space, 2 if full else 1
        for index, color in enumerate(colors):
            frame = av.VideoFrame(size_hw[1], size_hw[0], pix_fmt)
            values = [*yuv(color, bits=bits, full=full, **matrix), 255]
            for plane, value in zip(frame.planes, values, strict=False):
                count = plane.buffer_size // (1 if bits == 8 else 2)
                dtype = np.uint8 if bits == 8 else np.uint16
                plane.update(np.full(count, np.clip(round(value), 0, 2**bits - 1), dtype))
            frame.colorspace, frame.color_range = space, 2 if full else 1
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    frames, video = read(tmp_path / "a.mkv")
    assert video.size_hw == size_hw
    assert len(frames) == len(colors)
    for frame, color in zip(frames, colors, strict=True):
        assert np.abs(frame.image.astype(int) - color).max() <= 3


@pytest.mark.parametrize(
    ("pix_fmt", "codec"), [("gray", "ffv1"), ("rgba", "png"), ("rgb24", "png")]
)
def test_gray_and_rgb_pixels_are_kept(tmp_path, pix_fmt, codec):
    images = [np.full((20, 30, 3), value, np.uint8) for value in (0, 16, 100, 235, 255)]
    frames, _ = read(make(tmp_path / "a.avi", images=images, codec=codec, pix_fmt=pix_fmt))
    for frame, expected in zip(frames, images, strict=True):
        assert np.abs(frame.image.astype(int) - expected).max() <= 1
