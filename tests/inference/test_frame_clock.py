"""Times from intact, absent, repeated and jumping time stamps."""

import numpy as np
import pytest

from wing_tf.inference.frame_clock import FrameClock


def times(stamps_s, decoding_s=None, **options):
    clock = FrameClock(10.0, **options)
    decoding_s = [None] * len(stamps_s) if decoding_s is None else decoding_s
    return [clock(*pair) for pair in zip(stamps_s, decoding_s, strict=True)]


@pytest.mark.parametrize(
    ("stamps_s", "expected"),
    [
        ([5.0, 5.1, 5.15, 9.0], [0, 0.1, 0.15, 4.0]),  # variable rate, from the first stamp
        ([None, None, None], [0, 0.1, 0.2]),
        ([None, 7.0, 7.3], [0, 0.1, 0.4]),
        ([0.0, 0.1, None, 0.3], [0, 0.1, 0.2, 0.3]),
        ([0.0, 0.1, 0.1, 0.2], [0, 0.1, 0.15, 0.2]),  # repeated: no later frame is delayed
        ([0.0, 0.1, 0.0, 0.2], [0, 0.1, 0.15, 0.2]),  # a step back
        ([50.0, 50.1, 3.0, 3.1], [0, 0.1, 0.2, 0.3]),  # joined recordings
        ([0.0, 0.1, 95443.7, 95443.8], [0, 0.1, 0.2, 0.3]),  # the clock of MPEG-TS wraps around
        ([0.0, 0.1, 3000.0], [0, 0.1, 3000.0]),  # a long gap, as of a slide show
    ],
)
def test_times_of_stamps(stamps_s, expected):
    np.testing.assert_allclose(times(stamps_s), expected, atol=1e-9)


def test_times_are_strictly_increasing_for_any_stamps():
    rng = np.random.default_rng(0)
    for scale in (0.01, 1.0, 1e4, 1e9):
        stamps = [None if rng.random() < 0.2 else s for s in rng.normal(0, scale, 300)]
        assert np.all(np.diff(times(stamps)) > 0)
    assert np.all(np.diff(times([0.0] * 300)) > 0)


def test_decoding_stamps_replace_wrong_presentation_stamps():
    """AVI files with B-frames state one time stamp per packet in the order of storage."""
    shown = np.array([1, 2, 3, 5, 6, 4, 8, 9, 7, 10]) / 10  # as FFmpeg guesses them
    found = times(shown.tolist(), (np.arange(2, 12) / 10).tolist())
    np.testing.assert_allclose(found, np.array([0, 1, 2, 4, 5, 6, 7, 8, 9, 10]) / 10, atol=1e-9)


def test_origin_may_be_that_of_another_stream():
    np.testing.assert_allclose(times([4.9, 5.0, 5.1], origin_s=5.0), [-0.1, 0, 0.1], atol=1e-9)
