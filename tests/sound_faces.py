"""Faces of data sets with damaged files, and the check that they make sense."""

import cv2
import numpy as np

from tfrecords_tools.sources import SOURCES
from tfrecords_tools.square_crops import SquareFormat, crop_face
from wing_tf.data.crop_rules import get_crop_rule


def read_faces(source_name, options, path):
    """Reads and crops the first faces of a data set, and asserts that they make sense.

    Raises:
        ValueError: If any is skipped, with the reason.
    """
    source = SOURCES[source_name](**options)
    items = source.items()
    reasons = list(source.skipped.values())
    assert not any("\n" in reason for reason in reasons)
    for item in items[:3]:
        face = crop_face(source, SquareFormat(side=32), get_crop_rule("landmark_box"), item)
        assert "Error: " not in face.reason, face.reason  # no undeclared kind of error
        reasons += [face.reason] * bool(face.reason)
        if not face.reason:
            _check(face.features, item)
    if reasons:
        raise ValueError(f"{path.name}: {reasons[:1]}")


def _check(features, item) -> None:
    """A record must hold what training and evaluation can use."""
    assert item.split == "train" or item.split.startswith(("test", "val"))
    flags = np.array(features["visibility"])
    points = np.array(features["landmarks"]).reshape(-1, 2)
    assert set(flags.tolist()) <= {0, 1, 2}
    assert np.any(flags)
    np.testing.assert_array_equal(np.isfinite(points).all(axis=1), flags > 0)
    assert np.abs(points[flags > 0]).max() < 1e6
    matrix = np.array(features["square_to_source"]).reshape(2, 3)
    assert np.isfinite(matrix).all()
    in_source = points[flags > 0] @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(in_source).max() < 1000  # of images of 80 x 60 pixels
    box = np.array(features["box"])
    assert np.isfinite(box).all()
    assert (box[2:] >= box[:2]).all()
    image = cv2.imdecode(np.frombuffer(features["image/encoded"], np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (32, 32, 3)
