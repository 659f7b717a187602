import pathlib

import pytest

from wing_tf.training import device
from wing_tf.training.config import complete_config
from wing_tf.training.device import Plan, plan


def _plan(replicas=1, **settings):
    return plan(complete_config(settings), replicas)


@pytest.mark.parametrize(("has_units", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_auto_takes_bfloat16_where_there_are_units_for_it(has_units, precision, monkeypatch):
    monkeypatch.setattr(device, "_cpu_has_bfloat16", lambda: has_units)
    assert _plan() == Plan(precision, compile_step=False, compile_parts=True)
    assert _plan(deterministic=True) == Plan("float32", compile_step=False, compile_parts=False)
    assert _plan(replicas=2) == Plan(precision, compile_step=False, compile_parts=False)


def test_what_is_asked_for_is_done():
    for precision in ("float32", "bfloat16", "float16"):
        assert _plan(precision=precision).precision == precision
    assert _plan(deterministic=True, precision="bfloat16").precision == "bfloat16"
    assert _plan(precision="float16").policy == "mixed_float16"
    assert _plan(precision="float32").policy == "float32"
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


@pytest.mark.skipif(not pathlib.Path("/proc/cpuinfo").is_file(), reason="not Linux")
def test_the_cpu_is_asked():
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    assert device._cpu_has_bfloat16() == (" amx_bf16" in flags)
