"""Normalized errors of landmarks, in NumPy and float64.

Errors are fractions of a normalizing distance: .05 is what papers print as 5 %.
"""

from collections.abc import Sequence

import numpy as np

from wing_tf.geometry import landmark_box
from wing_tf.landmarks import LandmarkScheme, get_scheme


def normalizing_distance(
    landmarks_px: np.ndarray,
    scheme: LandmarkScheme | str,
    normalizer: str | None = None,
    *,
    box_xyxy_px: np.ndarray | None = None,
    scale_px: np.ndarray | None = None,
) -> np.ndarray:
    """Returns the distance [N] by which the errors of each face are divided.

    Args:
        landmarks_px: Ground truth landmarks [N, K, 2].
        scheme: The scheme of the landmarks, or its name.
        normalizer: One of the scheme's normalizers (such as "inter_ocular", between the outer eye
            corners, or "inter_pupil", between the pupils or the means of the eye landmarks), "box"
            (sqrt(w h)), "box_width", "diagonal", or "given" for `scale_px`. Defaults to the
            scheme's own.
        box_xyxy_px: Boxes [N, 4] for the box normalizers. Defaults to the tight boxes of the
            landmarks.
        scale_px: Distances [N] for "given".

    Returns:
        Pixels [N]; NaN, which means that the face has no score, if a landmark that the normalizer
        needs is not annotated, if the landmarks coincide or if the box is empty.

    Raises:
        ValueError: If a name is unknown, if the landmarks are not those of the scheme, or if an
            array has another number of faces.
    """
    scheme = get_scheme(scheme)
    normalizer = normalizer or scheme.default_normalizer
    landmarks_px = _landmarks(landmarks_px)
    if landmarks_px.shape[1] != scheme.num_landmarks:
        raise ValueError(
            f"Landmarks of {scheme.name} must be [N, {scheme.num_landmarks}, 2]. "
            f"Received: shape={landmarks_px.shape}."
        )
    if normalizer in scheme.normalizers:
        left, right = (
            landmarks_px[:, list(group)].mean(axis=1) for group in scheme.normalizers[normalizer]
        )
        distance = np.linalg.norm(left - right, axis=-1)
    elif normalizer in ("box", "box_width", "diagonal"):
        boxes = landmark_box(landmarks_px) if box_xyxy_px is None else np.asarray(box_xyxy_px)
        width, height = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).T
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
            f"`scale_px` and `box_xyxy_px` must have one entry per face, {len(landmarks_px)}. "
            f"Received: {len(distance)}."
        )
    return np.where(distance > 0, distance, np.nan)


def _landmarks(landmarks_px: np.ndarray) -> np.ndarray:
    landmarks_px = np.asarray(landmarks_px, np.float64)
    if landmarks_px.ndim != 3 or landmarks_px.shape[-1] != 2:
        raise ValueError(f"Landmarks must be [N, K, 2]. Received: shape={landmarks_px.shape}.")
    return landmarks_px


def landmark_errors(
    true_px: np.ndarray, predicted_px: np.ndarray, distance_px: np.ndarray
) -> np.ndarray:
    """Returns each landmark's distance from the ground truth over the normalizing distance.

    Args:
        true_px: Ground truth [N, K, 2], NaN where a landmark is not annotated.
        predicted_px: Predictions [N, K, 2]; ignored where a landmark is not annotated.
        distance_px: Normalizing distances [N].

    Returns:
        Errors [N, K], NaN where a landmark is not annotated.

    Raises:
        ValueError: If the shapes differ, or if the prediction of an annotated landmark is not
            finite: to ignore it would improve the score.
    """
    true_px, predicted_px = _landmarks(true_px), _landmarks(predicted_px)
    if true_px.shape != predicted_px.shape:
        raise ValueError(
            "Ground truth and predictions must have the same shape. "
            f"Received: {true_px.shape} and {predicted_px.shape}."
        )
    distance_px = np.asarray(distance_px, np.float64)
    if distance_px.shape != (len(true_px),):
        raise ValueError(
            f"`distance_px` must be [{len(true_px)}]. Received: shape={distance_px.shape}."
        )
    missing = np.isnan(true_px).any(axis=-1)
    if not np.all(np.isfinite(predicted_px).all(axis=-1) | missing):
        raise ValueError("`predicted_px` contains NaN or infinite landmarks.")
    return np.linalg.norm(true_px - predicted_px, axis=-1) / distance_px[:, None]


