"""Visibility flags and boxes that contradict the coordinates of points."""

import cv2
import numpy as np
import pytest

from tfrecords_tools.sources import BadRecordError, CocoSource, CsvSource
from wing_tf.utils.atomic import write_json

POINTS = [[30.0, 20.0], [60, 22], [45, 40], [33, 55], [58, 56]]
HEADER = ["path", *(f"{a}{i}" for i in range(5) for a in "xy"), *(f"v{i}" for i in range(5))]
LEFT_OUT = "the face box reaches to points that are not annotated: left out"


def _face(folder, kind, points, flags, box=None):
    """The face of a CSV or a COCO file, whose box is x, y, width, height."""
    assert cv2.imwrite(str(folder / "a.png"), np.full((90, 120, 3), 90, np.uint8))
    if kind == "csv":
        header, row = list(HEADER), ["a.png", *np.ravel(points), *flags]
        if box:
            header += ["box_x0", "box_y0", "box_x1", "box_y1"]
            row += [*box[:2], box[0] + box[2], box[1] + box[3]]
        text = "\n".join(",".join(map(str, values)) for values in (header, row))
        (folder / "faces.csv").write_text(text)
        source = CsvSource(folder / "faces.csv", scheme="celeba_5")
    else:
        keypoints = np.insert(np.array(points, float), 2, flags, axis=1).ravel().tolist()
        annotation = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": keypoints}
        write_json(
            folder / "faces.json",
            {
                "images": [{"id": 1, "file_name": "a.png"}],
                "annotations": [annotation | ({"bbox": box} if box else {})],
                "categories": [{"id": 1, "name": "face"}],
            },
        )
        source = CocoSource(folder / "faces.json", scheme="celeba_5")
    return source.load(source.items()[0])


@pytest.mark.parametrize("kind", ["csv", "coco"])
def test_points_with_visibility_0_and_coordinates_are_left_out_with_a_warning(tmp_path, kind):
    """As of a file in which 1 means visible and 0 occluded."""
    face = _face(tmp_path, kind, POINTS, [1, 0, 1, 1, 1])
    assert face.visibility.tolist() == [1, 0, 1, 1, 1]
    (warning,) = face.warnings
    assert warning.startswith("points with visibility 0 have coordinates, which are left out (0 is")
    assert not _face(tmp_path, kind, [[0, 0], *POINTS[1:]], [0, 1, 2, 2, 2]).warnings
    with pytest.raises(BadRecordError, match="all landmarks have visibility 0: not annotated"):
        _face(tmp_path, kind, POINTS, [0] * 5)


@pytest.mark.parametrize("kind", ["csv", "coco"])
@pytest.mark.parametrize("flag", [0, 2])
def test_box_that_was_made_of_marks_of_missing_points_is_left_out(tmp_path, kind, flag):
    points = [[-1, -1], *POINTS[1:]]
    face = _face(tmp_path, kind, points, [flag, 2, 2, 2, 2], [-1, -1, 61, 57])
    assert face.box_xyxy_px is None
    assert face.warnings[-1] == LEFT_OUT
    face = _face(tmp_path, kind, points, [flag, 2, 2, 2, 2], [20, 15, 50, 50])
    assert face.box_xyxy_px.tolist() == [20, 15, 70, 65]


def test_box_of_the_whole_image_is_kept_though_a_point_is_marked_at_its_corner(tmp_path):
    face = _face(tmp_path, "coco", [[0, 0], *POINTS[1:]], [0, 2, 2, 2, 2], [0, 0, 120, 90])
    assert face.box_xyxy_px.tolist() == [0, 0, 120, 90]
    assert not face.warnings
