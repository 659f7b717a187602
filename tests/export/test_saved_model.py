"""SavedModels run on crops and on images, in a process with TensorFlow only."""

import json
import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest

from tfrecords_tools.sources import SyntheticSource
from wing_tf.export.deployed_network import deployed_network
from wing_tf.export.saved_model import write_saved_model
from wing_tf.geometry import landmark_box
from wing_tf.inference import Landmarker
from wing_tf.model_spec import ModelSpec
from wing_tf.models import cnn6
from wing_tf.utils.image_files import load_image

_TENSORFLOW_ONLY = """
import json, sys
import numpy as np
import tensorflow as tf

folder = sys.argv[1]
served = tf.saved_model.load(folder + "/saved_model")
crops = np.load(folder + "/crops.npy")
landmarks = served.signatures["serving_default"](image=crops)["landmarks"]
jpeg = [open(f"{folder}/{i}.jpg", "rb").read() for i in range(3)]
images = served.signatures["images"]
boxes = np.load(folder + "/boxes.npy").astype(np.float32)
found = images(jpeg=tf.constant(jpeg), boxes_xyxy_px=tf.constant(boxes))["landmarks_px"]
np.savez(folder + "/found.npz", landmarks=landmarks, landmarks_px=found)
try:
    images(jpeg=tf.constant(jpeg), boxes_xyxy_px=tf.constant(boxes[:, ::-1]))
except tf.errors.InvalidArgumentError as error:
    messages = [str(error)]
try:
    images(jpeg=tf.constant(jpeg), boxes_xyxy_px=tf.constant(boxes + 1e6))
except tf.errors.InvalidArgumentError as error:
    print(json.dumps([*messages, str(error)]))
assert "wing_tf" not in sys.modules, "TensorFlow alone must do"
"""


@pytest.mark.parametrize(
    "square", [True, pytest.param(False, marks=pytest.mark.slow, id="stretched")]
)
def test_saved_model_equals_the_landmarker_without_this_package(tmp_path, square):
    keras.utils.set_random_seed(0)
    spec = ModelSpec(scheme="ibug_68", input_size=64, margin=1.3, square=square)
    network = cnn6(68, input_size=64, width=0.25)
    write_saved_model(deployed_network(network, spec), spec, tmp_path / "saved_model")
    (weights,) = (tmp_path / "saved_model" / "variables").glob("*.data-*")
    assert weights.stat().st_size < 1.2 * 4 * network.count_params()  # each is stored once
    source = SyntheticSource(num_train=3, image_size=240)
    faces = [source.load(item) for item in source.items()]
    # One box extends beyond its image, one is smaller than the input.
    boxes = np.stack([landmark_box(face.landmarks_px) for face in faces])
    boxes[1] += [-60, -20, -60, -20]
    boxes[2, 2:] = boxes[2, :2] + 30
    images = []
    for number, face in enumerate(faces):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), face.image[..., ::-1])
        if number == 1:  # gray JPEG
            cv2.imwrite(str(tmp_path / "1.jpg"), cv2.cvtColor(face.image, cv2.COLOR_RGB2GRAY))
        if number == 2:  # PNG, whatever its name
            (tmp_path / "2.jpg").write_bytes(cv2.imencode(".png", face.image[..., ::-1])[1])
        images.append(load_image(tmp_path / f"{number}.jpg"))
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    np.save(tmp_path / "crops.npy", crops)
    np.save(tmp_path / "boxes.npy", boxes)
    run = subprocess.run(
        [sys.executable, "-c", _TENSORFLOW_ONLY, tmp_path],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    invalid, outside = json.loads(run.stdout)
    assert "x0 < x1" in invalid
    assert "outside of its image" in outside
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_allclose(found["landmarks"], network(crops.astype(np.float32)), atol=1e-3)
    landmarker = Landmarker(network, spec=spec)
    for number, image in enumerate(images):
        (face,) = landmarker(image, boxes[number : number + 1])
        difference = np.abs(found["landmarks_px"][number] - face.landmarks_px)
        assert difference.max() < 0.02, number