def nme(
    true_px: np.ndarray,
    predicted_px: np.ndarray,
    distance_px: np.ndarray,
    subset: Sequence[int] | None = None,
) -> np.ndarray:
    """Returns the normalized mean error (NME) of each face.

    The mean of `landmark_errors` over the annotated landmarks.

    Args:
        true_px: Ground truth [N, K, 2], NaN where a landmark is not annotated.
        predicted_px: Predictions [N, K, 2].
        distance_px: Distances [N] of `normalizing_distance`.
        subset: Indices of the landmarks to evaluate. Defaults to all.

    Returns:
        Fractions [N]; NaN for a face without an annotated landmark in the subset.

    Examples:
        >>> true = np.array([[[0.0, 0.0], [10.0, 0.0]]])
        >>> nme(true, true + [[[3.0, 4.0], [0.0, 0.0]]], np.array([10.0]))  # (5 + 0) / 2 / 10
        array([0.25])
    """
    errors = landmark_errors(true_px, predicted_px, distance_px)
    if subset is not None:
        errors = errors[:, list(subset)]
    counts = np.sum(np.isfinite(errors), axis=1)
    return np.where(counts > 0, np.nansum(errors, axis=1) / np.maximum(counts, 1), np.nan)


def pck(
    true_px: np.ndarray,
    predicted_px: np.ndarray,
    distance_px: np.ndarray,
    threshold: float,
    *,
    axis: int = 0,
) -> np.ndarray:
    """Returns the percentage of correct keypoints (PCK), as a fraction.

    A keypoint is correct if its error is at most `threshold` times the normalizing distance.

    Args:
        true_px: Ground truth [N, K, 2], NaN where a keypoint is not annotated.
        predicted_px: Predictions [N, K, 2].
        distance_px: Distances [N] of `normalizing_distance`; persons with NaN are left out.
        threshold: .2 for PCK@.2.
        axis: 0 for the PCK of each keypoint, 1 for that of each person. Defaults to 0.

    Returns:
        Fractions [K] or [N]; NaN where nothing is annotated.

    Examples:
        >>> true = np.zeros((2, 1, 2))
        >>> pck(true, true + [[[3.0, 0.0]], [[1.0, 0.0]]], np.array([10.0, 10.0]), 0.2)
        array([0.5])

    Reference:
        Yang and Ramanan, Articulated Human Detection with Flexible Mixtures of Parts, PAMI 2013.
    """
    errors = landmark_errors(true_px, predicted_px, distance_px)
    annotated = np.isfinite(errors)
    correct = np.sum(annotated & (errors <= threshold), axis=axis)
    counts = np.sum(annotated, axis=axis)
    return np.where(counts > 0, correct / np.maximum(counts, 1), np.nan)


def observer_centric(
    landmarks_px: np.ndarray, scheme: LandmarkScheme, annotated: np.ndarray | None = None
) -> np.ndarray:
    """Converts person-centric joints to observer-centric ones.

    Of each pair of joints that the scheme's flip permutation exchanges, the joint with the smaller
    x is assigned to the region ``right_...``, as on a person who faces the viewer. A pair with a
    joint that is not annotated is unchanged.

    Args:
        landmarks_px: Joints [N, K, 2], NaN where not annotated.
        scheme: A person-centric scheme such as `lsp_14`.
        annotated: bool [N, K], whether the ground truth of a joint is known. Pass it with
            predictions, so that they are converted as their ground truth is. Defaults to all.

    Returns:
        Joints [N, K, 2].

    Raises:
        ValueError: If the scheme has no regions named ``right_...``.
    """
    landmarks_px = _landmarks(landmarks_px).copy()
    right = [i for name, r in scheme.regions.items() if name.startswith("right_") for i in r]
    if not right:
        raise ValueError(f"{scheme.name} is not a body scheme: it has no regions named right_...")
    left = [scheme.flip_permutation[i] for i in right]
    one, other = landmarks_px[:, right], landmarks_px[:, left]
    swap = one[..., 0] > other[..., 0]  # False where one is NaN
    if annotated is not None:
        swap = swap & annotated[:, right] & annotated[:, left]
    swap = swap[..., None]
    landmarks_px[:, right] = np.where(swap, other, one)
    landmarks_px[:, left] = np.where(swap, one, other)
    return landmarks_px
