"""Images and the model that the tests of wing-predict use."""

import cv2
import numpy as np
import pytest

from tfrecords_tools.sources import SyntheticSource
from wing_tf.zoo import model_path


@pytest.fixture
def model():
    return model_path()


@pytest.fixture(scope="module")
def face(tmp_path_factory):
    """An image with a face that is found, and its landmarks."""
    source = SyntheticSource(
        num_train=0, num_test=8, seed=77, image_size=240, test_wide_yaw_fraction=0.0
    )
    loaded = source.load(list(source.items())[-1])
    path = tmp_path_factory.mktemp("face") / "face.png"
    cv2.imwrite(str(path), np.ascontiguousarray(loaded.image[..., ::-1]))
    return path, loaded.landmarks_px


@pytest.fixture
def images(tmp_path):
    """A folder with images, and with files that are none; one below it."""
    folder = tmp_path / "images"
    (folder / "below").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number, name in enumerate(["a.png", "b.jpg", "below/c.png", "below/c.jpg", "z.png"]):
        image = generator.integers(0, 256, (40 + number, 60, 3), np.uint8)
        cv2.imwrite(str(folder / name), image)
    cv2.imwrite(str(folder / "one.png"), np.zeros((1, 1), np.uint8))
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no image")
    (folder / "half.png").write_bytes((folder / "a.png").read_bytes()[:2000])
    (folder / "away.png").symlink_to("nowhere")
    (folder / "notes.txt").write_text("not looked at")
    return folder
