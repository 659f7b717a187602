import json

import numpy as np
import pytest

from wing_tf.data.read import read_squares
from wing_tf.data.records import open_records
from wing_tf.detection import BoxFile, Correction, HaarDetector, WholeImage, calibrate

IMAGE = np.zeros((200, 200, 3), np.uint8)


def face(center_xy, side):
    """Four corners of a square and a point that nobody marked."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * side / 2
    return np.concatenate([corners + center_xy, [[np.nan, np.nan]]])


def shifted(shift_xy, ratio):
    """A detector whose boxes must be moved by ``shift_xy`` and scaled by ``ratio``."""
    side = 40 / ratio
    center = np.array([100.0, 90.0]) - np.array(shift_xy) * side
    far = [0.0, 0, 20, 20]
    return lambda image: np.array([far, [*(center - side / 2), *(center + side / 2)]])


def test_calibration_recovers_a_known_correction(tmp_path):
    result = calibrate(shifted((0.1, -0.05), 0.8), [(IMAGE, face((100, 90), 40))] * 3)
    np.testing.assert_allclose(result.correction.center_shift_xy, (0.1, -0.05))
    assert result.correction.side_ratio == pytest.approx(0.8)
    assert (result.num_faces, result.num_found, result.other_boxes_per_image) == (3, 3, 1.0)
    np.testing.assert_allclose(result.center_error, 0, atol=1e-9)
    np.testing.assert_allclose(result.scale, 1)
    result.save(tmp_path / "c.json")
    assert Correction.load(tmp_path / "c.json") == result.correction
    assert json.loads((tmp_path / "c.json").read_text())["notes"]["recall"] == 1


def test_calibration_measures_the_remaining_error():
    """Two faces 4 pixels off to either side, 36 and 44 wide: the mean is right, each one is not."""
    faces = [(IMAGE, face((104, 90), 36)), (IMAGE, face((96, 90), 44)), (IMAGE, face((30, 180), 9))]
    result = calibrate(shifted((0.0, 0.0), 0.8), faces)
    assert result.recall == pytest.approx(2 / 3)
    assert result.other_boxes_per_image == pytest.approx(4 / 3)
    np.testing.assert_allclose(result.correction.center_shift_xy, 0, atol=1e-12)
    assert result.center_error[0] == pytest.approx((4 / 36 + 4 / 44) / 2)
    np.testing.assert_allclose(result.scale, np.quantile([40 / 36, 40 / 44], [0.05, 0.95]))
    assert "recall 0.667" in str(result)


def test_faces_without_extent_are_not_counted():
    faces = [(IMAGE, face((100, 90), 40))]
    for points in ([[100.0, 90]], [[100.0, 90], [100, 90]], []):
        landmarks = np.full((5, 2), np.nan)
        landmarks[: len(points)] = np.reshape(points, (-1, 2))
        faces.append((IMAGE, landmarks))
    detector = shifted((0.1, 0.0), 0.8)
    assert calibrate(detector, faces) == calibrate(detector, faces[:1])
    with pytest.raises(ValueError, match="finds none of 0 faces"):
        calibrate(detector, faces[1:])


def test_calibration_ignores_the_present_correction():
    faces = [(IMAGE, face((100, 110), 100))]
    plain = calibrate(WholeImage(), faces)
    assert plain == calibrate(WholeImage(correction=Correction((0.3, 0.3), 2.0)), faces)
    np.testing.assert_allclose(plain.correction.center_shift_xy, [0.5 / 200, 10.5 / 200])
    assert plain.correction.side_ratio == 0.5


def test_box_file_is_calibrated_by_image_names(tmp_path):
    (tmp_path / "b.csv").write_text("path,x0,y0,x1,y1\na.jpg,60,50,140,130\n")
    faces = [(IMAGE, face((100, 90), 40), "a.jpg"), (IMAGE, face((100, 90), 40), "b.jpg")]
    result = calibrate(BoxFile(tmp_path / "b.csv"), faces)
    assert (result.num_found, result.correction) == (1, Correction((0.0, 0.0), 0.5))


def test_no_detected_face_raises():
    with pytest.raises(ValueError, match="finds none of 1 faces"):
        calibrate(HaarDetector(), [(IMAGE, face((100, 90), 40))])
    with pytest.raises(ValueError, match="finds none of 0 faces"):
        calibrate(HaarDetector(), [])


def test_record_faces_are_calibrated(synthetic_records):
    """Squares are cut round the faces: the whole image is off by nothing, and scaled alike."""
    records = open_records(str(synthetic_records), split="test")
    result = calibrate(WholeImage(), read_squares(records))
    assert result.num_found == result.num_faces == records.num_faces
    np.testing.assert_allclose(result.correction.center_shift_xy, 0, atol=0.01)
    assert result.correction.side_ratio == pytest.approx(1 / records.context, rel=0.01)
    assert result.center_error[1] < 0.02
