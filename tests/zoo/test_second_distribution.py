"""The distribution of models under other terms."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from wing_tf.inference import Landmarker

ROOT = pathlib.Path(__file__).parents[2]
DISTRIBUTION = "face_68_300w"
FACTS = {
    "face_68_300w": "ibug_68 192 11820 faces (ibug_300w, synthetic)",
    "face_68_300w_fast": "ibug_68 128 53820 faces (ibug_300w, synthetic)",
}

_USE = """
import sys
import numpy as np
from wing_tf.inference import Landmarker
from wing_tf.zoo import all_models
image = np.load(sys.argv[1])
boxes = np.array([[10.0, 10.0, 60.0, 60.0]])
for name in sys.argv[2:]:
    for _ in range(2):
        faces = Landmarker(name, detector=None)(image, boxes)
    np.save(name, faces[0].landmarks_px)
    model = all_models()[name]
    print(model.file(".keras"))
    print(model.scheme, model.input_size, model.trained_on)
"""


@pytest.mark.slow
def test_second_distribution_adds_its_models_by_name(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(ROOT / "packaging" / DISTRIBUTION, source)
    package = source / f"wing_tf_{DISTRIBUTION}"
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
        [sys.executable, "-W", "error", "-c", _USE, tmp_path / "image.npy", *FACTS],
        check=True, capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
    )  # fmt: skip
    lines = iter(said.stdout.splitlines())
    for name, facts in FACTS.items():
        expected = Landmarker(package / f"{name}.tflite", detector=None)(image, [[10, 10, 60, 60]])
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), expected[0].landmarks_px)
        assert pathlib.Path(next(lines)) == site / f"wing_tf_{DISTRIBUTION}" / f"{name}.keras"
        assert next(lines) == facts
    # However often a model is loaded.
    assert said.stderr.count("For research only") == len(FACTS)
