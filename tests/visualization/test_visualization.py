import cv2
import numpy as np
import pytest

from wing_tf.landmarks import get_scheme
from wing_tf.visualization import contact_sheet, draw_landmarks
from wing_tf.visualization.files import load_picture, save_picture
from wing_tf.visualization.plots import plot_ced

SCHEME = get_scheme("celeba_5")


def test_dots_are_where_the_landmarks_are():
    black = np.zeros((60, 80, 3), np.uint8)
    landmarks = np.array([[20.25, 20], [60, 20], [40, 30.5], [25, 45], [np.nan, np.nan]])
    drawn = draw_landmarks(
        black, landmarks, SCHEME, radius_px=3, colour=(255, 255, 255), lines=False
    )
    assert not black.any()
    weight = drawn[..., 0].astype(float)
    rows, columns = np.mgrid[:60, :80]
    for x, y in landmarks[:4]:
        near = weight * (np.hypot(columns - x, rows - y) < 6)
        centroid = [(near * columns).sum() / near.sum(), (near * rows).sum() / near.sum()]
        np.testing.assert_allclose(centroid, [x, y], atol=0.15)
    assert np.count_nonzero(weight) < 4 * 60


def test_landmarks_far_outside_are_no_error():
    """What a training that goes wrong emits: it must not end in a picture of it."""
    image = np.zeros((40, 60, 3), np.uint8)
    for size in (1e4, 1e9, 1e30):
        landmarks = np.random.default_rng(0).normal(0, size, (68, 2))
        landmarks[0], landmarks[1] = np.nan, 20.0
        drawn = draw_landmarks(image, landmarks, get_scheme("ibug_68"))
        assert drawn[20, 20].any()


def test_sheets():
    pictures = [np.full((10, 20, 3), i, np.uint8) for i in range(1, 6)]
    sheet = contact_sheet(pictures, columns=3, gap_px=2)
    assert sheet.shape == (2 * 12 + 2, 3 * 22 + 2, 3)
    assert sheet[2 + 12 + 5, 2 + 22 + 5, 0] == 5
    assert contact_sheet(pictures[:1]).shape == (18, 28, 3)
    with pytest.raises(ValueError, match="of one size"):
        contact_sheet([pictures[0], pictures[1][:5]])
    with pytest.raises(ValueError, match="of one size"):
        contact_sheet([])


def test_pictures_keep_their_colours_and_bad_ones_are_named(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    save_picture(tmp_path / "a.png", image)
    np.testing.assert_array_equal(load_picture(tmp_path / "a.png"), image)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], image)
    with pytest.raises(ValueError, match="Cannot read picture"):
        load_picture(tmp_path / "b.png")
    (tmp_path / "b.png").write_bytes(b"text")
    with pytest.raises(ValueError, match="Cannot decode picture"):
        load_picture(tmp_path / "b.png")


def test_a_ced_plot_is_a_picture(tmp_path):
    errors = np.random.default_rng(0).uniform(0, 0.2, 100)
    plot_ced(tmp_path / "ced.png", {"one": errors, "two": errors / 2})
    assert cv2.imread(str(tmp_path / "ced.png")).shape[0] > 300
