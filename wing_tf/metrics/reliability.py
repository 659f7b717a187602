"""Reliability of probabilities: how often what they predict comes true."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from wing_tf.metrics.scores import format_percent


def reliability(
    probabilities: np.ndarray, is_true: np.ndarray, *, num_bins: int = 10
) -> dict[str, Any]:
    """Returns the reliability table of probabilities and their expected calibration error (ECE).

    The ECE is the mean absolute difference between the mean probability of a bin and the fraction
    of its cases that came true, weighted by their number.

    Args:
        probabilities: [N] in 0..1.
        is_true: bool [N], what came true.
        num_bins: Number of bins of equal width. Defaults to 10.

    Returns:
        ``ece``, and ``bins``: for each bin that is not empty ``low``, ``high``, ``count``,
        ``mean_score`` and ``fraction_true``.

    Raises:
        ValueError: If there are none, if a probability is not in 0..1, or if the shapes differ.

    Examples:
        >>> reliability(np.array([0.75, 0.85, 0.1]), np.array([True, True, False]))["ece"].round(3)
        np.float64(0.167)

    Reference:
        Guo et al., On calibration of modern neural networks, 2017.
    """
    probabilities, is_true = np.asarray(probabilities, np.float64), np.asarray(is_true, bool)
    if probabilities.ndim != 1 or probabilities.shape != is_true.shape:
        raise ValueError(
            "`probabilities` and `is_true` must both be [N]. "
            f"Received: {probabilities.shape} and {is_true.shape}."
        )
    if not len(probabilities) or not np.all((probabilities >= 0) & (probabilities <= 1)):
        raise ValueError(
            f"`probabilities` must be one or more numbers from 0 to 1. Received: {probabilities}."
        )
    number = np.minimum((probabilities * num_bins).astype(int), num_bins - 1)
    bins = [
        {
            "low": index / num_bins,
            "high": (index + 1) / num_bins,
            "count": int(chosen.sum()),
            "mean_score": float(probabilities[chosen].mean()),
            "fraction_true": float(is_true[chosen].mean()),
        }
        for index in range(num_bins)
        if (chosen := number == index).any()
    ]
    differences = [b["count"] * abs(b["mean_score"] - b["fraction_true"]) for b in bins]
    return {"ece": sum(differences) / len(probabilities), "bins": bins}


def format_reliability(table: Mapping[str, Any]) -> list[str]:
    """Returns the lines of a table of `reliability`, in percent."""
    lines = [f"{'score':<12}{'faces':>7}{'mean':>9}{'accurate':>10}"]
    for row in table["bins"]:
        lines.append(
            f"{row['low']:.1f} to {row['high']:.1f}{'':<2}{row['count']:>7}"
            f"{format_percent(row['mean_score']):>9}{format_percent(row['fraction_true']):>10}"
        )
    return [*lines, f"expected calibration error {format_percent(table['ece'])}"]
