"""Scores of a set of faces: NME, NMDE, failure rate, AUC and bootstrap intervals.

Scores and thresholds are fractions; the formatting functions print percent. All reports,
comparisons and tables of the package use `summarize_errors` and these formatting functions.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wing_tf.metrics.bootstrap import bootstrap_interval, finite_errors
from wing_tf.metrics.errors import nme

THRESHOLDS = (0.08, 0.10)
"""The usual thresholds of the failure rate and the AUC."""

_SCORE = re.compile(r"nme|nmde|(fr|auc)_\d+|pck(_observer)?")


def nmde(
    true_px: np.ndarray,
    predicted_px: np.ndarray,
    distance_px: np.ndarray,
    subset: Sequence[int] | None = None,
) -> float:
    """Returns the normalized median error (NMDE): the median over faces of their `nme`.

    NaN if no face has an annotated landmark in the subset.

    Reference:
        SMT-Net, equations 15 and 17, table 3.
    """
    errors = nme(true_px, predicted_px, distance_px, subset)
    errors = errors[np.isfinite(errors)]
    return float(np.median(errors)) if errors.size else float("nan")


def failure_rate(errors: np.ndarray, threshold: float) -> float:
    """Returns FR_t, the fraction of faces whose error [N] is above `threshold`."""
    return float(np.mean(finite_errors(errors) > threshold))


def ced_auc(errors: np.ndarray, threshold: float) -> float:
    """Returns AUC_t, the exact area under the CED curve up to `threshold`, over `threshold`.

    The curve is a step function, so the area is 1 - mean(min(e, t)) / t.

    Args:
        errors: One error per face [N], fractions.
        threshold: t > 0.

    Examples:
        >>> round(ced_auc(np.array([0.01, 0.03, 0.05, 0.2]), 0.08), 5)
        0.46875
    """
    if not threshold > 0:
        raise ValueError(f"`threshold` must be positive. Received: threshold={threshold}.")
    # Rounding would make the area of faces that all fail negative.
    return max(0.0, float(1.0 - np.mean(np.minimum(finite_errors(errors), threshold)) / threshold))


def ced_curve(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the cumulative error distribution: sorted errors [N] and fractions [N] up to each."""
    ordered = np.sort(finite_errors(errors))
    return ordered, np.arange(1, len(ordered) + 1) / len(ordered)


def recall_at_precision(
    is_positive: np.ndarray, scores: np.ndarray, precision: float = 0.8
) -> float:
    """Returns the maximum recall of a detector over the thresholds with at least a precision.

    With occluded landmarks as positives and their probabilities as scores, this is COFW's score of
    occlusion detection, recall at 80 % precision.

    Args:
        is_positive: bool [N], which of N landmarks are occluded.
        scores: Scores [N]; landmarks at or above a threshold are detected.
        precision: Minimum fraction of the detections that are right. Defaults to .8.

    Returns:
        The fraction of the positives that are detected; 0 if no threshold has the precision, NaN
        if there are no positives.

    Raises:
        ValueError: If the shapes differ, or a score is not finite.

    Examples:
        >>> labels, scores = np.array([True, True, False, True]), np.array([0.9, 0.8, 0.7, 0.2])
        >>> round(recall_at_precision(labels, scores), 4)  # all four have a precision of .75
        0.6667

    Reference:
        Burgos-Artizzu, Perona and Dollar, Robust Face Landmark Estimation under Occlusion, ICCV
        2013, section 5.
    """
    is_positive, scores = np.asarray(is_positive, bool), np.asarray(scores, np.float64)
    if is_positive.shape != scores.shape or scores.ndim != 1 or not np.isfinite(scores).all():
        raise ValueError(
            "`is_positive` and `scores` must be [N], scores finite. "
            f"Received: shapes {is_positive.shape} and {scores.shape}."
        )
    if not is_positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(is_positive[order])
    detected = np.arange(1, len(scores) + 1)
    # Landmarks of equal scores are detected together.
    is_threshold = np.append(np.diff(scores[order]) != 0, True)
    good = is_threshold & (right / detected >= precision - 1e-12)
    return float(right[good].max() / right[-1]) if good.any() else 0.0


