"""What an export costs: the exported network beside the one that it was made of."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from wing_tf.evaluation.predict import CropBatch, Predictions, predict_batches
from wing_tf.evaluation.report import face_errors
from wing_tf.inference.litert_backend import LiteRtBackend
from wing_tf.landmarks import LandmarkScheme
from wing_tf.models.compiled import compile_localizer

Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
"""Crops uint8 [B, side, side, 3] to landmarks [B, K, 2] in their pixels and scores [B, K]."""


@dataclasses.dataclass(frozen=True)
class Parity:
    """The differences over a set of faces.

    Attributes:
        num_faces: that were compared.
        max_px: the largest distance between a landmark before and after, in pixels of the crop.
        mean_px: the mean of these distances.
        max_score: the largest difference of two scores; None where there are none.
        normalizer: what NMEs are divided by.
        nme_before: the network's NME, a fraction; None where the faces have no truth.
        nme_after: the export's.
        nme_between: that of the export with the network's landmarks as the truth: about the most
            that the NME can change by.
    """

    num_faces: int
    max_px: float
    mean_px: float
    max_score: float | None
    normalizer: str
    nme_before: float | None
    nme_after: float | None
    nme_between: float | None

    @property
    def nme_cost(self) -> float | None:
        """What the export adds to the NME."""
        if self.nme_before is None or self.nme_after is None:
            return None
        return self.nme_after - self.nme_before


def measure_parity(
    before: Run, after: Run, batches: Sequence[CropBatch], scheme: LandmarkScheme
) -> Parity:
    """Compares two networks on the same crops.

    Args:
        before: the network.
        after: the exported one.
        batches: with images of bytes, see `wing_tf.export.faces`.
        scheme: the scheme of both and of the truth.

    Raises:
        ValueError: if there are no faces, or if the exported network emits other shapes or values
            that are not finite.
    """
    if not batches:
        raise ValueError("There are no faces to compare the export on.")
    one, one_px, one_scores = _predict(before, batches)
    two, two_px, two_scores = _predict(after, batches)
    if one_px.shape != two_px.shape or (one_scores is None) != (two_scores is None):
        raise ValueError(
            f"The export emits landmarks {two_px.shape}, the network {one_px.shape} "
            f"(scores: {two_scores is not None}, {one_scores is not None})."
        )
    if not np.all(np.isfinite(two_px)):
        raise ValueError("The export emits landmarks that are not finite.")
    distance = np.linalg.norm(two_px - one_px, axis=-1)
    between = dataclasses.replace(two, true_px=one.predicted_px)
    return Parity(
        num_faces=len(distance),
        max_px=float(distance.max()),
        mean_px=float(distance.mean()),
        max_score=None if one_scores is None else float(np.abs(two_scores - one_scores).max()),
        normalizer=scheme.default_normalizer,
        nme_before=_mean_error(one, scheme),
        nme_after=_mean_error(two, scheme),
        nme_between=_mean_error(between, scheme),
    )


def keras_run(network: keras.Model) -> Run:
    """Returns a network of floats as a function of bytes."""
    run = compile_localizer(network)
    return lambda crops: run(crops.astype(np.float32))


def litert_run(path: str | pathlib.Path, num_threads: int = 2) -> Run:
    """Returns a LiteRT file as a function; it takes one crop after another."""
    path = pathlib.Path(path)
    return LiteRtBackend(path.read_bytes(), path=path, num_threads=num_threads)


def onnx_run(path: str | pathlib.Path, num_threads: int = 2) -> Run:
    """Returns an ONNX file as a function; it takes one crop after another.

    Raises:
        ModuleNotFoundError: if ONNX Runtime is not installed.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    session = onnxruntime.InferenceSession(str(path), options)
    names = [output.name for output in session.get_outputs()]

    def run(crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        found = [session.run(names, {"image": crop[None]}) for crop in crops]
        joined = dict(zip(names, map(np.concatenate, zip(*found, strict=True)), strict=True))
        return joined["landmarks"], joined.get("scores")

    return run


def saved_model_run(folder: str | pathlib.Path) -> Run:
    """Returns a SavedModel's crop signature as a function."""
    loaded = tf.saved_model.load(str(folder))

    def run(crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        # A signature alone does not keep the variables that it reads.
        out = loaded.signatures["serving_default"](image=tf.constant(crops))
        return out["landmarks"].numpy(), out["scores"].numpy() if "scores" in out else None

    return run


def median_latency_ms(run: Run, crop: np.ndarray, *, repeats: int = 30) -> float:
    """Returns the median time of one crop [1, side, side, 3], after three to warm up.

    At most about five seconds are spent.
    """
    times: list[float] = []
    for _ in range(3):
        run(crop)
    while len(times) < repeats and sum(times) < 5.0:
        start = time.perf_counter()
        run(crop)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def _predict(
    run: Run, batches: Sequence[CropBatch]
) -> tuple[Predictions, np.ndarray, np.ndarray | None]:
    """Returns predictions in source pixels, landmarks in crop pixels, and scores."""
    landmarks, scores = [], []

    def noted(crops: np.ndarray) -> np.ndarray:
        found, sure = run(crops)
        landmarks.append(np.asarray(found, np.float64))
        scores.append(sure)
        return found

    predictions = predict_batches(noted, batches)
    joined = None if scores[0] is None else np.concatenate(scores)
    return predictions, np.concatenate(landmarks), joined


def _mean_error(predictions: Predictions, scheme: LandmarkScheme) -> float | None:
    errors, _ = face_errors(predictions, scheme)
    errors = errors[np.isfinite(errors)]
    return float(errors.mean()) if len(errors) else None
