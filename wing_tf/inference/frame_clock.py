"""Times of frames from the time stamps of a stream."""

import math

_MAX_STEP_BACK_S, _MAX_GAP_S = 1.0, 3600.0


class FrameClock:
    """Function from time stamps to times that are strictly increasing.

    Intact stamps give their distance from the first one, whatever the frame rate is. A frame
    without a stamp follows the previous one by one frame interval, and a frame whose stamp is not
    later than the previous time by half an interval. Stamps that jump back by more than a second or
    ahead by more than an hour, as in concatenated recordings, are counted from there on.

    Args:
        frames_per_s: Frame rate, for frames without a valid stamp.
        origin_s: Stamp of time 0 in seconds. Defaults to the first stamp.
    """

    def __init__(self, frames_per_s: float, *, origin_s: float | None = None):
        self._interval_s = 1 / frames_per_s
        self._origin_s = origin_s
        self._last_s: float | None = None
        self._last_stamps_s = [-math.inf, -math.inf]
        self._num_faults = [0, 0]

    def __call__(self, stamp_s: float | None, decoding_stamp_s: float | None = None) -> float:
        """Returns the time of the next frame in seconds.

        Args:
            stamp_s: Presentation time stamp in seconds; None if it is not known.
            decoding_stamp_s: Decoding time stamp in seconds; None if it is not known. It is used
                instead of the other one while that has been out of order more often, as FFmpeg
                does: some AVI files store only such stamps.
        """
        stamp_s = self._better(stamp_s, decoding_stamp_s)
        if stamp_s is not None and self._origin_s is None:
            self._origin_s = stamp_s - self._after(1.0)
        if stamp_s is None or self._origin_s is None:
            time_s = self._after(1.0)
        else:
            time_s = stamp_s - self._origin_s
            if self._last_s is not None:
                ahead_s = time_s - self._last_s
                if not -_MAX_STEP_BACK_S <= ahead_s <= _MAX_GAP_S:
                    time_s = self._after(1.0)
                    self._origin_s = stamp_s - time_s
                elif ahead_s <= 0:
                    time_s = self._after(0.5)
        self._last_s = time_s
        return time_s

    def _after(self, num_intervals: float) -> float:
        return 0.0 if self._last_s is None else self._last_s + num_intervals * self._interval_s

    def _better(self, *stamps_s: float | None) -> float | None:
        """Returns the kind of stamp that has been out of order less often."""
        for kind, stamp_s in enumerate(stamps_s):
            if stamp_s is not None:
                self._num_faults[kind] += stamp_s <= self._last_stamps_s[kind]
                self._last_stamps_s[kind] = stamp_s
        shown, decoded = stamps_s
        if shown is None or (decoded is not None and self._num_faults[0] > self._num_faults[1]):
            return decoded
        return shown
