"""Intervals over faces by the bootstrap, and over faces and trainings."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats


def bootstrap_interval(
    errors: np.ndarray,
    statistic: Callable[..., np.ndarray] = np.mean,
    *,
    confidence: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of a statistic over faces.

    Args:
        errors: One value per face [N].
        statistic: A function of an array and `axis`. Defaults to the mean.
        confidence: Coverage of the interval. Defaults to .95.
        num_resamples: Number of resamples. Defaults to 2000.
        seed: Random seed. Defaults to 0.

    Returns:
        The lower and the upper bound.
    """
    errors = finite_errors(errors)
    generator = np.random.default_rng(seed)
    values: list[float] = []
    while len(values) < num_resamples:
        rows = min(num_resamples - len(values), 1 + 2_000_000 // len(errors))
        indices = generator.integers(len(errors), size=(rows, len(errors)))
        values.extend(statistic(errors[indices], axis=1))
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def paired_bootstrap(
    errors: np.ndarray, baseline_errors: np.ndarray, **kwargs: Any
) -> tuple[float, float, float]:
    """Returns the mean difference of two systems on the same faces, with its interval.

    Because the errors are compared face by face, the interval does not contain the variation of
    difficulty between faces. With several trainings of each system, it contains the variation
    between trainings, too: it is then that of Student's t distribution with the variances between
    trainings and between faces (crossed random effects), because a few trainings can't be
    resampled. With two trainings it is wide.

    Args:
        errors: Errors [N] of faces, or [S, N] of S trainings.
        baseline_errors: Errors of the same faces in the same order, of as many trainings.
        **kwargs: Options of `bootstrap_interval`; of several trainings, only `confidence` is used.

    Returns:
        mean(errors - baseline_errors) and its bounds; negative if the first system is better.

    Raises:
        ValueError: If the errors are not of the same faces, or some are not finite.
    """
    errors, baseline_errors = np.asarray(errors), np.asarray(baseline_errors)
    if errors.shape != baseline_errors.shape:
        raise ValueError(
            "Both systems must have errors of the same faces. "
            f"Received: {errors.shape} and {baseline_errors.shape}."
        )
    difference = errors - baseline_errors
    if difference.ndim == 2:
        if len(difference) > 1 and difference.shape[1] > 1:
            finite_errors(difference.ravel())
            return (float(np.mean(difference)), *_interval_over_both(difference, **kwargs))
        difference = difference.mean(axis=0)
    return (float(np.mean(difference)), *bootstrap_interval(difference, **kwargs))


def _interval_over_both(
    values: np.ndarray, *, confidence: float = 0.95, **_: Any
) -> tuple[float, float]:
    """Returns the interval of the mean of values [S, N], S trainings and N faces.

    Resampling a few trainings would give intervals that are far too narrow where trainings differ
    much, and too wide where they do not. The variance of the mean is estimated from the variances
    by training, by face and of what remains, and the interval is that of Student's t distribution.
    """
    trainings, faces = values.shape
    by_training, by_face = values.mean(axis=1), values.mean(axis=0)
    rest = values - by_training[:, None] - by_face + values.mean()
    # The variance of the means by training contains that of the rest, and so does the one by face.
    over_trainings = by_training.var(ddof=1) / trainings
    over_faces = by_face.var(ddof=1) / faces
    of_rest = np.sum(rest**2) / ((trainings - 1) * (faces - 1)) / (trainings * faces)
    variance = max(over_trainings + max(over_faces - of_rest, 0.0), over_faces)
    if variance <= 0:
        return float(values.mean()), float(values.mean())
    # Satterthwaite's degrees of freedom of a sum of variances.
    parts = over_trainings**2 / (trainings - 1) + (variance - over_trainings) ** 2 / (faces - 1)
    half = scipy.stats.t.ppf((1 + confidence) / 2, variance**2 / parts) * np.sqrt(variance)
    return float(values.mean() - half), float(values.mean() + half)


def finite_errors(errors: np.ndarray) -> np.ndarray:
    """Returns errors [N] in float64; raises ValueError if some are not finite."""
    errors = np.asarray(errors, np.float64)
    if errors.ndim != 1 or errors.size == 0:
        raise ValueError(f"Errors must be [N] with N >= 1. Received: shape={errors.shape}.")
    if not np.all(np.isfinite(errors)):
        raise ValueError("Errors contain NaN or infinity: leave out faces without a score first.")
    return errors
