"""Parity of exported networks: differences to the network that was exported."""

import dataclasses
import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from wing_tf.evaluation.predict import CropBatch, Predictions, predict_batches
from wing_tf.evaluation.report import face_errors
from wing_tf.inference.litert_backend import LiteRtBackend, fixed_batches
from wing_tf.landmarks import LandmarkScheme
from wing_tf.model_spec import ordered_outputs
from wing_tf.models.compiled import Localizer, compile_localizer


@dataclasses.dataclass(frozen=True)
class Parity:
    """Differences over a set of faces.

    Attributes:
        num_faces: Number of compared faces.
        max_px: Maximum distance between a landmark before and after, in pixels of the crop.
        mean_px: Mean of these distances.
        max_score: Maximum difference of two scores; None if there are no scores.
        normalizer: Normalizer of the NMEs.
        nme_before: NME of the network, a fraction; None if the faces have no ground truth.
        nme_after: NME of the export.
        nme_between: NME of the export with the network's landmarks as ground truth: approximately
            the maximum change of the NME.
        max_visibility: Maximum difference of two probabilities of being visible; None if the
            network does not emit them.
    """

    num_faces: int
    max_px: float
    mean_px: float
    max_score: float | None
    normalizer: str
    nme_before: float | None
    nme_after: float | None
    nme_between: float | None
    max_visibility: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the values for JSON."""
        values = vars(self) | {"nme_cost": self.nme_cost}
        if self.max_visibility is None:
            del values["max_visibility"]
        return values

    @property
    def nme_cost(self) -> float | None:
        """Increase of the NME by the export."""
        if self.nme_before is None or self.nme_after is None:
            return None
        return self.nme_after - self.nme_before


def measure_parity(
    before: Localizer, after: Localizer, batches: Sequence[CropBatch], scheme: LandmarkScheme
) -> Parity:
    """Compares two networks on the same crops.

    Args:
        before: The network.
        after: The exported network.
        batches: Faces with uint8 images; see `wing_tf.export.faces`.
        scheme: Scheme of both networks and of the ground truth.

    Raises:
        ValueError: If there are no faces, or if the exported network emits other shapes or values
            that are not finite.
    """
    if not batches:
        raise ValueError("There are no faces to compare the export on.")
    one, one_px, one_scores = _predict(before, batches)
    two, two_px, two_scores = _predict(after, batches)
    has = [
        (s is not None, p.visibility is not None) for p, s in ((two, two_scores), (one, one_scores))
    ]
    if one_px.shape != two_px.shape or has[0] != has[1]:
        raise ValueError(
            f"The export emits landmarks {two_px.shape}, the network {one_px.shape} "
            f"(scores, visibility: {has[0]}, {has[1]})."
        )
    if not np.all(np.isfinite(two_px)):
        raise ValueError("The export emits landmarks that are not finite.")
    distance = np.linalg.norm(two_px - one_px, axis=-1)
    max_score = None
    if one_scores is not None and two_scores is not None:
        max_score = float(np.abs(two_scores - one_scores).max())
    max_visibility = None
    if one.visibility is not None and two.visibility is not None:
        max_visibility = float(np.abs(two.visibility - one.visibility).max())
    between = dataclasses.replace(two, true_px=one.predicted_px)
    return Parity(
        num_faces=len(distance),
        max_px=float(distance.max()),
        mean_px=float(distance.mean()),
        max_score=max_score,
        normalizer=scheme.default_normalizer,
        nme_before=_mean_error(one, scheme),
        nme_after=_mean_error(two, scheme),
        nme_between=_mean_error(between, scheme),
        max_visibility=max_visibility,
    )


def open_keras(network: keras.Model) -> Localizer:
    """Returns a network as a function of uint8 crops."""
    run = compile_localizer(network)
    return lambda crops: run(crops.astype(np.float32))


def open_litert(path: str | os.PathLike, num_threads: int = 2) -> Localizer:
    """Returns a LiteRT file as a function of any number of uint8 crops."""
    path = pathlib.Path(path)
    return LiteRtBackend(path.read_bytes(), path=path, num_threads=num_threads)


def open_onnx(path: str | os.PathLike, num_threads: int = 2) -> Localizer:
    """Returns an ONNX file of a fixed batch size as a function of any number of uint8 crops.

    Raises:
        ModuleNotFoundError: If ONNX Runtime is not installed.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    session = onnxruntime.InferenceSession(str(path), options)
    names = [output.name for output in session.get_outputs()]

    def run(crops: np.ndarray) -> tuple[Any, ...]:
        found = [
            [output[: part.stop - part.start] for output in session.run(names, {"image": batch})]
            for part, batch in fixed_batches(crops, session.get_inputs()[0].shape[0])
        ]
        joined = dict(zip(names, map(np.concatenate, zip(*found, strict=True)), strict=True))
        return ordered_outputs(joined)

    return run


def open_saved_model(folder: str | os.PathLike) -> Localizer:
    """Returns the crop signature of a SavedModel as a function of uint8 crops."""
    loaded = tf.saved_model.load(str(folder))

    def run(crops: np.ndarray) -> tuple[Any, ...]:
        # The signature alone would not keep the variables alive.
        out = loaded.signatures["serving_default"](image=tf.constant(crops))
        return ordered_outputs({name: values.numpy() for name, values in out.items()})

    return run


def median_latency_ms(run: Localizer, crops: np.ndarray, *, repeats: int = 30) -> float:
    """Returns the median time per crop of crops [B, side, side, 3], after three warm-up runs.

    Stops after about five seconds.
    """
    times: list[float] = []
    for _ in range(3):
        run(crops)
    while len(times) < repeats and sum(times) < 5.0:
        start = time.perf_counter()
        run(crops)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times)) / len(crops)


def _predict(
    run: Localizer, batches: Sequence[CropBatch]
) -> tuple[Predictions, np.ndarray, np.ndarray | None]:
    """Returns predictions in source pixels, landmarks in crop pixels, and scores."""
    outputs = [run(batch.image) for batch in batches]
    landmarks = [np.asarray(found[0], np.float64) for found in outputs]
    scores = [found[1] for found in outputs if found[1] is not None]
    remaining = iter([(px, *found[1:]) for px, found in zip(landmarks, outputs, strict=True)])
    predictions = predict_batches(lambda _: next(remaining), batches)
    return predictions, np.concatenate(landmarks), np.concatenate(scores) if scores else None


def _mean_error(predictions: Predictions, scheme: LandmarkScheme) -> float | None:
    errors, _ = face_errors(predictions, scheme)
    errors = errors[np.isfinite(errors)]
    return float(errors.mean()) if len(errors) else None
