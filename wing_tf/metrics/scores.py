"""Exact scores of a whole set of faces, in NumPy.

Errors, thresholds and scores are fractions: .05 is what papers print as 5 %.
"""

import numpy as np

from wing_tf.geometry import landmark_box
from wing_tf.landmarks import LandmarkScheme


def normalizing_distance(
    landmarks_px: np.ndarray,
    scheme: LandmarkScheme,
    normalizer: str | None = None,
    *,
    box_xyxy_px: np.ndarray | None = None,
    scale_px: np.ndarray | None = None,
) -> np.ndarray:
    """Returns the distance [N] by which the errors of each face are divided.

    Args:
        landmarks_px: the true landmarks [N, K, 2].
        scheme: names the points between which distances are taken.
        normalizer: one of the scheme's (such as "inter_ocular": outer eye corners, or
            "inter_pupil": pupils or the means of the eyes' points), or "box" (sqrt(w h)),
            "box_width", "diagonal", or "given" for `scale_px`; the scheme's default if None.
        box_xyxy_px: [N, 4] for the box normalizers; the tight box of the true landmarks if None.
        scale_px: [N], for "given".

    Returns:
        [N] pixels; NaN where a landmark that is needed is missing, or where the landmarks coincide
        or the box is empty: such a face has no score.

    Raises:
        ValueError: if the name is unknown or an array is of another number of faces.
    """
    normalizer = normalizer or scheme.default_normalizer
    landmarks_px = _landmarks(landmarks_px)
    if normalizer in scheme.normalizers:
        left, right = (
            landmarks_px[:, list(group)].mean(axis=1) for group in scheme.normalizers[normalizer]
        )
        distance = np.linalg.norm(left - right, axis=-1)
    elif normalizer in ("box", "box_width", "diagonal"):
        boxes = landmark_box(landmarks_px) if box_xyxy_px is None else np.asarray(box_xyxy_px)
        width, height = (boxes[:, 2:] - boxes[:, :2]).T
        distance = {
            "box": np.sqrt(width * height),
            "box_width": width,
            "diagonal": np.hypot(width, height),
        }[normalizer]
    elif normalizer == "given":
        if scale_px is None:
            raise ValueError("`normalizer='given'` needs `scale_px` [N].")
        distance = np.asarray(scale_px, np.float64)
    else:
        known = [*scheme.normalizers, "box", "box_width", "diagonal", "given"]
        raise ValueError(
            f"`normalizer` must be one of {known} for {scheme.name}. Received: {normalizer!r}."
        )
    if distance.shape != (len(landmarks_px),):
        raise ValueError(
            f"`scale_px` and `box_xyxy_px` must have one entry a face, {len(landmarks_px)}. "
            f"Received: {len(distance)}."
        )
    return np.where(distance > 0, distance, np.nan)


def _landmarks(landmarks_px: np.ndarray) -> np.ndarray:
    landmarks_px = np.asarray(landmarks_px, np.float64)
    if landmarks_px.ndim != 3 or landmarks_px.shape[-1] != 2:
        raise ValueError(f"Landmarks must be [N, K, 2]. Received: shape={landmarks_px.shape}.")
    return landmarks_px


def point_errors(
    true_px: np.ndarray, predicted_px: np.ndarray, distance_px: np.ndarray
) -> np.ndarray:
    """Returns each landmark's distance from the truth over the face's normalizing distance.

    Args:
        true_px: [N, K, 2]; NaN marks a missing point.
        predicted_px: [N, K, 2]; anything where the truth is missing.
        distance_px: [N].

    Returns:
        [N, K], NaN where the truth is missing.

    Raises:
        ValueError: if the shapes differ, or if a prediction is not finite where there is a truth:
            dropping it as though there were none would flatter the score.
    """
    true_px, predicted_px = _landmarks(true_px), _landmarks(predicted_px)
    if true_px.shape != predicted_px.shape:
        raise ValueError(
            "Truth and prediction must have one shape. "
            f"Received: {true_px.shape} and {predicted_px.shape}."
        )
    distance_px = np.asarray(distance_px, np.float64)
    if distance_px.shape != (len(true_px),):
        raise ValueError(
            f"`distance_px` must be [{len(true_px)}]. Received: shape={distance_px.shape}."
        )
    if not np.all(np.isfinite(predicted_px) | np.isnan(true_px)):
        raise ValueError("`predicted_px` holds NaN or infinite landmarks.")
    return np.linalg.norm(true_px - predicted_px, axis=-1) / distance_px[:, None]


