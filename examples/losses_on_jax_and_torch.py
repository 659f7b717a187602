"""The losses in training loops of plain JAX or PyTorch.

They are written with `keras.ops`, so they compute with the tensors of the chosen Keras backend, and
gradients flow through them. `model.compile(loss=...)` works on every backend.

  KERAS_BACKEND=jax python examples/losses_on_jax_and_torch.py
  KERAS_BACKEND=torch python examples/losses_on_jax_and_torch.py
"""

import importlib.util
import os

BACKEND = os.environ.setdefault("KERAS_BACKEND", "jax")  # before Keras is imported
if BACKEND not in ("jax", "torch") or importlib.util.find_spec(BACKEND) is None:
    raise SystemExit(f"KERAS_BACKEND={BACKEND} must be jax or torch, and be installed.")

import keras
import numpy as np

from wing_tf.codecs import HeatmapCodec
from wing_tf.losses import AdaptiveWingLoss, WeightedLossMap, WingLoss

STEPS = 200

# Random features and the landmarks that a linear model is to find in them, in pixels of 64 px.
random = np.random.default_rng(0)
features = random.normal(size=(32, 8)).astype("float32")
features[:, 0] = 1  # a bias
landmarks = 32 + (features @ random.normal(size=(8, 10), scale=4).astype("float32")).reshape(
    32, 5, 2
)
codec = HeatmapCodec(input_size=64, heatmap_size=16, sigma=1.5)
heatmaps = keras.ops.convert_to_numpy(codec.encode(landmarks, np.ones((32, 5)))[0])


def train_jax(loss, targets, rate):
    """Returns the losses of the first and the last step."""
    import jax

    def objective(weights):
        return loss(targets, (features @ weights).reshape(targets.shape))

    step = jax.jit(jax.value_and_grad(objective))
    weights = np.zeros((8, targets[0].size), "float32")
    values = []
    for _ in range(STEPS):
        value, gradient = step(weights)
        weights = weights - rate * gradient
        values.append(float(value))
    return values[0], values[-1]


def train_torch(loss, targets, rate):
    """Returns the losses of the first and the last step."""
    import torch

    model = torch.nn.Linear(8, targets[0].size, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    values = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        value = loss(targets, model(torch.from_numpy(features)).reshape(targets.shape))
        value.backward()
        optimizer.step()
        values.append(value.item())
    return values[0], values[-1]


train = train_jax if BACKEND == "jax" else train_torch
for loss, targets, rate in (
    (WingLoss(width=10, curvature=2), landmarks, 20.0),
    (WeightedLossMap(AdaptiveWingLoss()), heatmaps, 0.1),
):
    first, last = train(loss, targets, rate)
    print(f"{loss.name} on {BACKEND}: {first:.3f} -> {last:.3f}")
