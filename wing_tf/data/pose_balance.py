"""Pose-based data balancing (PDB): faces of rare poses are shown more often, or count more.

The Wing paper's section 5; its first version calls it hard sample mining (HSM). All shapes are
aligned to their mean, the one principal component that follows yaw is found, its coefficients are
put in a histogram, and the faces of thin bins get more weight.
"""

import dataclasses
import json
import os
import pathlib
from typing import Any

import numpy as np
from keras import ops

from wing_tf.geometry import apply_affine, fit_similarity, procrustes
from wing_tf.landmarks import LandmarkScheme

NUM_COMPONENTS = 10


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PoseBalance:
    """A pose axis, its histogram over a training set, and a weight for each bin.

    Attributes:
        scheme_name: the scheme.
        mean_shape: [K, 2], see `wing_tf.geometry.procrustes`; symmetric.
        components: [C, K, 2], the leading principal components of the aligned shapes and their
            mirror images, of length 1.
        standard_deviations: [C], the standard deviation of the shapes along each.
        correlations: [C], of each with the horizontal asymmetry of the shapes.
        component: the number of the one that is the pose.
        absolute: whether the histogram is of the coefficient's absolute value.
        bin_edges: [bins + 1]. A bin holds its lower edge; the last one its upper edge too.
        bin_counts: [bins], training faces.
        max_weight: the largest weight.
        bin_weights: [bins]: the fullest bin's count over the bin's own, at most ``max_weight``. An
            empty bin has the weight of its nearest filled neighbor.
    """

    scheme_name: str
    mean_shape: np.ndarray
    components: np.ndarray
    standard_deviations: np.ndarray
    correlations: np.ndarray
    component: int
    absolute: bool
    bin_edges: np.ndarray
    bin_counts: np.ndarray
    max_weight: float
    bin_weights: np.ndarray

    def coefficients(self, landmarks_px, visibility, xp: Any = np):
        """Returns the signed pose coefficient [N] of each face.

        Args:
            landmarks_px: [N, K, 2], in any pixels.
            visibility: [N, K]; points of 0 are missing and left out, and may be NaN.
            xp: the array namespace, numpy or keras.ops.
        """
        array = (lambda a: np.asarray(a, np.float64)) if xp is np else _float32
        mean, axis = array(self.mean_shape), array(self.components[self.component])
        present = array(visibility > 0)
        landmarks_px = xp.where(present[..., None] > 0, landmarks_px, xp.zeros_like(landmarks_px))
        matrix = fit_similarity(landmarks_px, mean[None], weights=present, xp=xp)
        deviation = apply_affine(matrix, landmarks_px, xp=xp) - mean[None]
        # The least-squares coefficient on the points that are there; all of them: a projection.
        known = xp.sum(axis[None] ** 2 * present[..., None], axis=(1, 2))
        projected = xp.sum(deviation * axis[None] * present[..., None], axis=(1, 2))
        return projected / xp.where(known > 0, known, xp.ones_like(known))

    def bin_indices(self, coefficients, xp: Any = np):
        """Returns the bin [N] of each coefficient; those beyond the edges are in the outer bins."""
        inner = self.bin_edges[1:-1]
        value = xp.abs(coefficients) if self.absolute else coefficients
        if xp is not np:
            inner = xp.convert_to_tensor(inner, "float32")
        return xp.searchsorted(inner, value, side="right")

    def absolute_weights(self, landmarks_px, visibility, xp: Any = np):
        """Returns the weight [N] of each face: how often it is shown for once of a common one."""
        weights = (
            self.bin_weights if xp is np else xp.convert_to_tensor(self.bin_weights, "float32")
        )
        bins = self.bin_indices(self.coefficients(landmarks_px, visibility, xp), xp)
        return xp.take(weights, bins, axis=0)

    @property
    def pose_axis(self) -> np.ndarray:
        """The mean shape and the component that is the pose, [2, K, 2]."""
        return np.stack([self.mean_shape, self.components[self.component]])

    @property
    def mean_weight(self) -> float:
        """The training faces' mean weight."""
        return float(np.sum(self.bin_counts * self.bin_weights) / np.sum(self.bin_counts))

    def relative_weights(self, faces: dict):
        """Returns the weights [B] of a batch of `wing_tf.data.read`, over their mean."""
        weights = self.absolute_weights(faces["landmarks_square_px"], faces["visibility"], xp=ops)
        return weights / self.mean_weight

    def save(self, path: pathlib.Path, **remarks) -> None:
        """Writes the model as JSON, with remarks such as the name of the data."""
        values = {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in dataclasses.asdict(self).items()
        }
        temporary = path.with_name(f".{path.name}.writing")
        temporary.write_text(json.dumps(remarks | values, indent=1) + "\n")
        os.replace(temporary, path)

    @staticmethod
    def resolve_path(path: str | pathlib.Path) -> pathlib.Path:
        """Returns the file that a path names: itself, or a folder's ``balance.json``."""
        path = pathlib.Path(path)
        return path / "balance.json" if path.is_dir() else path

    @classmethod
    def load(cls, path: str | pathlib.Path) -> "PoseBalance":
        """Reads what `save` has written.

        Args:
            path: the file, or the folder that holds ``balance.json``.

        Raises:
            ValueError: if there is no such file, or it holds something else.
        """
        path = cls.resolve_path(path)
        try:
            values = json.loads(path.read_text())
            fields = {field.name: values[field.name] for field in dataclasses.fields(cls)}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is not a balance that `wing-tfrecords balance` has written ({error})."
            ) from None
        lists = {k: np.asarray(v) for k, v in fields.items() if isinstance(v, list)}
        return cls(**fields | lists)


