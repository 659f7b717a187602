"""Bootstrap intervals over faces, and over faces and trainings."""

from collections.abc import Callable
from typing import Any

import numpy as np


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
    difficulty between faces. With several trainings of each system, trainings and faces are both
    resampled. Few trainings give an interval that is too narrow: its variance over S of them is
    (S - 1) / S of what it estimates.

    Args:
        errors: Errors [N] of faces, or [S, N] of S trainings.
        baseline_errors: Errors of the same faces in the same order, of as many trainings.
        **kwargs: Options of `bootstrap_interval`.

    Returns:
        mean(errors - baseline_errors) and its bounds; negative if the first system is better.
    """
    errors, baseline_errors = np.asarray(errors), np.asarray(baseline_errors)
    if errors.shape != baseline_errors.shape:
        raise ValueError(
            "Both systems must have errors of the same faces. "
            f"Received: {errors.shape} and {baseline_errors.shape}."
        )
    difference = errors - baseline_errors
    if difference.ndim == 2:
        if len(difference) > 1:
            return (float(np.mean(difference)), *_interval_over_both(difference, **kwargs))
        difference = difference[0]
    return (float(np.mean(difference)), *bootstrap_interval(difference, **kwargs))


def _interval_over_both(
    values: np.ndarray,
    *,
    confidence: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Returns the percentile interval of the mean of values [S, N] over resampled rows and columns.

    It is computed from how often each row and each column is drawn.
    """
    generator = np.random.default_rng(seed)
    rows, columns = (
        generator.multinomial(count, np.full(count, 1 / count), size=num_resamples) / count
        for count in values.shape
    )
    means = np.einsum("rs,sn,rn->r", rows, values, columns, optimize=True)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def finite_errors(errors: np.ndarray) -> np.ndarray:
    """Returns errors [N] in float64; raises ValueError if some are not finite."""
    errors = np.asarray(errors, np.float64)
    if errors.ndim != 1 or errors.size == 0:
        raise ValueError(f"Errors must be [N] with N >= 1. Received: shape={errors.shape}.")
    if not np.all(np.isfinite(errors)):
        raise ValueError("Errors contain NaN or infinity: leave out faces without a score first.")
    return errors