def nme(
    true_px: np.ndarray,
    predicted_px: np.ndarray,
    distance_px: np.ndarray,
    subset: tuple[int, ...] | None = None,
) -> np.ndarray:
    """Returns the normalized mean error (NME) of each face.

    The mean over the landmarks that have a truth, of the distance from it, divided by the face's
    normalizing distance.

    Args:
        true_px: [N, K, 2]; NaN marks a missing point.
        predicted_px: [N, K, 2].
        distance_px: [N], see `normalizing_distance`.
        subset: the landmarks that count; all if None.

    Returns:
        [N] fractions; NaN for a face without a truth in the subset.

    Example:
        >>> true = np.array([[[0.0, 0.0], [10.0, 0.0]]])
        >>> nme(true, true + [[[3.0, 4.0], [0.0, 0.0]]], np.array([10.0]))  # (5 + 0) / 2 / 10
        array([0.25])
    """
    errors = point_errors(true_px, predicted_px, distance_px)
    if subset is not None:
        errors = errors[:, list(subset)]
    counts = np.sum(np.isfinite(errors), axis=1)
    return np.where(counts > 0, np.nansum(errors, axis=1) / np.maximum(counts, 1), np.nan)


def nmde(
    true_px: np.ndarray,
    predicted_px: np.ndarray,
    distance_px: np.ndarray,
    subset: tuple[int, ...] | None = None,
) -> float:
    """Returns the normalized median error (NMDE): the median over faces of their `nme`.

    NaN if no face has a truth in the subset.

    Reference:
        SMT-Net, equations 15 and 17, table 3.
    """
    errors = nme(true_px, predicted_px, distance_px, subset)
    errors = errors[np.isfinite(errors)]
    return float(np.median(errors)) if errors.size else float("nan")


def pck(
    true_px: np.ndarray, predicted_px: np.ndarray, distance_px: np.ndarray, threshold: float
) -> np.ndarray:
    """Returns the percentage of correct key points (PCK) of each landmark, as a fraction.

    The share of those with a truth whose error is at most ``threshold`` times the normalizing
    distance.

    Args:
        true_px: [N, K, 2]; NaN marks a missing point.
        predicted_px: [N, K, 2].
        distance_px: [N], see `normalizing_distance`; persons without one are left out.
        threshold: .2 for PCK@.2.

    Returns:
        [K]; NaN for a landmark that nobody has a truth for.

    Example:
        >>> true = np.zeros((2, 1, 2))
        >>> pck(true, true + [[[3.0, 0.0]], [[1.0, 0.0]]], np.array([10.0, 10.0]), 0.2)
        array([0.5])

    Reference:
        Yang and Ramanan, Articulated Human Detection with Flexible Mixtures of Parts, PAMI 2013.
    """
    errors = point_errors(true_px, predicted_px, distance_px)
    known = np.isfinite(errors)
    correct = np.sum(known & (errors <= threshold), axis=0)
    counts = np.sum(known, axis=0)
    return np.where(counts > 0, correct / np.maximum(counts, 1), np.nan)