def summarize_errors(
    errors: np.ndarray, thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, Any]:
    """Returns the usual scores of a set of faces.

    Args:
        errors: One finite NME per face [N].
        thresholds: Of the failure rate and the AUC, whole percents. Defaults to .08 and .10.

    Returns:
        ``num_faces``, ``nme`` (the mean), ``nmde`` (the median), for each threshold such as .08
        ``fr_08`` and ``auc_08``, and for each of these scores its 95 % bootstrap interval, such as
        ``nme_interval``.

    Raises:
        ValueError: If an error is not finite, or a threshold is not a whole number of percents:
            `failure_rate` and `ced_auc` take any.
    """
    for threshold in thresholds:
        if not (threshold > 0 and abs(100 * threshold - round(100 * threshold)) < 1e-9):
            raise ValueError(f"`thresholds` must be whole percents. Received: {threshold}.")
    errors = finite_errors(errors)
    scores: dict[str, Any] = {
        "num_faces": len(errors),
        "nme": float(np.mean(errors)),
        "nmde": float(np.median(errors)),
        "nme_interval": bootstrap_interval(errors),
        "nmde_interval": bootstrap_interval(errors, np.median),
    }
    for threshold in thresholds:
        name = f"{round(100 * threshold):02d}"
        failed = (errors > threshold).astype(float)
        areas = 1 - np.minimum(errors, threshold) / threshold
        scores[f"fr_{name}"] = failure_rate(errors, threshold)
        scores[f"auc_{name}"] = ced_auc(errors, threshold)
        scores[f"fr_{name}_interval"] = bootstrap_interval(failed)
        scores[f"auc_{name}_interval"] = bootstrap_interval(areas)
    return scores


def score_title(key: str) -> str:
    """Returns the heading of a score: "nme" is NME, "auc_08" is AUC8."""
    kind, _, suffix = key.partition("_")
    return kind.upper() + (f"{int(suffix)}" if suffix.isdigit() else f" {suffix}".rstrip())


def format_percent(value: float | None) -> str:
    """Returns a fraction as percent, "-" for None."""
    return "-" if value is None else f"{100 * value:.2f}"


def format_interval(interval: Sequence[float]) -> str:
    """Returns the bounds of an interval in percent."""
    low, high = interval
    return f"{100 * low:.2f} to {100 * high:.2f}"


def format_difference(difference: Sequence[float] | None) -> str:
    """Returns the result of `paired_bootstrap` in percent, "-" for None."""
    if difference is None:
        return "-"
    mean, low, high = difference
    return f"{100 * mean:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"


def format_scores(
    rows: Mapping[str, Mapping[str, Any]],
    *,
    heading: str = "",
    official_counts: Mapping[str, int] | None = None,
    remarks: Mapping[str, str] | None = None,
    remark_heading: str = "",
) -> list[str]:
    """Formats scores as an aligned text table in percent, one row per group or system.

    Args:
        rows: Scores of `summarize_errors`, or PCK, by the row's name. Other keys (and intervals)
            are not printed; a score that a row does not have is "-".
        heading: Heading of the first column.
        official_counts: Number of faces that a row should have, printed where it differs.
        remarks: Text at the end of a row, by the row's name.
        remark_heading: Heading of the remarks.

    Returns:
        The lines of the table.
    """
    every = dict.fromkeys(key for row in rows.values() for key in row)
    keys = [key for key in every if _SCORE.fullmatch(key)]
    counts = {}
    for name, row in rows.items():
        number, official = row["num_faces"], (official_counts or {}).get(name)
        counts[name] = f"{number}" if official in (None, number) else f"{number} of {official}"
    width = 2 + max(len(text) for text in (heading, *rows))
    count_width = 2 + max(len(text) for text in ("faces", *counts.values()))
    titles = [score_title(key) for key in keys]
    widths = [max(9, 2 + len(title)) for title in titles]
    head = "".join(f"{title:>{w}}" for title, w in zip(titles, widths, strict=True))
    lines = [f"{heading:<{width}}{'faces':>{count_width}}{head}   {remark_heading}".rstrip()]
    for name, row in rows.items():
        cells = (format_percent(row.get(key)) for key in keys)
        text = "".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
        remark = (remarks or {}).get(name, "")
        lines.append(f"{name:<{width}}{counts[name]:>{count_width}}{text}   {remark}".rstrip())
    return lines
