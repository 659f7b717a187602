import keras
import numpy as np
import pytest
import tensorflow as tf

from wing_tf.models import cnn6
from wing_tf.training import accelerator
from wing_tf.training.accelerator import (
    ExecutionPlan,
    fuse_update,
    multiply_small_maps,
    plan_execution,
    plan_synchronized,
)
from wing_tf.training.resolve import complete_config


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch):
    monkeypatch.setattr(accelerator.tf.config, "list_logical_devices", lambda kind: [])


def _plan(**settings):
    return plan_execution(complete_config(settings))


@pytest.mark.parametrize(("has_units", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_auto_precision_is_bfloat16_where_it_is_fast(has_units, precision, monkeypatch):
    monkeypatch.setattr(accelerator, "_cpu_has_bfloat16", lambda: has_units)
    assert _plan() == ExecutionPlan(precision, compile_step=False, compile_parts=True)
    assert _plan(deterministic=True) == ExecutionPlan(
        "float32", compile_step=False, compile_parts=False
    )


def test_explicit_precision_and_compilation_are_used():
    for precision in ("float32", "bfloat16", "float16"):
        assert _plan(precision=precision).precision == precision
    assert _plan(deterministic=True, precision="bfloat16").precision == "bfloat16"
    for precision, policy in (("float32", "float32"), ("float16", "mixed_float16")):
        with _plan(precision=precision).dtype_policy():
            assert keras.config.dtype_policy().name == policy
        assert keras.config.dtype_policy().name == "float32"
    compiled = _plan(jit_compile="on")
    assert (compiled.compile_step, compiled.compile_parts) == (True, False)
    off = _plan(jit_compile="off")
    assert (off.compile_step, off.compile_parts) == (False, False)


def test_network_with_synchronized_statistics_is_not_compiled():
    image = keras.Input((8, 8, 3))
    layer = keras.layers.BatchNormalization(synchronized=True)
    network = keras.Model(image, layer(image), name="normed")
    whole = ExecutionPlan("float32", compile_step=True, compile_parts=False)
    nothing = ExecutionPlan("float32", compile_step=False, compile_parts=False)
    parts = ExecutionPlan("float32", compile_step=False, compile_parts=True)
    assert plan_synchronized(whole, network) == (nothing, parts)
    for plan in (nothing, parts):
        assert plan_synchronized(plan, network, required=True) == (plan, plan)
    with pytest.raises(ValueError, match="normed can't be compiled, because its batch"):
        plan_synchronized(whole, network, required=True)
    layer.trainable = False
    assert plan_synchronized(whole, network, required=True) == (whole, whole)
    layer.trainable, layer.synchronized = True, False
    assert plan_synchronized(whole, network, required=True) == (whole, whole)


def test_unknown_precision_is_refused():
    with pytest.raises(ValueError, match=r"config.precision must be one of .* 'bfloat16'"):
        _plan(precision="bfloat")


@pytest.mark.parametrize(
    ("flags", "environment", "has_units"),
    [
        ("flags : fpu avx512_bf16 amx_bf16 amx_tile", {}, True),
        ("flags : fpu avx512f avx512_bf16", {}, False),
        ("vendor_id : AuthenticAMD flags : fpu avx512_bf16", {}, True),
        ("vendor_id : AuthenticAMD flags : fpu avx512f", {}, False),
        (
            "vendor_id : AuthenticAMD flags : avx512_bf16",
            {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
            False,
        ),
        ("flags : amx_bf16", {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, False),
        ("flags : amx_bf16", {"ONEDNN_MAX_CPU_ISA": "avx512_core_amx"}, True),
        ("flags : amx_bf16", {"TF_ENABLE_ONEDNN_OPTS": "0"}, False),
        (None, {}, False),
    ],
)
def test_bfloat16_support_is_read_from_cpu_flags(
    flags, environment, has_units, tmp_path, monkeypatch
):
    info = tmp_path / "cpuinfo"
    if flags is not None:
        info.write_text(flags)
    monkeypatch.setattr(accelerator, "_CPU_INFO", info)
    for name in ("ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert accelerator._cpu_has_bfloat16() == has_units


def _gradients(layer, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) ** 2)
    return [y, *tape.gradient(loss, [x, *layer.trainable_variables])]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 2e-2)])
@pytest.mark.parametrize("shape", [(4, 4), (2, 5), (1, 1)])
def test_matrix_products_equal_convolutions_of_small_maps(dtype, tolerance, shape):
    """Against Keras' convolution in float32, output and all gradients."""
    keras.utils.set_random_seed(0)  # else 1 of 40 kernels has a bias gradient off by 2.05e-2
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


def test_only_plain_convolutions_of_small_maps_are_changed():
    assert multiply_small_maps(cnn6(68)) == ["conv5"]
    assert multiply_small_maps(cnn6(68, input_size=96)) == []
    with ExecutionPlan("bfloat16", compile_step=False, compile_parts=True).dtype_policy():
        assert multiply_small_maps(cnn6(68, input_size=96)) == ["conv5"]
        assert multiply_small_maps(cnn6(68, input_size=128)) == []
    image = keras.Input((4, 4, 256))
    for options in ({"strides": 2}, {"padding": "valid"}, {"dilation_rate": 2}, {"groups": 2}):
        layer = keras.layers.Conv2D(256, 3, **{"padding": "same", **options})
        assert multiply_small_maps(keras.Model(image, layer(image))) == []


def test_shared_layers_are_unchanged():
    small, large = keras.Input((4, 4, 256)), keras.Input((8, 8, 256))
    layer = keras.layers.Conv2D(256, 3, padding="same")
    network = keras.Model([small, large], [layer(small), layer(large)])
    assert multiply_small_maps(network) == []


def test_changed_network_is_saved_as_plain_layers(tmp_path):
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
def test_fused_update_equals_plain_update(make):
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


def test_update_of_many_variables_is_not_compiled():
    variables = [keras.Variable(1.0) for _ in range(65)]
    for count, fused in ((64, True), (65, False)):
        optimizer = keras.optimizers.SGD(0.1)
        fuse_update(optimizer, variables[:count])
        assert ("apply" in vars(optimizer)) == fused


def test_fused_update_refuses_other_variables():
    variables = [keras.Variable(np.ones(3, np.float32)), keras.Variable(np.ones(3, np.float32))]
    optimizer = keras.optimizers.SGD(0.1)
    fuse_update(optimizer, variables)
    with pytest.raises(ValueError, match="for other variables"):
        optimizer.apply([tf.ones(3), tf.ones(3)], variables[::-1])
