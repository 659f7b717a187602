"""Landmarks from an exported file."""

import os
from collections.abc import Callable

import numpy as np

from wing_tf.landmarks import SchemeMap
from wing_tf.model_spec import find_model, read_model_spec
from wing_tf.runtime.faces import FaceLandmarker
from wing_tf.runtime.litert import LiteRtNetwork
from wing_tf.runtime.model_spec import shipped_model


class Landmarker(FaceLandmarker):
    """An exported file with its crop rule and a detector: images in, landmarks out.

    It is called like `wing_tf.inference.Landmarker`, which runs a network in Keras, and cuts the
    same crops. Several threads may share one: crops are cut side by side, the network runs for one
    at a time. Where faces are many and cores too, open one a thread, with ``num_threads=1``.

    Args:
        model: a ``.tflite`` file of wing-export, or the folder it wrote. Its model spec is inside;
            else it is read from ``model_spec.json`` beside it. None: the model that comes with this
            package.
        detector: images to boxes [N, 4], largest first; needed where no box is given.
        num_threads: that one run of the network uses.
        scheme: the name of the scheme that is needed; a model of another one is refused.
        scheme_map: gives the landmarks of another scheme than the network's; those that nothing
            stands for are NaN.
        passes: see `wing_tf.runtime.faces.FaceLandmarker`.
        flip: see there.

    Attributes:
        spec: what the file says of itself.
        scheme: the scheme of the landmarks that come out.

    Raises:
        ValueError: if the file or its model spec can't be used; see
            `wing_tf.runtime.read_model_spec`.
        ImportError: if ai-edge-litert is not installed.

    Example:
        >>> landmarker = Landmarker("model.tflite", scheme="ibug_68")  # doctest: +SKIP
        >>> faces = landmarker(image_rgb, boxes_xyxy_px)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | os.PathLike | None = None,
        *,
        detector: Callable[[np.ndarray], np.ndarray] | None = None,
        num_threads: int = 2,
        scheme: str | None = None,
        scheme_map: SchemeMap | None = None,
        passes: int = 1,
        flip: bool = False,
    ):
        path = shipped_model() if model is None else find_model(model)
        content = path.read_bytes()
        self._network = LiteRtNetwork(content, path=path, num_threads=num_threads)
        self.spec = read_model_spec(path, content)
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
        side = self.spec.input_size
        said = ((1, side, side, 3), self.spec.scheme.num_landmarks, self.spec.has_scores)
        found = (
            self._network.input_shape,
            self._network.num_landmarks,
            self._network.has_scores,
        )
        if said != found:
            raise ValueError(
                f"{path} and its model spec disagree (input, landmarks, scores): {found}, {said}."
            )

    def run(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Runs the network on crops, one by one; see `FaceLandmarker.run`."""
        return self._network(crops)
