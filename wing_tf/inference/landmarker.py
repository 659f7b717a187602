"""From pictures to landmarks in their pixels."""

import dataclasses
import pathlib
from collections.abc import Callable

import keras
import numpy as np

from wing_tf.evaluation.predict import compile_localiser
from wing_tf.geometry import apply_affine, crop_region, invert
from wing_tf.geometry.resample import crop_resample
from wing_tf.landmarks import SchemeMap
from wing_tf.models.saving import Contract, load_network


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


class Landmarker:
    """A network with its crop rule and a detector.

    Args:
        model: a ``.keras`` file or a run folder, or a network; the latter needs ``contract``.
        detector: pictures to boxes [N, 4], largest first; needed where no box is given.
        contract: what the network's input and output mean; read from the file if None.
        scheme_map: gives the landmarks of another mark-up than the network's; those that nothing
            stands for are NaN.

    Attributes:
        scheme: the mark-up of the landmarks that come out.

    Example:
        >>> landmarker = Landmarker("runs/cnn6", detector=HaarDetector())  # doctest: +SKIP
        >>> faces = landmarker(image_rgb)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | pathlib.Path | keras.Model,
        *,
        detector: Callable[[np.ndarray], np.ndarray] | None = None,
        contract: Contract | None = None,
        scheme_map: SchemeMap | None = None,
    ):
        if isinstance(model, keras.Model):
            if contract is None:
                raise ValueError("A network without a file needs `contract`.")
            network = model
        else:
            network, contract = load_network(model, contract)
        if scheme_map is not None and scheme_map.source.name != contract.scheme_name:
            raise ValueError(
                f"The map is from {scheme_map.source.name}, the model predicts "
                f"{contract.scheme_name}."
            )
        self.contract, self.detector, self.scheme_map = contract, detector, scheme_map
        self.scheme = contract.scheme if scheme_map is None else scheme_map.target
        self._run = compile_localiser(network)

    def __call__(
        self, image: np.ndarray, boxes_xyxy_px: np.ndarray | None = None
    ) -> list[LocatedFace]:
        """Locates the landmarks of all faces of a picture.

        Args:
            image: uint8 RGB [H, W, 3].
            boxes_xyxy_px: [N, 4] face boxes like those of the training (tight landmark boxes); the
                detector's if None.

        Returns:
            One entry a box, in their order; none where nothing is found.

        Raises:
            ValueError: on another kind of picture, a bad box, or where there is neither a box nor
                a detector.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                f"`image` must be uint8 RGB [H, W, 3]. Received: {image.dtype} {image.shape}."
            )
        if boxes_xyxy_px is None:
            if self.detector is None:
                raise ValueError("Without a detector, `boxes_xyxy_px` [N, 4] must be given.")
            boxes_xyxy_px = self.detector(image)
        boxes = np.asarray(boxes_xyxy_px, np.float64)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"`boxes_xyxy_px` must be [N, 4]. Received: shape={boxes.shape}.")
        if not np.all(np.isfinite(boxes)) or np.any(boxes[:, 2:] <= boxes[:, :2]):
            raise ValueError(
                "`boxes_xyxy_px` must be finite, with x0 < x1 and y0 < y1. "
                f"Received: {boxes.tolist()}."
            )
        if not len(boxes):
            return []
        size_hw = (self.contract.input_size, self.contract.input_size)
        regions = crop_region(boxes, self.contract.margin, self.contract.square)
        crops, matrices = zip(
            *(crop_resample(image, region, size_hw) for region in regions), strict=True
        )
        landmarks_crop_px, scores = self._run(np.stack(crops).astype(np.float32))
        landmarks_px = apply_affine(
            invert(np.stack(matrices)), landmarks_crop_px.astype(np.float64)
        )
        if self.scheme_map is not None:
            landmarks_px = self.scheme_map(landmarks_px)
            scores = None if scores is None else self.scheme_map.mean_scores(scores)
        none = [None] * len(boxes)
        return [
            LocatedFace(*face)
            for face in zip(landmarks_px, boxes, none if scores is None else scores, strict=True)
        ]
