"""From images to landmarks in their pixels, with any of this package's models."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from wing_tf.detection import make_detector
from wing_tf.inference.images import Image, as_rgb
from wing_tf.landmarks import SchemeMap
from wing_tf.model_spec import ModelSpec, is_exported
from wing_tf.runtime import Landmarker as DeviceLandmarker
from wing_tf.runtime.faces import FaceLandmarker, LocatedFace

if TYPE_CHECKING:
    import keras


class Landmarker(FaceLandmarker):
    """A network with its crop rule and a detector.

    `wing_tf.runtime.Landmarker` is called alike and runs exported files without OpenCV. TensorFlow
    is loaded only where a network in Keras is given.

    Args:
        model: a ``.keras`` file or a run folder; a ``.tflite`` file or the folder of an export; a
            Keras network, which needs ``spec``; the model that comes with this package if None.
        detector: images to boxes [N, 4], largest first; the name of one for
            `wing_tf.detection.make_detector`; None where boxes are always given.
        spec: what the network's input and output mean; the file's own if None.
        scheme: the name of the scheme that is needed; a model of another one is refused.
        scheme_map: gives the landmarks of another scheme than the network's; those that nothing
            stands for are NaN.
        passes: 2 to cut each crop again round the landmarks that were found first.
        flip: average with what the network says of the mirrored crop.
        num_threads: that a ``.tflite`` file runs with.

    Attributes:
        spec: what the network's input and output mean.
        scheme: the scheme of the landmarks that come out.
        trained_boxes: the kinds of boxes that the network was trained with; none if not known.

    Raises:
        ValueError: if the file can't be used, or the schemes don't fit.

    Example:
        >>> landmarker = Landmarker("runs/cnn6")  # doctest: +SKIP
        >>> for face in landmarker("family.jpg"):  # doctest: +SKIP
        ...     print(face.landmarks_px, face.score, face.angles_deg)
    """

    def __init__(
        self,
        model: str | os.PathLike | keras.Model | None = None,
        *,
        detector: Callable[..., np.ndarray] | str | None = "haar",
        spec: ModelSpec | None = None,
        scheme: str | None = None,
        scheme_map: SchemeMap | None = None,
        passes: int = 1,
        flip: bool = False,
        num_threads: int = 2,
    ):
        if isinstance(detector, str):
            detector = make_detector(detector)
        if model is None or (isinstance(model, (str, os.PathLike)) and is_exported(model)):
            if spec is not None:
                raise ValueError("An exported file has a model spec of its own; `spec` is none.")
            device = DeviceLandmarker(model, num_threads=num_threads)
            self._run, self.spec = device.run, device.spec
        else:
            self._run, self.spec = _open_keras(model, spec)
        self.trained_boxes = self.spec.trained_boxes
        super().__init__(
            self.spec.scheme,
            input_size=self.spec.input_size,
            margin=self.spec.margin,
            square=self.spec.square,
            detector=detector,
            scheme_map=scheme_map,
            needed_scheme=scheme,
            passes=passes,
            flip=flip,
        )

    def __call__(
        self,
        image: Image,
        boxes_xyxy_px: np.ndarray | None = None,
        *,
        channels: str = "rgb",
    ) -> list[LocatedFace]:
        """Locates the landmarks of all faces of an image.

        Args:
            image: a file, or a uint8 array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]; see
                `wing_tf.inference.as_rgb`.
            boxes_xyxy_px: as for `FaceLandmarker`.
            channels: the order of an array's colors, "rgb" or "bgr".

        Returns:
            One entry a box, in their order; none where nothing is found.

        Raises:
            ValueError: as for `FaceLandmarker`, and if a file can't be read.
        """
        name = None if isinstance(image, np.ndarray) else os.fspath(image)
        image = as_rgb(image, channels=channels)
        boxes = self.detect(image, name) if boxes_xyxy_px is None else boxes_xyxy_px
        return self.many([image], [boxes])[0]

    def run(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Runs the network on all crops; see `FaceLandmarker.run`."""
        return self._run(crops)


def _open_keras(
    model: str | os.PathLike | keras.Model, spec: ModelSpec | None
) -> tuple[Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]], ModelSpec]:
    """Returns a network in Keras as a function of uint8 crops, and its model spec."""
    import keras

    from wing_tf.models.compiled import compile_localizer
    from wing_tf.models.saving import load_network

    if isinstance(model, keras.Model):
        if spec is None:
            raise ValueError("A network without a file needs `spec`.")
    else:
        model, spec = load_network(pathlib.Path(model), spec)
    run = compile_localizer(model)
    return lambda crops: run(crops.astype(np.float32)), spec
