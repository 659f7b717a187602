"""From images to landmarks in their pixels, with a LiteRT or a Keras back end."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from wing_tf.detection import check_detector_name, gives_boxes, make_detector
from wing_tf.geometry import apply_affine, crop_region, flip_matrix
from wing_tf.geometry.resample import crop_and_resize
from wing_tf.inference.backend import Backend, open_backend
from wing_tf.inference.checks import (
    check_boxes,
    check_crops,
    check_image,
    check_min_score,
    check_overlap,
    detection_scores,
    overlaps_image,
)
from wing_tf.inference.face import Face, make_faces
from wing_tf.inference.images import MAX_PIXELS, are_several, as_rgb
from wing_tf.landmarks import SchemeMap
from wing_tf.model_spec import ModelSpec

if TYPE_CHECKING:
    import keras

    from wing_tf.inference.images import Image

_MAX_BATCH = 64


class Landmarker:
    """Facial landmark localizer: crop rule, network and face detector.

    Exported models run with NumPy and LiteRT alone. Keras is imported only for a Keras model, and
    OpenCV only to read image files and for some detectors. Several threads may share one
    landmarker: crops are resampled in parallel, and a LiteRT network runs in one thread at a time.
    For many faces on many cores, use one landmarker per thread or process with ``num_threads=1``.

    A landmarker of a model file can be pickled and deep-copied; the result opens the file again.
    It can be used after a fork, where a Keras model raises RuntimeError. A call is `crop`,
    `predict_crops` and `to_image`; with two passes, twice.

    Args:
        model: A ``.tflite`` file or an export folder, a ``.keras`` file or a run folder, the name
            of a model (`wing_tf.zoo.resolve_model`), a Keras model, or a function as described at
            `Backend`. The last two require `spec`. Defaults to "face_68", which comes with the
            package.
        detector: Function of an image that returns boxes [N, 4], or [N, 5] with detection scores,
            largest first, or a name for `wing_tf.detection.make_detector`. None if boxes are
            always given. Defaults to "blazeface", which is loaded when `detect` is first called.
        spec: Model spec of the network. Defaults to the one in the model file.
        scheme: Name of the required landmark scheme; a model of another scheme is an error.
        scheme_map: Map from the network's scheme to another one. Landmarks that have no
            counterpart are NaN.
        passes: 2 to crop each face a second time, in the kind of box that the model was trained
            with, around the landmarks of the first pass (`ModelSpec.next_box`).
        flip: Whether to average with the prediction on the mirrored crop.
        min_score: Score (`Face.score`) below which a face that the detector found is dropped.
            Defaults to that of the calibration; 0 keeps all, the default of `BoxFile` and "whole".
            Faces in given boxes, and those without a score, are always kept.
        num_threads: Threads of the LiteRT interpreter.
        max_pixels: Maximum number of pixels of an image file or a PIL image.

    Attributes:
        spec: Model spec of the network.
        scheme: Landmark scheme of the result.
        min_score: See above; 0 for a model without a calibration.

    Raises:
        ValueError: If the model can't be used, or if the schemes don't match.
        ImportError: If LiteRT or Keras is needed but not installed.

    Examples:
        >>> landmarker = Landmarker()  # doctest: +SKIP
        >>> for face in landmarker("family.jpg"):  # doctest: +SKIP
        ...     print(face.landmarks_px, face.score, face.angles_deg)
    """

    def __init__(
        self,
        model: str | os.PathLike | keras.Model | Backend | None = None,
        *,
        detector: Callable[..., np.ndarray] | str | None = "blazeface",
        spec: ModelSpec | None = None,
        scheme: str | None = None,
        scheme_map: SchemeMap | None = None,
        passes: int = 1,
        flip: bool = False,
        min_score: float | None = None,
        num_threads: int = 2,
        max_pixels: int = MAX_PIXELS,
    ):
        if passes not in (1, 2):
            raise ValueError(f"`passes` must be 1 or 2. Received: passes={passes}.")
        if isinstance(detector, str):
            check_detector_name(detector)
        self._detector, self.passes, self.flip, self.max_pixels = detector, passes, flip, max_pixels
        self._backend, self.spec = open_backend(model, spec, num_threads)
        own = self.spec.scheme
        if scheme_map is not None and scheme_map.source.name != own.name:
            raise ValueError(
                f"The map is from {scheme_map.source.name}, the model predicts {own.name}."
            )
        self.scheme_map = scheme_map
        self.scheme = own if scheme_map is None else scheme_map.target
        if scheme is not None and scheme != self.scheme.name:
            raise ValueError(
                f"The scheme {scheme} is required, but the model gives {self.scheme.name}."
            )
        self.min_score = check_min_score(min_score, self.spec, detector)

    @cached_property
    def detector(self) -> Callable[..., np.ndarray] | None:
        """The face detector. A detector given by name is loaded at the first access."""
        return make_detector(self._detector) if isinstance(self._detector, str) else self._detector

    @overload
    def __call__(
        self, image: Image, boxes_xyxy_px: Any = None, *, channels: str = "rgb"
    ) -> list[Face]: ...

    @overload
    def __call__(
        self, image: list[Any] | tuple[Any, ...], boxes_xyxy_px: Any = None, *, channels: str = ...
    ) -> list[list[Face]]: ...

    def __call__(self, image: Any, boxes_xyxy_px: Any = None, *, channels: str = "rgb") -> Any:
        """Locates the landmarks of all faces of an image, or of several images.

        Args:
            image: A file, a uint8 array or tensor on the host [H, W], [H, W, 1], [H, W, 3] or
                [H, W, 4], or a PIL image; see `wing_tf.inference.as_rgb`. Or a list or tuple of
                these, of any sizes, or an array of rank 4; their faces run in common batches.
            boxes_xyxy_px: Face boxes [N, 4], or [N, 5] with detection scores, of the same kind as
                in training (tight landmark boxes unless the model spec says otherwise); for
                several images, a list of the boxes of each. Where it is None, the detector is used.
            channels: Channel order of arrays and tensors: "rgb", or "bgr" as ``cv2.imread`` and
                ``cv2.VideoCapture`` return them.

        Returns:
            One face per given box, in the order of the boxes, or the detected faces with a score of
            at least `min_score`; for several images, a list of the faces of each image.

        Raises:
            ValueError: If an image or a box is not valid, or without boxes and a detector.
        """
        if not are_several(image):
            rgb, boxes = self._prepare(image, boxes_xyxy_px, channels)
            faces = self._locate_faces([rgb], [boxes])[0]
            return self.without_false_faces(faces) if boxes_xyxy_px is None else faces
        images = list(image)
        each = [None] * len(images) if boxes_xyxy_px is None else list(boxes_xyxy_px)
        if len(each) != len(images):
            raise ValueError(
                "`boxes_xyxy_px` must hold the boxes [N, 4] of each image. Received: "
                f"{len(images)} images, {len(each)} entries."
            )
        pairs = []
        for number, (one, own) in enumerate(zip(images, each, strict=True)):
            try:
                pairs.append(self._prepare(one, own, channels))
            except ValueError as error:
                raise ValueError(f"Image {number} of {len(images)}: {error}") from None
        found = self._locate_faces([rgb for rgb, _ in pairs], [boxes for _, boxes in pairs])
        results = zip(found, each, strict=True)
        return [self.without_false_faces(faces) if own is None else faces for faces, own in results]

    def without_false_faces(self, faces: Sequence[Face]) -> list[Face]:
        """Returns the faces whose score is at least `min_score`, and those without a score."""
        return [face for face in faces if face.score is None or face.score >= self.min_score]

    def _prepare(self, image: Any, boxes: Any, channels: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns an image as uint8 RGB and its boxes."""
        name = os.fsdecode(image) if isinstance(image, (str, os.PathLike)) else None
        rgb = as_rgb(image, channels=channels, max_pixels=self.max_pixels)
        if boxes is None:
            return rgb, self.detect(rgb, name)
        boxes = check_boxes(boxes)
        check_overlap(boxes, rgb)
        return rgb, boxes

    def detect(self, image: np.ndarray, name: str | None = None) -> np.ndarray:
        """Returns the detector's boxes [N, 4] or [N, 5] that overlap the image.

        Args:
            image: uint8 RGB [H, W, 3].
            name: File name of the image, for a detector with ``needs_name=True``.

        Raises:
            ValueError: If the image is not uint8 RGB, if there is no detector, or if a box of a
                `BoxFile` lies outside of the image.
            ImportError: If a package that the detector needs is not installed.
        """
        check_image(image)
        detector = self.detector
        if detector is None:
            raise ValueError("Without a detector, `boxes_xyxy_px` [N, 4] must be given.")
        named = getattr(detector, "needs_name", False)
        boxes = check_boxes(detector(image, name) if named else detector(image))
        if gives_boxes(detector):
            check_overlap(boxes, image)
        return boxes[overlaps_image(boxes, image)]

    def _locate_faces(
        self, images: Sequence[np.ndarray], boxes_of_each: Sequence[np.ndarray]
    ) -> list[list[Face]]:
        """Returns the faces in the boxes [N, 4] or [N, 5] of each RGB image; N may be 0."""
        owners = [number for number, boxes in enumerate(boxes_of_each) for _ in boxes]
        if not owners:
            return [[] for _ in images]
        used = boxes = np.concatenate([some[:, :4] for some in boxes_of_each])
        detection = [score for some in boxes_of_each for score in detection_scores(some)]
        landmarks, *others = self._locate(images, owners, boxes)
        if self.passes == 2:
            found = self.spec.next_box(landmarks)
            again = np.isfinite(found).all(axis=1) & (found[:, 2:] - found[:, :2] >= 1).all(axis=1)
            again &= np.array(
                [overlaps_image(found[i : i + 1], images[o])[0] for i, o in enumerate(owners)]
            )
            used = np.where(again[:, None], found, boxes)
            landmarks, *others = self._locate(images, owners, used)
        made = make_faces(self.spec, self.scheme_map, landmarks, used, others, detection)
        faces: list[list[Face]] = [[] for _ in images]
        for owner, face in zip(owners, made, strict=True):
            faces[owner].append(face)
        return faces

    def _locate(
        self, images: Sequence[np.ndarray], owners: Sequence[int], boxes: np.ndarray
    ) -> tuple[Any, ...]:
        """Returns landmarks [N, K, 2] in pixels of the images, and other outputs, of all boxes."""
        parts = []
        size = self.spec.batch_size or 1
        step = max(_MAX_BATCH - _MAX_BATCH % size, size)  # full batches of a fixed size
        for start in range(0, len(boxes), step):
            part = slice(start, start + step)
            pairs = [
                self.crop(images[owner], box[None])
                for owner, box in zip(owners[part], boxes[part], strict=True)
            ]
            crops, to_crop = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
            landmarks_crop_px, *others = self._predict_averaged(crops)
            parts.append((self.to_image(to_crop, landmarks_crop_px), *others))
        outputs = zip(*parts, strict=True)
        return tuple(None if arrays[0] is None else np.concatenate(arrays) for arrays in outputs)

    def _predict_averaged(self, crops: np.ndarray) -> tuple[Any, ...]:
        """Returns the result of `predict_crops`, with `flip` averaged with the mirrored crops."""
        landmarks, *others = self.predict_crops(crops)
        if not self.flip:
            return landmarks, *others
        order = list(self.spec.scheme.flip_permutation)
        mirrored, *of_mirrored = self.predict_crops(np.ascontiguousarray(crops[:, :, ::-1]))
        back = apply_affine(flip_matrix(crops.shape[2]), mirrored)[:, order]
        pairs = zip(others, of_mirrored, strict=True)
        averaged = [None if a is None or b is None else (a + b[:, order]) / 2 for a, b in pairs]
        return (landmarks + back) / 2, *averaged

    def crop(self, image: np.ndarray, boxes_xyxy_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Crops faces for the network.

        Args:
            image: uint8 RGB [H, W, 3].
            boxes_xyxy_px: float64 [N, 4], N at least 1.

        Returns:
            Crops uint8 [N, side, side, 3], and affine matrices [N, 2, 3] from pixels of the image
            to pixels of the crops.
        """
        size_hw = (self.spec.input_size, self.spec.input_size)
        regions = crop_region(boxes_xyxy_px, self.spec.margin, self.spec.square)
        pairs = (crop_and_resize(image, region, size_hw) for region in regions)
        crops, to_crop = zip(*pairs, strict=True)
        return np.stack(crops), np.stack(to_crop)

    def predict_crops(self, crops: np.ndarray) -> tuple[Any, ...]:
        """Runs the network on crops uint8 [N, side, side, 3].

        Returns:
            Landmarks [N, K, 2] in pixels of the crops, and scores [N, K]. The scores are None if
            the network has none. Only of a network that emits it, a third entry is the visibility
            [N, K], the probability that each landmark is visible.

        Raises:
            ValueError: If the crops are of another type or shape.
        """
        check_crops(crops, self.spec.input_size)
        return self._backend(crops)

    def to_image(self, to_crop: np.ndarray, landmarks_crop_px: np.ndarray) -> np.ndarray:
        """Returns landmarks float64 [N, K, 2] in pixels of the image, by the matrices of `crop`."""
        scales, shifts = to_crop[:, None, [0, 1], [0, 1]], to_crop[:, None, :, 2]
        return (landmarks_crop_px - shifts) / scales
