import os
import pathlib
import subprocess
import sys

import numpy as np

from tfrecords_tools.synthetic.deterministic_linalg import inverse, matmul

# The first five are faces whose pixels once depended on the number of BLAS threads.
SCRIPT = """
import hashlib
from tfrecords_tools.synthetic import render_face
digest = hashlib.sha256()
for index in (1766, 2324, 2772, 3125, 3198, *range(10)):
    face = render_face(0, index)
    digest.update(face.image.tobytes() + face.landmarks_px.tobytes())
print(digest.hexdigest())
"""


def test_faces_do_not_depend_on_blas_threads():
    root = pathlib.Path(__file__).parents[2]
    found = []
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **dict.fromkeys(names, threads), "PYTHONPATH": str(root)},
        )
        found.append(done.stdout)
    assert found[0] == found[1]
    assert len(found[0].strip()) == 64


def test_matmul_and_inverse_equal_numpy():
    generator = np.random.default_rng(0)
    left, right = generator.normal(size=(4, 5, 6)), generator.normal(size=(6, 3))
    np.testing.assert_allclose(matmul(left, right), left @ right, atol=1e-12)
    square = generator.normal(size=(30, 30))
    square[0, 0] = 0  # needs a pivot
    np.testing.assert_allclose(inverse(square) @ square, np.eye(30), atol=1e-10)
