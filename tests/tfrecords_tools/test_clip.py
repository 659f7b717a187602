"""Videos of rendered faces: landmarks fit the pixels, and later faces occlude earlier ones."""

import numpy as np
import pytest

from tfrecords_tools.synthetic.clip import Motion, SyntheticClip
from wing_tf.geometry import landmark_box


def motion(centers_px, *, side_px=80.0, rolls_deg=0.0):
    centers = np.array(centers_px, float)
    fill = np.zeros(len(centers))
    return Motion(centers, fill + side_px, fill + rolls_deg)


def clip_of(*motions, **options):
    return SyntheticClip(list(motions), seed=1, size_hw=(200, 240), **options)


def inner(landmarks_px):
    """Returns x and y of the pixels well inside of a face."""
    low, high = landmark_box(landmarks_px).reshape(2, 2)
    x, y = np.meshgrid(*(np.arange(*np.rint([a + 18, b - 18]).astype(int)) for a, b in
                         zip(low, high, strict=True)))  # fmt: skip
    return x.ravel(), y.ravel()


def test_pixels_shift_with_the_landmarks():
    clip = clip_of(motion([[100, 100], [103, 98]]), noise=0.0)
    x, y = inner(clip.landmarks_px[0, 0])
    before, after = (clip.frame(index).astype(int) for index in (0, 1))
    assert np.abs(after[y - 2, x + 3] - before[y, x]).max() <= 1
    np.testing.assert_allclose(clip.landmarks_px[1] - clip.landmarks_px[0], [[[3, -2]] * 68])
    assert np.abs(after[y, x] - before[y, x]).max() > 20


def test_pixels_rotate_with_the_landmarks():
    # A rotation by 90 degrees about a pixel center maps pixel centers to pixel centers.
    clip = clip_of(motion([[120, 100]] * 2, rolls_deg=[0.0, 90.0]), noise=0.0)
    x, y = inner(clip.landmarks_px[0, 0])
    before, after = (clip.frame(index).astype(int) for index in (0, 1))
    gap = np.abs(after[100 + (x - 120), 120 - (y - 100)] - before[y, x])
    shifted = np.abs(after[100 + (x - 120), 121 - (y - 100)] - before[y, x])
    assert gap.mean() < 0.1 * shifted.mean()  # OpenCV interpolates at 1/32 pixel
    offset = clip.landmarks_px[0, 0] - [120, 100]
    rotated = np.stack([-offset[:, 1], offset[:, 0]], axis=1) + [120, 100]
    np.testing.assert_allclose(clip.landmarks_px[1, 0], rotated, atol=1e-9)


def test_landmarks_follow_the_motion():
    clip = clip_of(motion([[90.25, 80.5]], side_px=61.0))
    low, high = landmark_box(clip.landmarks_px[0, 0]).reshape(2, 2)
    np.testing.assert_allclose((low + high) / 2, [90.25, 80.5])
    assert np.max(high - low) == pytest.approx(61.0)


def test_later_faces_occlude_earlier_ones():
    clip = clip_of(motion([[60, 100], [150, 100]]), motion([[150, 100]] * 2), noise=0.0)
    np.testing.assert_array_equal(clip.occluded_fraction(0), [0, 0])
    back, front = clip.occluded_fraction(1)
    assert back > 0.9
    assert front == 0
    alone = SyntheticClip(
        [motion([[150, 100]] * 2)], seed=1, portraits=[1], size_hw=(200, 240), noise=0.0
    )
    x, y = inner(alone.landmarks_px[1, 0])
    gap = clip.frame(1)[y, x].astype(int) - alone.frame(1)[y, x]
    assert np.abs(gap).max() <= 1  # a rounding error of the alpha channel


def test_frames_are_reproducible_with_different_noise():
    still = motion([[100, 100]] * 2)
    first, second = clip_of(still).frame(0), clip_of(still).frame(1)
    np.testing.assert_array_equal(clip_of(still).frame(0), first)
    spread = (first.astype(float) - second).std() / np.sqrt(2)
    assert spread == pytest.approx(3.0, abs=0.15)


def test_faces_may_leave_the_image():
    clip = clip_of(motion([[100, 100], [230, 190], [900, 900]]), noise=0.0)
    empty = clip.frame(2)
    assert (clip.frame(1) != empty).any()
    assert clip.frame(1).shape == (200, 240, 3)


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match="must not be empty, and all must have"):
        clip_of()
    with pytest.raises(ValueError, match="must not be empty, and all must have"):
        clip_of(motion([[1, 2]]), motion([[1, 2]] * 2))
    with pytest.raises(ValueError, match="`portraits` must have one index for each of 1 motions"):
        clip_of(motion([[1, 2]]), portraits=[0, 1])
