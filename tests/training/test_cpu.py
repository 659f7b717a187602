import keras
import numpy as np
import pytest
import tensorflow as tf

from wing_tf.models import cnn6
from wing_tf.training.accelerator import ExecutionPlan, fuse_update, multiply_small_maps


def _gradients(layer, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) ** 2)
    return [y, *tape.gradient(loss, [x, *layer.trainable_variables])]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 2e-2)])
@pytest.mark.parametrize("shape", [(4, 4), (2, 5), (1, 1)])
def test_small_maps_are_convolved_the_same(dtype, tolerance, shape):
    """Against Keras' convolution in float32, output and all gradients."""
    image = keras.Input((*shape, 256))
    layer = keras.layers.Conv2D(288, 3, padding="same", dtype=dtype, bias_initializer="normal")
    network = keras.Model(image, layer(image))
    x = np.random.default_rng(0).normal(size=(3, *shape, 256)).astype(np.float32)
    plain = keras.layers.Conv2D(288, 3, padding="same")
    plain.build(x.shape)
    plain.set_weights(layer.get_weights())
    assert multiply_small_maps(network) == [layer.name]
    ours = _gradients(layer, tf.cast(x, layer.compute_dtype))
    assert [v.dtype.name for v in ours] == [layer.compute_dtype] * 2 + ["float32"] * 2
    for value, reference in zip(ours, _gradients(plain, tf.constant(x)), strict=True):
        value, scale = np.float32(value), np.abs(reference).max()
        np.testing.assert_allclose(value, reference, atol=tolerance * scale)


def test_only_small_maps_of_plain_convolutions_are_changed():
    assert multiply_small_maps(cnn6(68)) == ["conv5"]
    assert multiply_small_maps(cnn6(68, input_size=96)) == []
    with ExecutionPlan("bfloat16", compile_step=False, compile_parts=True).dtype_policy():
        assert multiply_small_maps(cnn6(68, input_size=96)) == ["conv5"]
        assert multiply_small_maps(cnn6(68, input_size=128)) == []
    image = keras.Input((4, 4, 256))
    for options in ({"strides": 2}, {"padding": "valid"}, {"dilation_rate": 2}, {"groups": 2}):
        layer = keras.layers.Conv2D(256, 3, **{"padding": "same", **options})
        assert multiply_small_maps(keras.Model(image, layer(image))) == []


def test_shared_layers_are_left_alone():
    small, large = keras.Input((4, 4, 256)), keras.Input((8, 8, 256))
    layer = keras.layers.Conv2D(256, 3, padding="same")
    network = keras.Model([small, large], [layer(small), layer(large)])
    assert multiply_small_maps(network) == []


def test_a_changed_network_is_saved_as_the_plain_one(tmp_path):
    network = cnn6(68)
    multiply_small_maps(network)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert type(loaded.get_layer("conv5")) is keras.layers.Conv2D
    assert "convolution_op" not in vars(loaded.get_layer("conv5"))
    x = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(loaded(x), network(x), atol=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        lambda: keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(0.1, 5), weight_decay=0.1, use_ema=True,
            ema_momentum=0.9, global_clipnorm=1.0,
        ),
    ],
    ids=["sgd", "adamw"],
)  # fmt: skip
def test_a_fused_update_is_the_same_update(make):
    random = np.random.default_rng(0)
    start = [random.normal(size=shape).astype(np.float32) for shape in ((5, 7), (7,), (3, 3, 2))]
    results = []
    for fused in (False, True):
        variables = [keras.Variable(value) for value in start]
        optimizer = make()
        if fused:
            fuse_update(optimizer, variables)
        draws = np.random.default_rng(1)
        for _ in range(5):
            gradients = [tf.constant(draws.normal(size=v.shape), tf.float32) for v in variables]
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
        assert int(optimizer.iterations.numpy()) == 5
        results.append([v.numpy() for v in [*variables, *optimizer.variables]])
    for plain, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-5, atol=1e-6)


def test_a_fused_update_refuses_other_variables():
    variables = [keras.Variable(np.ones(3, np.float32)), keras.Variable(np.ones(3, np.float32))]
    optimizer = keras.optimizers.SGD(0.1)
    fuse_update(optimizer, variables)
    with pytest.raises(ValueError, match="for other variables"):
        optimizer.apply([tf.ones(3), tf.ones(3)], variables[::-1])
