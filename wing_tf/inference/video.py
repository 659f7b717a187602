"""Frames of videos, whatever the source is."""

import abc
import os
import pathlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple, Self

import numpy as np

from wing_tf.utils.image_size import MAX_PIXELS


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


class VideoReader(abc.ABC):
    """Iterator over the frames of a video; see `open_video`.

    A frame that can't be decoded is skipped. Some damage is not noticed, because a decoder may
    return frames with wrong parts.

    Attributes:
        size_hw: Height and width of the frames.
        frames_per_s: Frame rate that the source states; 30 if it states no plausible one.
        num_frames: Number of frames that a file states, an estimate for some containers. None for a
            live source, and if no number is stated.
        num_broken: Number of frames that could not be read so far.
        pixel_aspect: Width of a pixel divided by its height.
        on_wait: Function that is called again and again while the iteration waits for the next
            frame of a live source, and that ends it by returning False.
    """

    size_hw: tuple[int, int]
    frames_per_s: float
    num_frames: int | None
    num_broken: int
    pixel_aspect: Fraction = Fraction(1)
    on_wait: Callable[[], bool] | None = None

    @abc.abstractmethod
    def __iter__(self) -> Iterator[VideoFrame]:
        """Yields the frames that have not been read yet."""

    @abc.abstractmethod
    def close(self) -> None:
        """Releases the source; there are no more frames."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_video(source: str | os.PathLike | int, *, max_pixels: int = MAX_PIXELS) -> VideoReader:
    """Opens a video file or a live source.

    Args:
        source: File name, URL of a network stream (``rtsp://``, ``http://`` and others), or number
            of a camera. A string of digits is a camera, too, unless there is a file of that name.
        max_pixels: Maximum number of pixels of a frame. Larger frames are not decoded.

    Raises:
        ValueError: If there is no such file, stream or camera, if its frames are too large, or if
            no frame can be read.

    Examples:
        >>> with open_video("video.mp4") as video:  # doctest: +SKIP
        ...     for frame in video:
        ...         print(frame.time_s, frame.image.shape)
    """
    # Imported when needed, because each of them needs other libraries.
    if isinstance(source, str) and source.isdecimal() and not pathlib.Path(source).exists():
        source = int(source)
    if isinstance(source, int) or (isinstance(source, str) and "://" in source):
        from wing_tf.inference.live import LiveVideo

        return LiveVideo(source, max_pixels=max_pixels)
    from wing_tf.inference.video_file import VideoFile

    return VideoFile(source, max_pixels=max_pixels)
