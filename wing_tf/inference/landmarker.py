"""From pictures to landmarks in their pixels, with a network in Keras."""

import pathlib
from collections.abc import Callable

import keras
import numpy as np

from wing_tf.evaluation.predict import compile_localiser
from wing_tf.landmarks import SchemeMap
from wing_tf.models.saving import Contract, load_network
from wing_tf.runtime.faces import FaceLandmarker


class Landmarker(FaceLandmarker):
    """A network with its crop rule and a detector.

    `wing_tf.runtime.Landmarker` is called alike and runs exported files, without TensorFlow.

    Args:
        model: a ``.keras`` file or a run folder, or a network; the latter needs ``contract``.
        detector: pictures to boxes [N, 4], largest first; needed where no box is given.
        contract: what the network's input and output mean; read from the file if None.
        scheme: the name of the mark-up that is needed; a model of another one is refused.
        scheme_map: gives the landmarks of another mark-up than the network's; those that nothing
            stands for are NaN.

    Attributes:
        contract: what the network's input and output mean.
        scheme: the mark-up of the landmarks that come out.

    Raises:
        ValueError: if the file can't be used, or the mark-ups don't fit.

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
        scheme: str | None = None,
        scheme_map: SchemeMap | None = None,
    ):
        if isinstance(model, keras.Model):
            if contract is None:
                raise ValueError("A network without a file needs `contract`.")
            network = model
        else:
            network, contract = load_network(model, contract)
        self.contract = contract
        super().__init__(
            contract.scheme,
            input_size=contract.input_size,
            margin=contract.margin,
            square=contract.square,
            detector=detector,
            scheme_map=scheme_map,
            needed_scheme=scheme,
        )
        self._run = compile_localiser(network)

    def run(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Runs the network on all crops at once; see `FaceLandmarker.run`."""
        return self._run(crops.astype(np.float32))
