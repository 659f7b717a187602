import csv

import numpy as np
import pytest

from wing_tf.inference import Face
from wing_tf.inference.comparison import (
    SHOWN,
    KeptDifferences,
    compare_faces,
    difference_rows,
    difference_sheet,
    difference_table,
)
from wing_tf.landmarks import get_scheme
from wing_tf.landmarks.head import AVERAGE_HEAD_MM

SCHEME = get_scheme("ibug_68")
IMAGE = np.random.default_rng(0).integers(0, 256, (300, 260, 3), np.uint8)


def _model(shift_px=0.0, moved=(), missing=()):
    """A landmarker that finds the average head at each box's corner, some landmarks moved."""

    def locate(image, boxes):
        faces = []
        for box in boxes:
            landmarks = AVERAGE_HEAD_MM[:, :2] + box[:2] + [73, 25] + [shift_px, 0]
            landmarks[list(moved)] += [0, 30]
            landmarks[list(missing)] = np.nan
            faces.append(Face(landmarks, box, scheme=SCHEME))
        return faces

    return locate


def _compare(other, boxes=((20.0, 30, 170, 180),), name="a.jpg"):
    return compare_faces(IMAGE, name, np.array(boxes), (_model(), other), SCHEME)


def test_distances_are_in_pixels_and_in_the_faces_size():
    (one,) = _compare(_model(3.0, missing=[5]))
    np.testing.assert_allclose(np.delete(one.distances_px, 5), 3)
    assert np.isnan(one.distances_px[5])
    size = np.sqrt(np.prod(np.ptp(AVERAGE_HEAD_MM[:, :2], axis=0)))
    assert one.size_px == pytest.approx(size)
    assert one.mean_percent == pytest.approx(300 / size)
    assert _compare(_model(missing=range(68))) == []


def test_tables_have_the_largest_difference_first():
    nose = SCHEME.regions["nose"]
    differences = [*_compare(_model(1.0)), *_compare(_model(moved=[30]), name="b.jpg")]
    differences += _compare(_model(9.0), name="c.jpg")
    rows = list(csv.DictReader(difference_rows(differences, SCHEME).splitlines()))
    assert [row["image"] for row in rows] == ["c.jpg", "a.jpg", "b.jpg"]
    assert (rows[2]["max_px"], rows[2]["farthest_landmark"]) == ("30.0", "30")
    table_lines = difference_table(differences, SCHEME).splitlines()
    cells = [line.strip("| ").split(" | ") for line in table_lines[2:]]
    table = {name: values for name, *values in cells}
    assert set(table) == {"all", *SCHEME.regions}
    assert float(table["mouth"][0]) == pytest.approx((1 + 0 + 9) / 3, abs=0.01)
    assert float(table["nose"][0]) == pytest.approx((1 + 30 / len(nose) + 9) / 3, abs=0.01)


def test_a_sheet_shows_both_models_and_keeps_the_largest_only():
    kept = KeptDifferences()
    for number in [*range(3, SHOWN + 5), 0, 1, 2]:
        kept.add(_compare(_model(float(number)), name=f"{number}.jpg"))
        assert sum(one.tile is not None for one in kept.all) == min(len(kept.all), SHOWN)
    differences = kept.all
    assert [one.image for one in differences if one.tile is None] == [
        f"{number}.jpg" for number in [3, 4, 0, 1, 2]
    ]
    tile = differences[-4].tile
    assert tile.shape == (300, 602, 3)
    assert np.abs(tile[:, :300].astype(int) - tile[:, 302:]).sum() > 0
    same = _compare(_model())[0].tile
    difference = np.abs(same[:, :300].astype(int) - same[:, 302:]).any(axis=-1)
    assert np.flatnonzero(difference.any(axis=1)).max() < 40  # the letters A and B only
    assert difference_sheet(differences).shape[1] > 1200


def test_a_sheet_of_equal_differences_is_full():
    kept = KeptDifferences()
    for number in range(SHOWN + 5):
        kept.add(_compare(_model(1.0), name=f"{number}.jpg"))
    assert difference_sheet(kept.all).shape == difference_sheet(kept.all[:SHOWN]).shape


@pytest.mark.parametrize("box", [(-90.0, -90, 5, 5), (255, 295, 900, 900), (0, 0, 3, 3)])
def test_faces_at_a_images_edge_are_shown_too(box):
    (one,) = _compare(_model(4.0), [box])
    assert one.tile.shape == (300, 602, 3)