def observer_centric(
    landmarks_px: np.ndarray, scheme: LandmarkScheme, known: np.ndarray | None = None
) -> np.ndarray:
    """Renames the pairs of person-centric joints by the side of the image that each lies on.

    Of each pair that the scheme's flip exchanges, the point with the smaller x takes the place that
    it has on a person who faces the viewer: the one of the region ``right_...``. A pair with a
    missing point stays as it is.

    Args:
        landmarks_px: [N, K, 2], NaN where missing.
        scheme: person-centric, such as `lsp_14`.
        known: bool [N, K], which landmarks have a truth; all if None. Give it for predictions: a
            pair that the truth's rule leaves as it is must stay so in both.

    Returns:
        [N, K, 2].

    Raises:
        ValueError: if the scheme's regions don't name left and right.
    """
    landmarks_px = _landmarks(landmarks_px).copy()
    right = [i for name, r in scheme.regions.items() if name.startswith("right_") for i in r]
    if not right:
        raise ValueError(f"{scheme.name} has no regions named right_... Take a scheme of a body.")
    left = [scheme.flip_permutation[i] for i in right]
    one, other = landmarks_px[:, right], landmarks_px[:, left]
    swap = one[..., 0] > other[..., 0]  # False where one is NaN
    if known is not None:
        swap = swap & known[:, right] & known[:, left]
    swap = swap[..., None]
    landmarks_px[:, right], landmarks_px[:, left] = (
        np.where(swap, other, one),
        np.where(swap, one, other),
    )
    return landmarks_px


def failure_rate(errors: np.ndarray, threshold: float) -> float:
    """Returns FR_t: the share of faces whose error [N] is above ``threshold``."""
    return float(np.mean(_finite(errors) > threshold))


def ced_auc(errors: np.ndarray, threshold: float) -> float:
    """Returns AUC_t, the area below the CED curve up to ``threshold`` over ``threshold``, exactly.

    The curve is a staircase, so its area needs no grid: 1 - mean(min(e, t)) / t.

    Args:
        errors: one error a face [N], fractions.
        threshold: t > 0.

    Example:
        >>> round(ced_auc(np.array([0.01, 0.03, 0.05, 0.2]), 0.08), 5)
        0.46875
    """
    if not threshold > 0:
        raise ValueError(f"`threshold` must be positive. Received: threshold={threshold}.")
    return float(1.0 - np.mean(np.minimum(_finite(errors), threshold)) / threshold)


def ced_curve(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the cumulative error distribution: sorted errors [N] and shares [N] up to each."""
    ordered = np.sort(_finite(errors))
    return ordered, np.arange(1, len(ordered) + 1) / len(ordered)


def bootstrap_interval(
    errors: np.ndarray,
    statistic=np.mean,
    *,
    confidence: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of a statistic over faces.

    Args:
        errors: one value a face [N].
        statistic: a function of an array and ``axis``.
        confidence: the interval's coverage.
        num_resamples: the number of resamples.
        seed: the same seed gives the same interval.

    Returns:
        The lower and the upper bound.
    """
    errors = _finite(errors)
    generator = np.random.default_rng(seed)
    values: list[float] = []
    while len(values) < num_resamples:
        rows = min(num_resamples - len(values), 1 + 2_000_000 // len(errors))
        picks = generator.integers(len(errors), size=(rows, len(errors)))
        values.extend(statistic(errors[picks], axis=1))
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def paired_bootstrap(
    errors: np.ndarray, other_errors: np.ndarray, **kwargs
) -> tuple[float, float, float]:
    """Returns the mean difference of two systems on the same faces, with its interval.

    Pairing the faces takes out how hard each one is, so a small difference can be told from none.

    Args:
        errors: [N].
        other_errors: [N], the same faces in the same order.
        **kwargs: passed to `bootstrap_interval`.

    Returns:
        mean(errors - other_errors) and its bounds; below 0, the first system is better.
    """
    errors, other_errors = np.asarray(errors), np.asarray(other_errors)
    if errors.shape != other_errors.shape:
        raise ValueError(
            f"Both need the same faces. Received: {errors.shape} and {other_errors.shape}."
        )
    difference = errors - other_errors
    return (float(np.mean(difference)), *bootstrap_interval(difference, **kwargs))


def _finite(errors: np.ndarray) -> np.ndarray:
    errors = np.asarray(errors, np.float64)
    if errors.ndim != 1 or errors.size == 0:
        raise ValueError(f"Errors must be [N] with N >= 1. Received: shape={errors.shape}.")
    if not np.all(np.isfinite(errors)):
        raise ValueError("Errors hold NaN or infinity: leave faces without truth out first.")
    return errors
