import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
BACKENDS = ["tensorflow", "jax", "torch"]

# A stranger's script: each part that promises any backend, with numbers that are known.
SCRIPT = """
import keras, numpy as np
from wing_tf.layers import gaussian_blur, warp_affine
from wing_tf.codecs import DECODERS, HeatmapCodec, boundary_map
from wing_tf.losses import COORDINATE_LOSSES, AdaptiveWingLoss, WeightedLossMap, WingLoss
from wing_tf.models import cnn6, heatmap_localizer, stacked_hourglass

model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(10)])
model.compile("sgd", loss=WingLoss(width=10, curvature=2))
x, y = np.ones((16, 8), "float32"), np.full((16, 10), 30.0, "float32")
losses = model.fit(x, y, epochs=5, verbose=0).history["loss"]
assert losses[-1] < losses[0], losses

value = WingLoss()(np.zeros((1, 1, 2), "float32"), np.array([[[1.0, 15.0]]], "float32"))
np.testing.assert_allclose(float(value), 13.486123, rtol=1e-6)
for loss in COORDINATE_LOSSES.values():
    assert loss(reduction="none")(np.zeros((2, 3, 2)), np.ones((2, 3, 2))).shape == (2, 3)

images = np.arange(2 * 8 * 8 * 3, dtype="float32").reshape(2, 8, 8, 3)
shift = np.array([[[1, 0, 1], [0, 1, 0]]] * 2, "float32")
moved = keras.ops.convert_to_numpy(warp_affine(images, shift, (8, 8)))
np.testing.assert_allclose(moved[:, :, :-1], images[:, :, 1:])
assert not moved[:, :, -1].any()
flat = np.full((2, 8, 8, 3), 7.0, "float32")
blurred = gaussian_blur(flat, np.array([0.0, 1.0], "float32"))
np.testing.assert_allclose(keras.ops.convert_to_numpy(blurred), flat, rtol=1e-5)

network = cnn6(68, input_size=32)
network.compile("sgd", loss=WingLoss())
images = np.zeros((4, 32, 32, 3), "uint8")
truth = np.random.default_rng(0).uniform(0, 32, (4, 68, 2)).astype("float32")
network.fit(images, truth, sample_weight=np.ones((4, 68)), verbose=0)
scores = network.evaluate(images, truth, verbose=0, return_dict=True)
assert 0 < scores["loss"] < 1000, scores

place = np.random.default_rng(0).uniform(8, 24, (4, 3, 2)).astype("float32")
for decoder in DECODERS:
    codec = HeatmapCodec(input_size=32, heatmap_size=8, decoder=decoder, sigma=1.0)
    maps, weights = codec.encode(place, np.ones((4, 3)))
    found, scores = codec.decode(maps)
    limit = 0.51 if decoder == "argmax" else 0.26
    assert np.abs(keras.ops.convert_to_numpy(found) - place).max() < 4 * limit, decoder
maps, weights = (keras.ops.convert_to_numpy(x) for x in (maps, weights))
assert boundary_map(8 * place, heatmap_size=8)[0].shape == (4, 8, 8, 1)
hourglass = stacked_hourglass(3, num_stacks=2, features=8, depth=1, input_size=32, boundary=False,
                              boundary_coordinates=False)
loss = WeightedLossMap(AdaptiveWingLoss())
hourglass.compile("sgd", loss=[loss, loss])
hourglass.fit(images, [maps] * 2, sample_weight=[weights] * 2, verbose=0)
assert heatmap_localizer(hourglass, 3, codec)(images)["landmarks"].shape == (4, 3, 2)
print(keras.backend.backend())
"""


def _run(backend: str, *command: str) -> str:
    """Returns what Python prints with a Keras backend."""
    pytest.importorskip(backend)
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(
    "backend", [pytest.param("tensorflow", marks=pytest.mark.slow), "jax", "torch"]
)
def test_losses_metrics_layers_and_models_on_every_backend(backend):
    assert _run(backend, "-c", SCRIPT).split()[-1] == backend


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_table_of_backends_and_features_is_true(backend):
    page = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    table = page[page.index("| feature |") :].split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    column = rows[0].index(backend)
    documented = {row[0]: row[column] for row in rows[2:]}
    script = pathlib.Path(__file__).with_name("backend_features.py")
    assert json.loads(_run(backend, str(script)).splitlines()[-1]) == documented
