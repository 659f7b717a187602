import keras
import numpy as np
import pytest
import tensorflow as tf

from wing_tf.models import stacked_hourglass
from wing_tf.training.gradient_checkpointing import CheckpointedStacks


@pytest.fixture(params=["float32", "mixed_bfloat16"])
def policy(request):
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(former)


@pytest.mark.slow
def test_checkpointed_stacks_equal_plain_stacks(policy):
    """Outputs, gradients and moving averages, in a graph; and outputs at inference."""
    ratio = 1e-3 if policy == "float32" else 0.05
    image = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)
    results = []
    for recompute in (False, True):
        keras.utils.set_random_seed(0)
        network = stacked_hourglass(3, num_stacks=3, features=8, depth=1, input_size=32)
        forward = CheckpointedStacks(network) if recompute else network

        @tf.function
        def step(forward=forward, network=network):
            with tf.GradientTape() as tape:
                outputs = forward(image, training=True)
                loss = sum(tf.reduce_mean(maps**2) for maps in outputs)
            return outputs, tape.gradient(loss, network.trainable_variables)

        outputs, gradients = step()
        results.append((outputs, gradients, network.get_weights(), forward(image, training=False)))
    for plain, ours in zip(*results, strict=True):
        assert len(plain) == len(ours)
        # Relative to the norm: the first maps and their gradients are small, some are only noise.
        a, b = (np.concatenate([np.ravel(part) for part in parts]) for parts in (plain, ours))
        assert np.linalg.norm(b - a) <= ratio * np.linalg.norm(a)


def test_single_hourglass_is_refused():
    network = stacked_hourglass(3, num_stacks=1, features=8, depth=1, input_size=32)
    with pytest.raises(ValueError, match="one hourglass"):
        CheckpointedStacks(network)
