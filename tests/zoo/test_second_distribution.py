"""The distribution of a model under other terms, with weights that this test makes."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from wing_tf.evaluation.predict import CropBatch
from wing_tf.export.export_model import export_model
from wing_tf.inference import Landmarker
from wing_tf.model_spec import ModelSpec
from wing_tf.models import cnn6
from wing_tf.models.saving import save_network

ROOT = pathlib.Path(__file__).parents[2]
NAME = "face_68_300w"

_USE = f"""
import sys
import numpy as np
from wing_tf.inference import Landmarker
from wing_tf.zoo import all_models
image = np.load(sys.argv[1])
boxes = np.array([[10.0, 10.0, 60.0, 60.0]])
for _ in range(2):
    faces = Landmarker("{NAME}", detector=None)(image, boxes)
np.save(sys.argv[2], faces[0].landmarks_px)
model = all_models()["{NAME}"]
print(model.file(".keras"))
print(model.scheme, model.input_size, model.trained_on)
"""


def _make_weights(folder, tmp_path):
    """Writes the files of a small network that has learned nothing."""
    keras.utils.set_random_seed(0)
    spec = ModelSpec(scheme="ibug_68", input_size=32, margin=1.2, trained_boxes=("landmark",),
                     trained_on={"ibug_300w": 1816})  # fmt: skip
    network = cnn6(68, input_size=32, width=0.1)
    network.get_layer("output").bias.assign(np.random.default_rng(0).uniform(5, 27, 136))
    save_network(network, folder / f"{NAME}.keras", spec, float16=True)
    crops = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), np.uint8)
    no_box = np.full((4, 4), np.nan)
    faces = CropBatch(
        image=crops, crop_to_source=np.tile(np.eye(2, 3), (4, 1, 1)),
        true_px=np.full((4, 68, 2), np.nan), box_xyxy_px=np.tile([0.0, 0, 31, 31], (4, 1)),
        dataset_box_xyxy_px=no_box, key=list("abcd"), groups=[frozenset()] * 4,
    )  # fmt: skip
    export_model(folder / f"{NAME}.keras", tmp_path / "export", precision="float16",
                 faces=[faces], force=True)  # fmt: skip
    shutil.copy(tmp_path / "export" / "model.tflite", folder / f"{NAME}.tflite")
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in (folder / f"{NAME}.tflite", folder / f"{NAME}.keras")
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.mark.slow
def test_second_distribution_adds_its_model_by_name(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(ROOT / "packaging" / NAME, source)
    package = source / f"wing_tf_{NAME}"
    _make_weights(package, tmp_path)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation",
                    f"--wheel-dir={tmp_path}", source], check=True)  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", f"--target={site}", wheel],
                   check=True)  # fmt: skip
    (notice,) = site.glob("*.dist-info/**/LICENSE")
    assert "research only" in notice.read_text()

    image = np.random.default_rng(2).integers(0, 256, (80, 80, 3), np.uint8)
    np.save(tmp_path / "image.npy", image)
    said = subprocess.run(
        [sys.executable, "-W", "error", "-c", _USE, tmp_path / "image.npy", tmp_path / "found.npy"],
        check=True, capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
    )  # fmt: skip
    expected = Landmarker(package / f"{NAME}.tflite", detector=None)(image, [[10, 10, 60, 60]])
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), expected[0].landmarks_px)
    path, facts = said.stdout.splitlines()
    assert pathlib.Path(path) == site / f"wing_tf_{NAME}" / f"{NAME}.keras"
    assert facts == "ibug_68 32 1816 faces (ibug_300w)"
    assert said.stderr.count("For research only") == 1  # however often the model is loaded
