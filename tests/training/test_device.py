import keras
import pytest

from wing_tf.training import accelerator
from wing_tf.training.accelerator import ExecutionPlan, plan_execution
from wing_tf.training.resolve import complete_config


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch):
    monkeypatch.setattr(accelerator.tf.config, "list_logical_devices", lambda kind: [])


def _plan(replicas=1, **settings):
    return plan_execution(complete_config(settings), replicas)


@pytest.mark.parametrize(("has_units", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_auto_takes_bfloat16_where_there_are_units_for_it(has_units, precision, monkeypatch):
    monkeypatch.setattr(accelerator, "_cpu_has_bfloat16", lambda: has_units)
    assert _plan() == ExecutionPlan(precision, compile_step=False, compile_parts=True)
    assert _plan(deterministic=True) == ExecutionPlan(
        "float32", compile_step=False, compile_parts=False
    )
    assert _plan(replicas=2) == ExecutionPlan(precision, compile_step=False, compile_parts=False)


def test_what_is_asked_for_is_done():
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


def test_the_whole_step_is_not_compiled_on_several_devices():
    with pytest.raises(ValueError, match="works on one device only"):
        _plan(replicas=2, jit_compile="on")


def test_unknown_precisions_are_refused():
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
def test_the_cpu_is_asked(flags, environment, has_units, tmp_path, monkeypatch):
    info = tmp_path / "cpuinfo"
    if flags is not None:
        info.write_text(flags)
    monkeypatch.setattr(accelerator, "_CPU_INFO", info)
    for name in ("ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert accelerator._cpu_has_bfloat16() == has_units
