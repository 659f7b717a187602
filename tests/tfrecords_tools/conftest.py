"""A scheme of five points and an image, for annotation tools."""

import pytest
from annotation_files import POINTS, SCHEME
from official_files import dotted, write_image

from wing_tf.landmarks import register_scheme
from wing_tf.landmarks.scheme_file import scheme_from_dict


@pytest.fixture
def scheme():
    return register_scheme(scheme_from_dict(SCHEME))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, dotted(POINTS))
    return path
