"""Calibrated scores of faces: the probability that the landmarks of a face are accurate.

A score is a logistic function of how well the landmarks fit a statistical shape model and, for
networks with a score per landmark, of the mean of these scores. Its parameters are fitted to
predictions whose errors are known, and are stored in the model spec. NumPy only.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from wing_tf.geometry import procrustes
from wing_tf.geometry.shapes import as_complex
from wing_tf.utils.json_values import finite_array, is_count
from wing_tf.utils.logistic import fit_logistic, logistic

ACCURATE_NME = 0.08
"""NME below which the landmarks of a face count as accurate, as for FR8."""

MAX_MIN_SCORE, MAX_DROPPED = 0.03, 0.005
"""The default threshold of a network is `MAX_MIN_SCORE`, or less if it would drop more than the
fraction `MAX_DROPPED` of the faces of the calibration."""

_MAX_MODES, _MIN_SHAPES_PER_MODE, _NUM_FOLDS = 24, 10, 5
_MIN_DEVIATION = _MIN_DISTANCE = 1e-3
_DIGITS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreCalibration:
    """The function from the landmarks of a face, and their scores, to the score of the face.

    The landmarks are shifted, scaled and rotated to the mean shape of accurate predictions, and
    their difference from it is projected on the modes of a principal component analysis. The
    features are the logarithms of the root mean square residual and of the distances of the
    coefficients from those of accurate and of inaccurate predictions, in standard deviations, and
    the mean of the landmarks' scores. A network of coordinates predicts smooth shapes where there
    is no face: their distribution tells them from faces, not their residual.

    Attributes:
        mean_shape: Mean shape [K, 2] of accurate predictions, root mean square distance 1 from its
            center 0.
        modes: Orthonormal modes [M, 2 K] of the shapes; M may be 0.
        deviations: Standard deviations [M] of the coefficients of accurate predictions, whose means
            are 0.
        inaccurate_means: Means [M] of the coefficients of inaccurate predictions.
        inaccurate_deviations: Standard deviations [M] of these.
        max_inaccurate_distance: Limit of the distance from inaccurate predictions, which no
            accurate one exceeds: what is far from both is not a face.
        weights: Weights of the features: three, or four for a network with scores of landmarks.
        bias: Constant of the logistic function.
        min_score: Score below which `wing_tf.inference.Landmarker` drops a detected face by
            default.
        num_faces: Number of annotated faces that the calibration was fitted to.

    Reference:
        Cootes et al., Active shape models, 1995; Platt, Probabilistic outputs for support vector
        machines, 1999.
    """

    mean_shape: tuple[tuple[float, float], ...]
    modes: tuple[tuple[float, ...], ...]
    deviations: tuple[float, ...]
    inaccurate_means: tuple[float, ...]
    inaccurate_deviations: tuple[float, ...]
    max_inaccurate_distance: float
    weights: tuple[float, ...]
    bias: float
    min_score: float
    num_faces: int

    def __post_init__(self) -> None:
        """Makes tuples of floats of arrays and of JSON lists, and checks their shapes."""
        count, size = len(self.modes), 2 * len(self.mean_shape)
        shapes: dict[str, tuple[int, ...]] = {
            "mean_shape": (size // 2, 2),
            "modes": (count, size),
            **dict.fromkeys(("deviations", "inaccurate_means", "inaccurate_deviations"), (count,)),
            "weights": (4 if len(self.weights) == 4 else 3,),
            **dict.fromkeys(("max_inaccurate_distance", "bias"), ()),
            "min_score": (),
        }
        for name, shape in shapes.items():
            array = finite_array(f"score_calibration.{name}", getattr(self, name), shape)
            rows = array.tolist()
            value = tuple(map(tuple, rows)) if array.ndim == 2 else rows
            object.__setattr__(self, name, tuple(value) if array.ndim == 1 else value)
        if min((*self.deviations, *self.inaccurate_deviations), default=1.0) <= 0:
            raise ValueError("the score calibration's deviations must be positive")
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"its `min_score` must be 0 to 1. Received: {self.min_score}")
        if not is_count(self.num_faces):
            raise ValueError(f"its `num_faces` must be a number. Received: {self.num_faces!r:.60}")

    def __call__(self, landmarks_px: np.ndarray, scores: np.ndarray | None = None) -> np.ndarray:
        """Returns the score of each face: the probability that its NME is below `ACCURATE_NME`.

        Args:
            landmarks_px: Landmarks [N, K, 2] of the network, in any frame.
            scores: Scores [N, K] of the landmarks.

        Returns:
            float64 [N] in 0..1; 0 where landmarks or scores that are used are not finite.
        """
        used = scores if len(self.weights) == 4 else landmarks_px[:, :, 0]
        if used is None:
            raise ValueError("The calibration needs the scores of the landmarks.")
        found, is_finite = np.zeros(len(landmarks_px)), _are_finite(landmarks_px, used)
        features = self._shape_model.features(landmarks_px[is_finite])
        features = np.column_stack([features, np.mean(used[is_finite], axis=1)])
        logits = features[:, : len(self.weights)] @ self.weights + self.bias
        found[is_finite] = logistic(logits)
        return found

    @cached_property
    def _shape_model(self) -> "_ShapeModel":
        size = 2 * len(self.mean_shape)
        return _ShapeModel(
            np.array(self.mean_shape),
            np.reshape(self.modes, (-1, size)),
            np.array(self.deviations),
            np.array(self.inaccurate_means),
            np.array(self.inaccurate_deviations),
            self.max_inaccurate_distance,
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the calibration as JSON types."""
        return dataclasses.asdict(self) | {"accurate_nme": ACCURATE_NME}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ScoreCalibration":
        """Returns the calibration of `to_dict`.

        Raises:
            ValueError, TypeError, KeyError: If it is not valid.
        """
        if values["accurate_nme"] != ACCURATE_NME:
            raise ValueError(
                f"the score calibration is for an NME of {values['accurate_nme']}, not "
                f"{ACCURATE_NME}"
            )
        return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls)})


