"""Pose-based data balancing (PDB): rare poses are sampled more often, or weigh more in the loss.

Section 5 of the Wing paper, whose first version calls it hard sample mining (HSM). Shapes are
aligned to their mean, the principal component that follows yaw is selected, and faces whose
coefficient falls in a sparse bin of the histogram get a larger weight.
"""

import dataclasses
import os
from typing import Any

import numpy as np
from keras import ops

from wing_tf.data.record_files import is_folder, read_json, record_path
from wing_tf.geometry import apply_affine, fit_similarity, procrustes
from wing_tf.landmarks import LandmarkScheme, get_scheme
from wing_tf.utils.atomic import write_json
from wing_tf.utils.json_values import check_object, finite_array, is_positive

NUM_COMPONENTS = 10
_MAX_VALUE = 1e3  # shapes have a root mean square distance of 1 from their center


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PoseBalance:
    """A pose axis, the histogram of a training set along it, and a weight for each bin.

    Its `face_weights` are for any landmarks. It is also a function of a batch of faces, as the
    arguments ``sampling_weights`` (faces are repeated) and ``loss_weights`` of
    `wing_tf.data.dataset_from_records` and `wing_tf.data.training_batches` take it.

    Attributes:
        scheme_name: Name of the landmark scheme.
        mean_shape: [K, 2], symmetric; see `wing_tf.geometry.procrustes`.
        components: [C, K, 2], leading principal components of the aligned shapes and their mirror
            images, of unit length.
        standard_deviations: [C], of the shapes along each component.
        correlations: [C], of each component with the horizontal asymmetry of the shapes.
        component: Index of the component that is the pose.
        absolute: Whether the histogram is of the absolute value of the coefficient.
        bin_edges: [bins + 1]. A bin includes its lower edge, and the last bin its upper edge too.
        bin_counts: [bins], number of training faces.
        max_weight: Upper limit of the weights.
        bin_weights: [bins], the largest count over the bin's count, at most ``max_weight``. An
            empty bin has the weight of its nearest non-empty neighbor.
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

    def __post_init__(self) -> None:
        """Makes arrays of lists. Raises ValueError if a value is not as described."""
        lists = (self.bin_counts, self.components)
        bins, num = (len(v) if isinstance(v, list | np.ndarray) else 0 for v in lists)
        shapes: dict[str, tuple[int | None, ...]] = {
            "mean_shape": (None, 2),
            "components": (num, None, 2),
            **dict.fromkeys(("standard_deviations", "correlations"), (num,)),
            "bin_edges": (bins + 1,),
            **dict.fromkeys(("bin_counts", "bin_weights"), (bins,)),
        }
        for name, shape in shapes.items():
            limit = 2.0**53 if name in ("bin_counts", "bin_weights") else _MAX_VALUE
            values = finite_array(name, getattr(self, name), shape, max_value=limit)
            object.__setattr__(self, name, values)
        counts, norms = self.bin_counts, np.sum(self.components**2, axis=(1, 2))
        limit = self.max_weight if is_positive(self.max_weight) else 0
        is_valid = {
            "scheme_name": isinstance(self.scheme_name, str),
            "mean_shape": self.components.shape[1:] == self.mean_shape.shape,
            "components": np.allclose(norms, 1, atol=0.01),
            "component": type(self.component) is int and 0 <= self.component < num,
            "standard_deviations": np.all(self.standard_deviations >= 0),
            "absolute": isinstance(self.absolute, bool),
            "bin_edges": np.all(np.diff(self.bin_edges) >= 0),
            "bin_counts": np.any(counts) and np.all((counts >= 0) & (counts % 1 == 0)),
            "max_weight": limit >= 1,
            "bin_weights": np.all((self.bin_weights > 0) & (self.bin_weights <= limit)),
        }
        if wrong := [name for name, valid in is_valid.items() if not valid]:
            value = " ".join(repr(getattr(self, wrong[0])).split())
            raise ValueError(f"`{wrong[0]}` is not valid or contradicts others: {value:.80}.")
        object.__setattr__(self, "bin_counts", counts.astype(np.int64))

    def coefficients(self, landmarks_px, visibility, xp: Any = np):
        """Returns the signed pose coefficient [N] of each face.

        Args:
            landmarks_px: [N, K, 2], in any pixel frame.
            visibility: [N, K]; landmarks with 0 are ignored, like those that are NaN.
            xp: Array namespace, numpy or keras.ops.

        Raises:
            ValueError: If the faces have another number of landmarks.
        """
        if tuple(landmarks_px.shape[1:]) != self.mean_shape.shape:
            raise ValueError(
                f"`landmarks_px` must be [N, {len(self.mean_shape)}, 2], of the scheme "
                f"{self.scheme_name}. Received: {tuple(landmarks_px.shape)}."
            )
        array = (lambda a: np.asarray(a, np.float64)) if xp is np else _float32
        mean, axis = array(self.mean_shape), array(self.components[self.component])
        present = array(xp.logical_and(visibility > 0, xp.all(xp.isfinite(landmarks_px), axis=-1)))
        landmarks_px = xp.where(present[..., None] > 0, landmarks_px, xp.zeros_like(landmarks_px))
        matrix = fit_similarity(landmarks_px, mean[None], weights=present, xp=xp)
        deviation = apply_affine(matrix, landmarks_px, xp=xp) - mean[None]
        # The least-squares coefficient on the annotated landmarks; a projection if all are.
        known = xp.sum(axis[None] ** 2 * present[..., None], axis=(1, 2))
        projected = xp.sum(deviation * axis[None] * present[..., None], axis=(1, 2))
        return projected / xp.where(known > 0, known, xp.ones_like(known))

    def bin_indices(self, coefficients, xp: Any = np):
        """Returns the bin [N] of each coefficient; those outside the edges are in the end bins."""
        inner = self.bin_edges[1:-1]
        value = xp.abs(coefficients) if self.absolute else coefficients
        if xp is not np:
            inner = xp.convert_to_tensor(inner, "float32")
        return xp.searchsorted(inner, value, side="right")

    def face_weights(self, landmarks_px, visibility, xp: Any = np):
        """Returns the weight [N] of each face, relative to the mean of the training faces.

        The arguments are those of `coefficients`.
        """
        weights = self.bin_weights
        if xp is not np:
            weights = xp.convert_to_tensor(weights, "float32")
        bins = self.bin_indices(self.coefficients(landmarks_px, visibility, xp), xp)
        return xp.take(weights, bins, axis=0) / self.mean_weight

    def __call__(self, faces: dict):
        """Returns the weights [B] of a batch of `wing_tf.data.training_batches`."""
        return self.face_weights(faces["landmarks_square_px"], faces["visibility"], xp=ops)

    @property
    def pose_axis(self) -> np.ndarray:
        """The mean shape and the pose component, [2, K, 2]."""
        return np.stack([self.mean_shape, self.components[self.component]])

    @property
    def mean_weight(self) -> float:
        """The mean weight of the training faces."""
        return float(np.sum(self.bin_counts * self.bin_weights) / np.sum(self.bin_counts))

    def save(self, path: str | os.PathLike, **remarks) -> None:
        """Writes the balance as JSON, with remarks such as the name of the data."""
        values = {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in dataclasses.asdict(self).items()
        }
        write_json(path, remarks | values)

    @staticmethod
    def resolve_path(path: str | os.PathLike) -> str:
        """Returns the path of the file: ``balance.json`` if `path` is a folder, else `path`.

        Raises:
            OSError: If the file system can't be read.
        """
        path = record_path(path)
        return os.path.join(path, "balance.json") if is_folder(path) else path

    @classmethod
    def load(cls, path: str | os.PathLike) -> "PoseBalance":
        """Reads a file of `save`.

        Args:
            path: The file, or a folder that contains ``balance.json``, local or remote.

        Raises:
            ValueError: If the file does not exist or is not a pose balance.
            OSError: If the file system can't be read.
        """
        path = cls.resolve_path(path)
        try:
            values = check_object(read_json(path), path, {})
            return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls)})
        except (OSError, ValueError, KeyError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else str(error).rstrip(".")
            raise ValueError(
                f"{path} is not a balance that `wing-tfrecords balance` has written ({reason})."
            ) from None


def fit_balance(
    landmarks_px: np.ndarray,
    visibility: np.ndarray,
    scheme: LandmarkScheme | str,
    *,
    num_bins: int = 9,
    absolute: bool = True,
    component: int | None = None,
    max_weight: float = 10.0,
) -> PoseBalance:
    """Fits the pose axis of a training set and the weights that balance it.

    Shapes and their mirror images are analyzed together, because training flips images. The mean is
    then symmetric, and a mirrored component is either itself or its negative.

    Args:
        landmarks_px: [N, K, 2], in any pixel frame; NaN where not annotated.
        visibility: [N, K]; landmarks with 0 are ignored.
        scheme: Landmark scheme, or its name.
        num_bins: Number of bins; the paper has 17 for AFLW and 9 for 300-W. 17 signed bins are as
            wide as 9 absolute ones, which the authors' code has.
        absolute: Whether to use the absolute value of the coefficient, as the authors' code does.
            Otherwise the range of the histogram is symmetric about 0.
        component: Index of the pose component. Defaults to the one of the leading ten that
            correlates best with the horizontal asymmetry of the shapes. The asymmetry is the first
            principal component of the x coordinates of the midpoints of symmetric landmarks: a yaw
            shifts them according to their depths.
        max_weight: Upper limit of the weights. # Deviates from the paper, which has none: a single
            extreme face could make up a hundredth of all samples.

    Raises:
        ValueError: If there are too few faces or an argument is invalid.

    Reference:
        Feng et al., Wing Loss, CVPR 2018, section 5.
    """
    if num_bins < 1 or max_weight < 1:
        raise ValueError(
            "`num_bins` and `max_weight` must be at least 1. "
            f"Received: num_bins={num_bins}, max_weight={max_weight:g}."
        )
    scheme = get_scheme(scheme)
    if len(landmarks_px) < 3:
        raise ValueError(f"At least 3 faces are needed. Received: {len(landmarks_px)}.")
    if landmarks_px.shape[1] != scheme.num_landmarks:
        raise ValueError(f"{scheme.name} has other landmarks. Received: {landmarks_px.shape}.")
    permutation = list(scheme.flip_permutation)
    if permutation == sorted(permutation):
        raise ValueError(
            f"{scheme.name} has no pairs of mirrored landmarks, so its pose can't be balanced."
        )
    shapes = np.where(visibility[..., None] > 0, landmarks_px, np.nan)
    mean, aligned = procrustes(shapes, permutation)
    deviations = np.nan_to_num(aligned - mean)
    both = np.concatenate([deviations, deviations[:, permutation] * [-1.0, 1.0]])
    flat = both.reshape(len(both), -1)
    _, singular, axes = np.linalg.svd(flat, full_matrices=False)
    count = min(NUM_COMPONENTS, len(axes))
    midpoints_x = (both[:, :, 0] + both[:, permutation, 0]) / 2
    _, _, patterns = np.linalg.svd(midpoints_x, full_matrices=False)
    asymmetry = midpoints_x @ patterns[0]
    coefficients = flat @ axes[:count].T
    correlations = np.array([_correlation(c, asymmetry) for c in coefficients.T])
    if component is None:
        component = int(np.argmax(np.abs(correlations)))
    elif not 0 <= component < count:
        raise ValueError(f"`component` must be in [0, {count - 1}]. Received: {component}.")
    axes = axes[:count].reshape(count, -1, 2)
    # The sign does not depend on the decomposition: positive moves the nose right in the image.
    nose = list(scheme.regions.get("nose", range(scheme.num_landmarks)))
    signs = np.where(axes[:, nose, 0].mean(axis=1) < 0, -1.0, 1.0)
    balance = PoseBalance(
        scheme_name=scheme.name,
        mean_shape=mean,
        components=axes * signs[:, None, None],
        standard_deviations=singular[:count] / np.sqrt(len(both)),
        correlations=correlations * signs,
        component=component,
        absolute=absolute,
        bin_edges=np.zeros(num_bins + 1),
        bin_counts=np.ones(num_bins),
        max_weight=float(max_weight),
        bin_weights=np.ones(num_bins),
    )
    pose = balance.coefficients(landmarks_px, visibility)
    largest = np.max(np.abs(pose))
    edges = np.linspace(0.0 if absolute else -largest, largest, num_bins + 1)
    balance = dataclasses.replace(balance, bin_edges=edges)
    counts = np.bincount(balance.bin_indices(pose), minlength=num_bins)
    weights = _bin_weights(counts, max_weight)
    return dataclasses.replace(balance, bin_counts=counts, bin_weights=weights)


def _float32(values):
    return ops.cast(ops.convert_to_tensor(values), "float32")


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    spread = np.std(a) * np.std(b)
    return float(np.mean((a - a.mean()) * (b - b.mean())) / spread) if spread > 0 else 0.0


def _bin_weights(counts: np.ndarray, max_weight: float) -> np.ndarray:
    filled = np.flatnonzero(counts)
    nearest = filled[np.argmin(np.abs(np.arange(len(counts))[:, None] - filled), axis=1)]
    return np.minimum(counts.max() / counts[nearest], max_weight)
