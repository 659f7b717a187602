"""The One-Euro filter: its arithmetic, uneven frames, sizes, missing landmarks."""

import numpy as np
import pytest

from wing_tf.inference.smoothing import OneEuroFilter


def run(smooth, landmarks, times, size_px=100.0):
    pairs = zip(landmarks, times, strict=True)
    return np.array([smooth(one, time, size_px=size_px) for one, time in pairs])


def test_two_steps_by_hand():
    smooth = OneEuroFilter(min_cutoff_hz=1.0, beta=2.0, derivative_cutoff_hz=1.0)
    step = 1 / (2 * np.pi)  # alpha = cutoff / (cutoff + 1)
    assert smooth(np.array([[10.0, 0.0]]), 5.0, size_px=10.0).tolist() == [[10.0, 0.0]]
    # The speed is 4 / step / 10 = .8 pi, half of it after its own filter: a cut-off of 1 + .8 pi.
    cutoff = 1 + 2 * 0.4 * np.pi
    found = smooth(np.array([[14.0, 0.0]]), 5.0 + step, size_px=10.0)
    first = 10 + 4 * cutoff / (cutoff + 1)
    np.testing.assert_allclose(found, [[first, 0.0]], rtol=1e-12)
    speed = 0.4 * np.pi + 0.5 * ((14 - first) / step / 10 - 0.4 * np.pi)
    cutoff = 1 + 2 * speed
    found = smooth(np.array([[14.0, 0.0]]), 5.0 + 2 * step, size_px=10.0)
    np.testing.assert_allclose(found[0, 0], first + (14 - first) * cutoff / (cutoff + 1))


def test_filter_reduces_noise_at_rest_and_lags_little_in_motion():
    rng = np.random.default_rng(0)
    times = np.arange(300) / 30
    rest = 50 + rng.normal(0, 0.5, (300, 68, 2))
    found = run(OneEuroFilter(), rest, times)[30:]
    ratio = np.abs(np.diff(found, axis=0)).mean() / np.abs(np.diff(rest, axis=0)).mean()
    assert ratio < 0.5
    moving = rest + np.stack([100 * times, 0 * times], axis=1)[:, None]  # a face size a second
    late = (moving - run(OneEuroFilter(), moving, times))[60:, :, 0].mean() / (100 / 30)
    assert 0 <= late < 1.5


def test_smoothing_is_independent_of_face_size():
    rng = np.random.default_rng(1)
    landmarks, times = rng.normal(0, 20, (20, 5, 2)), np.arange(20) / 30
    small = run(OneEuroFilter(), landmarks, times, size_px=100.0)
    large = run(OneEuroFilter(), landmarks * 7, times, size_px=700.0)
    np.testing.assert_allclose(large, 7 * small, rtol=1e-9, atol=1e-9)


def test_smoothing_is_independent_of_the_frame_rate():
    # The step response after one second is about the same for any frame times.
    for times in (np.linspace(0, 1, 201), np.sort(np.random.default_rng(2).uniform(0, 1, 200))):
        times = np.unique(np.concatenate([[0.0], times, [1.0]]))
        landmarks = np.ones((len(times), 1, 2))
        landmarks[0] = 0
        smooth = OneEuroFilter(min_cutoff_hz=0.2, beta=0.0)
        left = 1 - run(smooth, landmarks, times)[-1]
        np.testing.assert_allclose(left, np.exp(-2 * np.pi * 0.2), rtol=0.02)


def test_nan_landmark_stays_nan_and_restarts_its_filter():
    rng = np.random.default_rng(3)
    landmarks, times = rng.normal(0, 1, (30, 4, 2)), np.arange(30) / 30
    gaps = landmarks.copy()
    gaps[10:13, 1] = np.nan
    gaps[10, 2, 0] = np.nan  # one NaN coordinate is enough
    gaps[:5, 3] = np.inf
    whole, found = (run(OneEuroFilter(), one, times) for one in (landmarks, gaps))
    np.testing.assert_array_equal(found[:, 0], whole[:, 0])
    missing = np.zeros((30, 4), bool)
    missing[10:13, 1] = missing[10, 2] = missing[:5, 3] = True
    np.testing.assert_array_equal(np.isnan(found), np.repeat(missing[..., None], 2, axis=-1))
    np.testing.assert_array_equal(found[13, 1], landmarks[13, 1])  # not smoothed
    fresh = run(OneEuroFilter(), landmarks[13:], times[13:])
    np.testing.assert_allclose(found[13:, 1], fresh[:, 1])


def test_reset_restarts_the_filter():
    smooth = OneEuroFilter()
    smooth(np.zeros((3, 2)), 7.0, size_px=10.0)
    smooth.reset()
    other = np.full((5, 2), 9.0)
    np.testing.assert_array_equal(smooth(other, 1.0, size_px=10.0), other)


def test_returned_array_may_be_modified():
    smooth = OneEuroFilter()
    given = np.zeros((1, 2))
    smooth(given, 0.0, size_px=1.0)[:] = 99
    given[:] = 99
    for time in (0.1, 0.2):
        found = smooth(np.zeros((1, 2)), time, size_px=1.0)
        assert np.abs(found).max() == 0
        found[:] = 99


def test_invalid_input_raises():
    smooth = OneEuroFilter()
    for time in (np.nan, np.inf):
        with pytest.raises(ValueError, match=r"`time_s` must be finite"):
            smooth(np.zeros((3, 2)), time, size_px=10.0)
    smooth(np.zeros((3, 2)), 2.0, size_px=10.0)
    for time in (1.0, 2.0, np.nan):
        with pytest.raises(
            ValueError, match=r"`time_s` must be strictly increasing: the last frame's was 2\.0"
        ):
            smooth(np.zeros((3, 2)), time, size_px=10.0)
    with pytest.raises(ValueError, match=r"used on 3 landmarks\. Received: 4"):
        smooth(np.zeros((4, 2)), 3.0, size_px=10.0)
    with pytest.raises(ValueError, match=r"must be \[K, 2\]"):
        smooth(np.zeros(6), 3.0, size_px=10.0)
    with pytest.raises(ValueError, match=r"`size_px` must be positive"):
        smooth(np.zeros((3, 2)), 3.0, size_px=np.nan)
    for options in ({"min_cutoff_hz": 0.0}, {"derivative_cutoff_hz": -1.0}, {"beta": -0.1}):
        with pytest.raises(ValueError, match=rf"`{next(iter(options))}` must"):
            OneEuroFilter(**options)