def fit_calibration(
    landmarks_px: np.ndarray,
    scores: np.ndarray | None,
    is_accurate: np.ndarray,
    *,
    face: np.ndarray,
    weights: np.ndarray,
    is_typical: np.ndarray,
    flip_permutation: Sequence[int],
) -> ScoreCalibration:
    """Fits the calibration of a network to predictions whose errors are known.

    The logistic function is fitted to the features of faces that the shape model was not fitted to,
    by cross-validation, because shapes are closer to a model that knows them.

    Args:
        landmarks_px: Predicted landmarks [N, K, 2].
        scores: Scores [N, K] of the landmarks; None if the network has none.
        is_accurate: bool [N], whether the NME is below `ACCURATE_NME`; False for boxes that do not
            show a face.
        face: Number of the annotated face of each prediction, int [N].
        weights: How often each prediction counts [N].
        is_typical: bool [N], whether the box is like a detector's box of a face. The shape model is
            fitted to the accurate ones among these, and the threshold to all of them.
        flip_permutation: Flip permutation of the scheme.

    Raises:
        ValueError: If nearly all predictions are accurate or inaccurate.
    """
    is_finite = _are_finite(landmarks_px, landmarks_px[:, :, 0] if scores is None else scores)
    arrays = (landmarks_px, is_accurate, face, weights, is_typical)
    landmarks_px, is_accurate, face, weights, is_typical = (array[is_finite] for array in arrays)

    def fit_model(chosen: np.ndarray) -> _ShapeModel:
        accurate, inaccurate = chosen & is_accurate & is_typical, chosen & ~is_accurate
        if not accurate.any() or not inaccurate.any():
            raise ValueError("The calibration needs predictions that are accurate, and others.")
        return _fit_shape_model(landmarks_px[accurate], landmarks_px[inaccurate], flip_permutation)

    features = np.zeros((len(landmarks_px), 3))
    for fold in range(_NUM_FOLDS):
        chosen = face % _NUM_FOLDS == fold
        features[chosen] = fit_model(~chosen).features(landmarks_px[chosen])
    if scores is not None:
        features = np.column_stack([features, np.mean(scores[is_finite], axis=1)])
    bias, *slopes = fit_logistic(features, is_accurate, weights)
    typical = logistic(features[is_typical] @ slopes + bias)
    threshold = min(float(np.quantile(typical, MAX_DROPPED)), MAX_MIN_SCORE)
    shapes: dict[str, Any] = dict(vars(fit_model(np.ones(len(landmarks_px), bool))))
    return ScoreCalibration(
        **shapes,
        weights=tuple(slopes),
        bias=bias,
        min_score=float(np.floor(threshold * 1e4) / 1e4),
        num_faces=len(np.unique(face)),
    )


