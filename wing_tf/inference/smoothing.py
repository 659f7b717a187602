"""Smoothing of landmarks over time."""

import math

import numpy as np

MIN_CUTOFF_HZ = 0.5
BETA = 20.0
DERIVATIVE_CUTOFF_HZ = 2.0
"""Selected by ``benchmarks/video.py --choose``: the jitter of CNN-6 falls to .16 of the unfiltered
one, and the lag grows by .2 frames. Lower cutoffs reduce jitter further, but slow motion lags."""


class OneEuroFilter:
    """Smooths landmarks strongly at rest and weakly in motion.

    A first-order low-pass filter whose cutoff frequency rises with the speed of each landmark:

        cutoff = min_cutoff + beta * |speed|        alpha = 1 / (1 + 1 / (2 pi cutoff dt))
        filtered = alpha * measured + (1 - alpha) * last filtered

    The speed is the low-pass filtered derivative, in face sizes per second, so that one setting
    suits faces of all sizes. ``dt`` is the difference of the time stamps, so that the frame rate
    may vary.

    Args:
        min_cutoff_hz: Cutoff frequency at rest. A lower value reduces jitter.
        beta: Increase of the cutoff frequency in Hz for a speed of one face size per second. A
            higher value reduces lag.
        derivative_cutoff_hz: Cutoff frequency of the filter of the speed.

    Raises:
        ValueError: If a cutoff is not positive or ``beta`` is negative.

    Examples:
        >>> smooth = OneEuroFilter(min_cutoff_hz=1.0, beta=0.0)
        >>> smooth(np.array([[0.0, 0.0]]), 0.0, size_px=100.0)
        array([[0., 0.]])
        >>> smooth(np.array([[1.0, 2.0]]), 0.5 / np.pi, size_px=100.0)  # alpha = 1 / 2
        array([[0.5, 1. ]])

    Reference:
        Casiez, Roussel and Vogel, 1 Euro Filter, CHI 2012, algorithm 1.
    """

    def __init__(
        self,
        *,
        min_cutoff_hz: float = MIN_CUTOFF_HZ,
        beta: float = BETA,
        derivative_cutoff_hz: float = DERIVATIVE_CUTOFF_HZ,
    ):
        for name, value in (
            ("min_cutoff_hz", min_cutoff_hz),
            ("derivative_cutoff_hz", derivative_cutoff_hz),
        ):
            if not value > 0:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value}.")
        if not beta >= 0:
            raise ValueError(f"`beta` must not be negative. Received: beta={beta}.")
        self.min_cutoff_hz, self.beta = min_cutoff_hz, beta
        self.derivative_cutoff_hz = derivative_cutoff_hz
        self.reset()

    def reset(self) -> None:
        """Forgets the previous frames: the next landmarks are returned unchanged."""
        self._time_s: float | None = None
        self._filtered = self._speed = np.empty((0, 2))

    def __call__(self, landmarks_px: np.ndarray, time_s: float, *, size_px: float) -> np.ndarray:
        """Filters the landmarks of one frame.

        Args:
            landmarks_px: [K, 2]. A landmark with NaN is returned as NaN, and its filter restarts
                with its next value.
            time_s: Time of the frame, later than that of the last one.
            size_px: Size of the face in the same pixels, for example the longer side of its box.

        Returns:
            float64 [K, 2].

        Raises:
            ValueError: If the times are not strictly increasing, the number of landmarks changes,
                or the size is not positive.
        """
        measured = np.array(landmarks_px, np.float64)
        if measured.ndim != 2 or measured.shape[1] != 2:
            raise ValueError(f"`landmarks_px` must be [K, 2]. Received: shape={measured.shape}.")
        if not (size_px > 0 and math.isfinite(size_px)):
            raise ValueError(f"`size_px` must be positive. Received: size_px={size_px}.")
        measured[~np.isfinite(measured).all(axis=1)] = np.nan
        if self._time_s is None:
            if not math.isfinite(time_s):
                raise ValueError(f"`time_s` must be finite. Received: time_s={time_s}.")
            self._time_s, self._filtered = time_s, measured
            self._speed = np.zeros_like(measured)
            return measured.copy()
        step_s = time_s - self._time_s
        if not (step_s > 0 and math.isfinite(step_s)):
            raise ValueError(
                f"`time_s` must be strictly increasing: the last frame's was {self._time_s}. "
                f"Received: time_s={time_s}."
            )
        if len(measured) != len(self._filtered):
            raise ValueError(
                f"The filter was used on {len(self._filtered)} landmarks. "
                f"Received: {len(measured)}."
            )
        speed = (measured - self._filtered) / (step_s * size_px)
        speed = self._speed + _alpha(self.derivative_cutoff_hz, step_s) * (speed - self._speed)
        cutoff = self.min_cutoff_hz + self.beta * np.linalg.norm(speed, axis=1, keepdims=True)
        filtered = self._filtered + _alpha(cutoff, step_s) * (measured - self._filtered)
        # A landmark without a previous value starts without smoothing.
        fresh = np.isnan(filtered)
        self._filtered = np.where(fresh, measured, filtered)
        self._speed = np.where(fresh, 0.0, speed)
        self._time_s = time_s
        return self._filtered.copy()


def _alpha(cutoff_hz, step_s: float):
    """Returns the weight of the new value in a first-order low-pass filter."""
    ratio = 2 * math.pi * step_s * cutoff_hz
    return ratio / (ratio + 1)