def fit_balance(
    landmarks_px: np.ndarray,
    visibility: np.ndarray,
    scheme: LandmarkScheme,
    *,
    num_bins: int = 9,
    absolute: bool = True,
    component: int | None = None,
    max_weight: float = 10.0,
) -> PoseBalance:
    """Finds the pose axis of a training set and the weights that balance it.

    Shapes and their mirror images are analysed together, as training flips images: the mean is
    symmetric, and components are either symmetric or change sign in the mirror.

    Args:
        landmarks_px: [N, K, 2], in any pixels.
        visibility: [N, K]; points of 0 are missing and left out.
        scheme: the scheme.
        num_bins: of the histogram; the paper has 17 for AFLW and 9 for 300-W.
        absolute: take the coefficient's absolute value, as the authors' code does; else its range
            is symmetric about 0.
        component: the number of the component that is the pose; by default the one of the leading
            ten that correlates best with the shapes' horizontal asymmetry: with the first
            principal component of the sideways shifts of the middles of symmetric points, which a
            head that is turned about the vertical moves by their depths.
        max_weight: the largest weight. # The paper is silent: without one, a single extreme face
            could be a hundredth of all that is seen.

    Raises:
        ValueError: on too few faces or a bad argument.

    Reference:
        Feng et al., Wing Loss, CVPR 2018, section 5.
    """
    if num_bins < 1 or max_weight < 1:
        raise ValueError(
            f"`num_bins` and `max_weight` must be at least 1. "
            f"Received: num_bins={num_bins}, max_weight={max_weight:g}."
        )
    if len(landmarks_px) < 3:
        raise ValueError(f"At least 3 faces are needed. Received: {len(landmarks_px)}.")
    permutation = list(scheme.flip_permutation)
    if permutation == sorted(permutation):
        raise ValueError(
            f"{scheme.name} has no pairs of mirrored points: there is no pose to balance by."
        )
    shapes = np.where(visibility[..., None] > 0, landmarks_px, np.nan)
    mean, aligned = procrustes(shapes, permutation)
    deviations = np.nan_to_num(aligned - mean)
    both = np.concatenate([deviations, deviations[:, permutation] * [-1.0, 1.0]])
    flat = both.reshape(len(both), -1)
    _, singular, axes = np.linalg.svd(flat, full_matrices=False)
    count = min(NUM_COMPONENTS, len(axes))
    # The middles of symmetric points, sideways; a turned head moves them by their depths.
    middles = (both[:, :, 0] + both[:, permutation, 0]) / 2
    _, _, patterns = np.linalg.svd(middles, full_matrices=False)
    asymmetry = middles @ patterns[0]
    coefficients = flat @ axes[:count].T
    correlations = np.array([_correlation(c, asymmetry) for c in coefficients.T])
    if component is None:
        component = int(np.argmax(np.abs(correlations)))
    elif not 0 <= component < count:
        raise ValueError(f"`component` must be in [0, {count - 1}]. Received: {component}.")
    axes = axes[:count].reshape(count, -1, 2)
    # A sign that does not depend on the decomposition: the nose goes to the image's right.
    nose = list(scheme.regions.get("nose", range(scheme.num_landmarks)))
    towards = axes[:, nose, 0].mean(axis=1)
    signs = np.where(towards < 0, -1.0, 1.0)
    model = PoseBalance(
        scheme_name=scheme.name,
        mean_shape=mean,
        components=axes * signs[:, None, None],
        standard_deviations=singular[:count] / np.sqrt(len(both)),
        correlations=correlations * signs,
        component=component,
        absolute=absolute,
        bin_edges=np.zeros(2),
        bin_counts=np.zeros(1),
        max_weight=float(max_weight),
        bin_weights=np.ones(1),
    )
    pose = model.coefficients(landmarks_px, visibility)
    largest = np.max(np.abs(pose))
    edges = np.linspace(0.0 if absolute else -largest, largest, num_bins + 1)
    model = dataclasses.replace(model, bin_edges=edges)
    counts = np.bincount(model.bin_indices(pose), minlength=num_bins)
    return dataclasses.replace(
        model, bin_counts=counts, bin_weights=_bin_weights(counts, max_weight)
    )


def _float32(values):
    return ops.cast(ops.convert_to_tensor(values), "float32")


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    spread = np.std(a) * np.std(b)
    return float(np.mean((a - a.mean()) * (b - b.mean())) / spread) if spread > 0 else 0.0


def _bin_weights(counts: np.ndarray, max_weight: float) -> np.ndarray:
    filled = np.flatnonzero(counts)
    nearest = filled[np.argmin(np.abs(np.arange(len(counts))[:, None] - filled), axis=1)]
    return np.minimum(counts.max() / counts[nearest], max_weight)
