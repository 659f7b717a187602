"""From a frame and boxes to crops, and from the crops' landmarks back to the frame.

One copy for every landmarker, on the host and on a device: they differ in what runs the network.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from wing_tf.geometry import apply_affine, crop_region, invert
from wing_tf.geometry.resample import crop_resample
from wing_tf.landmarks import LandmarkScheme, SchemeMap

# Far beyond any picture, and small enough for the arithmetic of a crop to stay exact.
_LARGEST_COORDINATE_PX = 1e7


@dataclasses.dataclass(frozen=True)
class LocatedFace:
    """One face of a picture.

    Attributes:
        landmarks_px: float64 [K, 2] in the picture's pixels.
        box_xyxy_px: float64 [4], the box that was used.
        scores: float32 [K] in 0..1, how sure the network is of each landmark; None where it does
            not say.
    """

    landmarks_px: np.ndarray
    box_xyxy_px: np.ndarray
    scores: np.ndarray | None = None


class FaceLandmarker(abc.ABC):
    """Everything of a landmarker but its network.

    A call is `cut`, `run` and `place`, one after the other.

    Args:
        scheme: the mark-up of the network's landmarks.
        input_size: the side of the network's square input in pixels.
        margin: see `wing_tf.geometry.crop_region`.
        square: see there.
        detector: pictures to boxes [N, 4], largest first; needed where no box is given.
        scheme_map: gives the landmarks of another mark-up than the network's; those that nothing
            stands for are NaN.
        needed_scheme: the name of the mark-up that must come out; any if None.

    Attributes:
        scheme: the mark-up of the landmarks that come out.

    Raises:
        ValueError: if the map is from another mark-up than the network's, or another one than the
            needed one comes out.
    """

    def __init__(
        self,
        scheme: LandmarkScheme,
        *,
        input_size: int,
        margin: float,
        square: bool,
        detector: Callable[[np.ndarray], np.ndarray] | None = None,
        scheme_map: SchemeMap | None = None,
        needed_scheme: str | None = None,
    ):
        if scheme_map is not None and scheme_map.source.name != scheme.name:
            raise ValueError(
                f"The map is from {scheme_map.source.name}, the model predicts {scheme.name}."
            )
        self.detector, self.scheme_map = detector, scheme_map
        self.scheme = scheme if scheme_map is None else scheme_map.target
        if needed_scheme is not None and needed_scheme != self.scheme.name:
            raise ValueError(
                f"A model of another scheme: {needed_scheme} is needed, it gives "
                f"{self.scheme.name}."
            )
        self._input_size, self._margin, self._square = input_size, margin, square

    def __call__(
        self, image: np.ndarray, boxes_xyxy_px: np.ndarray | None = None
    ) -> list[LocatedFace]:
        """Locates the landmarks of all faces of a picture.

        Args:
            image: uint8 RGB [H, W, 3].
            boxes_xyxy_px: [N, 4] face boxes like those of the training (tight landmark boxes unless
                the model says otherwise); the detector's if None.

        Returns:
            One entry a box, in their order; none where nothing is found.

        Raises:
            ValueError: on another kind of picture, a bad box, or where there is neither a box nor
                a detector.
        """
        check_image(image)
        if boxes_xyxy_px is None:
            if self.detector is None:
                raise ValueError("Without a detector, `boxes_xyxy_px` [N, 4] must be given.")
            boxes_xyxy_px = self.detector(image)
        boxes = check_boxes(boxes_xyxy_px)
        if not len(boxes):
            return []
        crops, to_crop = self.cut(image, boxes)
        landmarks_crop_px, scores = self.run(crops)
        return self.place(boxes, to_crop, landmarks_crop_px, scores)

    def cut(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the network's inputs uint8 [N, side, side, 3], and the maps [N, 2, 3] to them.

        Args:
            image: uint8 RGB [H, W, 3].
            boxes: float64 [N, 4], N at least 1.
        """
        size_hw = (self._input_size, self._input_size)
        regions = crop_region(boxes, self._margin, self._square)
        pairs = (crop_resample(image, region, size_hw) for region in regions)
        crops, to_crop = zip(*pairs, strict=True)
        return np.stack(crops), np.stack(to_crop)

    @abc.abstractmethod
    def run(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Runs the network.

        Args:
            crops: uint8 [N, side, side, 3].

        Returns:
            Landmarks [N, K, 2] in the crops' pixels and scores [N, K]; None where it has none.
        """

    def place(
        self,
        boxes: np.ndarray,
        to_crop: np.ndarray,
        landmarks_crop_px: np.ndarray,
        scores: np.ndarray | None,
    ) -> list[LocatedFace]:
        """Returns the faces in the frame's pixels; the inverse of `cut`."""
        landmarks_px = apply_affine(invert(to_crop), landmarks_crop_px.astype(np.float64))
        if self.scheme_map is not None:
            landmarks_px = self.scheme_map(landmarks_px)
            scores = None if scores is None else self.scheme_map.mean_scores(scores)
        none = [None] * len(boxes)
        return [
            LocatedFace(*face)
            for face in zip(landmarks_px, boxes, none if scores is None else scores, strict=True)
        ]


def check_image(image: Any) -> None:
    """Raises ValueError if a picture is not uint8 RGB [H, W, 3]."""
    if not isinstance(image, np.ndarray):
        raise ValueError(f"`image` must be uint8 RGB [H, W, 3]. Received: {type(image).__name__}.")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(
            f"`image` must be uint8 RGB [H, W, 3]. Received: {image.dtype} {image.shape}."
        )


def check_boxes(boxes_xyxy_px: Any) -> np.ndarray:
    """Returns boxes as float64 [N, 4]; raises ValueError if they are none."""
    try:
        boxes = np.asarray(boxes_xyxy_px, np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"`boxes_xyxy_px` must be [N, 4] numbers. Received: {boxes_xyxy_px!r}."
        ) from None
    if boxes.shape == (0,):  # an empty list
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"`boxes_xyxy_px` must be [N, 4]. Received: shape={boxes.shape}.")
    # Written so that NaN is refused, too.
    placed = np.all(np.abs(boxes) <= _LARGEST_COORDINATE_PX)
    if not placed or np.any(boxes[:, 2:] <= boxes[:, :2]):
        raise ValueError(
            "`boxes_xyxy_px` must be finite (at most 1e7 from 0), with x0 < x1 and y0 < y1. "
            f"Received: {boxes.tolist()}."
        )
    return boxes