@dataclasses.dataclass(frozen=True)
class _ShapeModel:
    """The arrays of a `ScoreCalibration` that describe shapes."""

    mean_shape: np.ndarray
    modes: np.ndarray
    deviations: np.ndarray
    inaccurate_means: np.ndarray
    inaccurate_deviations: np.ndarray
    max_inaccurate_distance: float

    def features(self, landmarks_px: np.ndarray) -> np.ndarray:
        """Returns the features [N, 3] of shapes [N, K, 2]."""
        offsets = _offsets(landmarks_px, self.mean_shape)
        coefficients = offsets @ self.modes.T
        residuals = offsets - coefficients @ self.modes
        inaccurate = _norm((coefficients - self.inaccurate_means) / self.inaccurate_deviations)
        distances = (
            np.sqrt(2 * np.mean(residuals**2, axis=1)),
            _norm(coefficients / self.deviations),
            np.minimum(inaccurate, self.max_inaccurate_distance),
        )
        return np.log(np.maximum(np.column_stack(distances), _MIN_DISTANCE))


def _fit_shape_model(
    accurate_px: np.ndarray, inaccurate_px: np.ndarray, flip_permutation: Sequence[int]
) -> _ShapeModel:
    """Fits a shape model to predictions [N, K, 2], which are used with their mirror images."""
    num_landmarks = accurate_px.shape[1]
    if num_landmarks < 3:  # any two points can be aligned with any other two
        mean = np.linspace([-1.0, 0.0], [1.0, 0.0], num_landmarks)
        none = np.zeros(0)
        return _ShapeModel(mean, np.zeros((0, mean.size)), none, none, none, 0.0)
    mean, _ = procrustes(_with_mirrored(accurate_px, flip_permutation), flip_permutation)
    accurate, inaccurate = (
        _offsets(_with_mirrored(landmarks_px, flip_permutation), mean)
        for landmarks_px in (accurate_px, inaccurate_px)
    )
    _, singular, modes = np.linalg.svd(accurate, full_matrices=False)
    deviations = singular / np.sqrt(len(accurate))
    # A shape of K points has 2 K - 4 degrees of freedom.
    limits = (_MAX_MODES, 2 * num_landmarks - 4, len(accurate_px) // _MIN_SHAPES_PER_MODE)
    count = min(*limits, int(np.sum(deviations > _MIN_DEVIATION)))
    mean, modes, deviations = (
        array.round(_DIGITS) for array in (mean, modes[:count], deviations[:count])
    )
    others = inaccurate @ modes.T
    means = others.mean(axis=0).round(_DIGITS)
    spreads = np.maximum(others.std(axis=0), _MIN_DEVIATION).round(_DIGITS)
    farthest = float(_norm((accurate @ modes.T - means) / spreads).max(initial=0.0))
    return _ShapeModel(mean, modes, deviations, means, spreads, round(farthest, _DIGITS))


def _with_mirrored(landmarks_px: np.ndarray, flip_permutation: Sequence[int]) -> np.ndarray:
    """Returns shapes [N, K, 2], followed by their mirror images."""
    shapes = landmarks_px.astype(np.float64)
    return np.concatenate([shapes, shapes[:, list(flip_permutation)] * [-1.0, 1.0]])


def _offsets(landmarks_px: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Returns the differences [N, 2 K] of shapes [N, K, 2] from the mean.

    The shapes are shifted, scaled to the size of the mean and rotated: a fitted scale would shrink
    shapes that are unlike the mean.
    """
    # As complex numbers x + i y, of which one is the rotation with the least squared error.
    points = as_complex(landmarks_px)
    points = points - points.mean(axis=1, keepdims=True)
    points /= np.maximum(np.sqrt(np.sum(np.abs(points) ** 2, axis=1)), 1e-12)[:, None]
    rotation = points.conj() @ as_complex(mean)
    rotation *= np.sqrt(len(mean)) / np.maximum(np.abs(rotation), 1e-12)
    points *= rotation[:, None]
    return (points - as_complex(mean)).view(np.float64)


def _are_finite(landmarks_px: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.isfinite(landmarks_px).all(axis=(1, 2)) & np.isfinite(scores).all(axis=1)


def _norm(values: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum(values**2, axis=1))
