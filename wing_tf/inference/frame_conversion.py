"""RGB images of decoded video frames."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wing_tf.utils.pyav import require_pyav

if TYPE_CHECKING:
    import av
else:
    av = require_pyav()

_BT709, _UNSPECIFIED, _BT601 = 1, 2, 5  # AVColorSpace
_SD_SIZE_HW = (576, 1024)


class FrameConverter:
    """Function from decoded frames to uint8 RGB [H, W, 3].

    Pixel formats of any depth, with or without alpha, are converted with the color matrix and range
    that the frame states. A frame that states no matrix has BT.601 up to 1024 x 576 and BT.709
    above, as in video players. The transfer function is kept, so that HDR frames look flat. Frames
    are rotated and flipped as the display matrix of the first frame says, or of the last one whose
    rotation changed. Interlaced frames are not deinterlaced, and pixels that are not square stay
    so.

    All images have the size of the first one. A later frame of another size is scaled to fit and
    centered on black.

    Attributes:
        size_hw: Height and width of the images. None before the first one.
        is_transposed: Whether the last frame was rotated by 90 or 270 degrees.
    """

    def __init__(self) -> None:
        self._scaler: _Scaler | None = None
        self._rotation_deg: int | None = None
        self._matrix = np.eye(2)
        self.size_hw: tuple[int, int] | None = None
        self.is_transposed = False

    def __call__(self, frame: "av.VideoFrame") -> np.ndarray:
        """Returns the image of a frame, which the caller may change."""
        if frame.colorspace == _UNSPECIFIED:
            is_sd = frame.height <= _SD_SIZE_HW[0] and frame.width <= _SD_SIZE_HW[1]
            frame.colorspace = _BT601 if is_sd else _BT709
        if frame.rotation != self._rotation_deg:
            # Reading the side data of each frame would leak 50 bytes of memory, and keep the frame
            # until the next garbage collection.
            self._rotation_deg, self._matrix = frame.rotation, _display_matrix(frame)
        matrix = self._matrix
        self.is_transposed = _is_transposed(matrix)
        order = -1 if self.is_transposed else 1
        height, width = (frame.height, frame.width)[::order]
        if self.size_hw is None:
            self.size_hw = height, width
        scale = min(self.size_hw[0] / height, self.size_hw[1] / width)
        fitted_hw = max(round(height * scale), 1), max(round(width * scale), 1)
        height, width = fitted_hw[::order]
        image = _oriented(self._scaled(frame, width, height), matrix)
        if fitted_hw != self.size_hw:
            padded = np.zeros((*self.size_hw, 3), np.uint8)
            top, left = (self.size_hw[0] - fitted_hw[0]) // 2, (self.size_hw[1] - fitted_hw[1]) // 2
            padded[top : top + fitted_hw[0], left : left + fitted_hw[1]] = image
            return padded
        # A frame that is RGB already may share its memory with the decoder.
        is_shared = frame.format.name == "rgb24"
        return np.array(image) if is_shared else np.ascontiguousarray(image)

    def _scaled(self, frame: "av.VideoFrame", width: int, height: int) -> np.ndarray:
        kind = _kind(frame), width, height
        if self._scaler is None or self._scaler.kind != kind:
            self._scaler = _Scaler(*kind)
        return self._scaler(frame)


class _Scaler:
    """Function from frames of one kind to RGB [height, width, 3], as they are stored.

    A filter graph reuses the memory of images that have been released. PyAV's `VideoReformatter`
    allocates each one, and the page faults of that take as long as the conversion.
    """

    def __init__(self, kind: "_Kind", width: int, height: int):
        self.kind = kind, width, height
        graph = av.filter.Graph()
        nodes = [
            graph.add(
                "buffer",
                f"video_size={kind.width}x{kind.height}:pix_fmt={kind.format}:time_base=1/1000:"
                f"colorspace={kind.colorspace}:range={kind.range}",
            ),
            graph.add("scale", f"{width}:{height}:flags=bilinear"),
            graph.add("format", "rgb24"),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        self._graph = graph

    def __call__(self, frame: "av.VideoFrame") -> np.ndarray:
        self._graph.vpush(frame)
        return self._graph.vpull().to_ndarray()


class _Kind(NamedTuple):
    """Properties of a frame on which its conversion depends."""

    width: int
    height: int
    format: str
    colorspace: int
    range: int


def _kind(frame: "av.VideoFrame") -> _Kind:
    return _Kind(
        frame.width, frame.height, frame.format.name, int(frame.colorspace), int(frame.color_range)
    )


def _display_matrix(frame: "av.VideoFrame") -> np.ndarray:
    """Returns the 2 x 2 part of the matrix from stored (x, y) to shown ones, y downwards."""
    data: Any
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # side data of a kind that PyAV does not know
        data = None
    if data is None:
        return np.eye(2)
    return np.frombuffer(data, np.int32)[[0, 3, 1, 4]].reshape(2, 2) / 65536


def _is_transposed(matrix: np.ndarray) -> bool:
    """Returns whether the rotation is nearer to 90 or 270 degrees than to 0 or 180."""
    return bool(abs(matrix[0, 1]) > abs(matrix[0, 0]))


def _oriented(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Returns a rotated and flipped view of the image."""
    if _is_transposed(matrix):
        image, matrix = image.swapaxes(0, 1), matrix[:, ::-1]
    rows, columns = (slice(None, None, -1 if d < 0 else 1) for d in (matrix[1, 1], matrix[0, 0]))
    return image[rows, columns]
