"""Logistic regression."""

import numpy as np

_RIDGE, _MAX_STEPS = 1e-3, 100


def fit_logistic(features: np.ndarray, is_true: np.ndarray, weights: np.ndarray) -> list[float]:
    """Returns the bias and the slopes of a logistic regression with a small ridge penalty."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.where(deviation > 1e-9, deviation, 1.0)
    inputs = np.column_stack([np.ones(len(features)), (features - mean) / deviation])
    weights = weights / weights.sum()
    ridge = _RIDGE * np.diag([0.0] + [1.0] * features.shape[1])
    found = np.zeros(inputs.shape[1])
    for _ in range(_MAX_STEPS):
        probability = logistic(inputs @ found)
        gradient = inputs.T @ (weights * (probability - is_true)) + ridge @ found
        curvature = weights * np.maximum(probability * (1 - probability), 1e-9)
        step = np.linalg.solve((inputs * curvature[:, None]).T @ inputs + ridge, gradient)
        found = found - step * min(1.0, 2.0 / np.abs(step).max(initial=1e-12))
        if np.abs(step).max() < 1e-8:
            break
    slopes = found[1:] / deviation
    return [float(found[0] - slopes @ mean), *map(float, slopes)]


def logistic(values: np.ndarray) -> np.ndarray:
    """Returns the logistic function of values."""
    return 1 / (1 + np.exp(-np.clip(values, -500, 500)))
