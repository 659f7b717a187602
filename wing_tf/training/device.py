"""What the device that trains is good at: number format, and what XLA should compile."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator

import keras
import ml_collections
import tensorflow as tf

PRECISIONS = ("auto", "float32", "bfloat16", "float16")

_CPU_INFO = pathlib.Path("/proc/cpuinfo")


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the train step is run; see `plan`.

    Attributes:
        precision: of activations and gradients: float32, bfloat16 or float16. Weights, optimizer
            state, loss and the output layer are float32 always, and so is the saved network.
        compile_step: compile the whole step with XLA.
        compile_parts: compile augmentation and weight update with XLA, each by itself, multiply
            matrices for convolutions of small maps, and batch normalize in one operation.
    """

    precision: str
    compile_step: bool
    compile_parts: bool

    @contextlib.contextmanager
    def dtype_policy(self) -> Iterator[None]:
        """Builds networks for this precision for a while."""
        former = keras.config.dtype_policy()
        name = "float32" if self.precision == "float32" else f"mixed_{self.precision}"
        keras.config.set_dtype_policy(name)
        try:
            yield
        finally:
            keras.config.set_dtype_policy(former)

    def copy(self, network: keras.Model) -> keras.Model:
        """Returns a copy of a float32 network that computes in this precision.

        Its scaling of the input and its output layer stay float32, as in training.
        """

        def cast(layer):
            if not isinstance(layer, keras.layers.Layer):
                return layer  # an operation, which takes what comes
            config = layer.get_config()
            if layer.name not in ("output", "landmarks") and not isinstance(
                layer, keras.layers.Rescaling
            ):
                config.pop("dtype", None)  # takes the policy of the moment
            return type(layer).from_config(config)

        with self.dtype_policy():
            copy = keras.models.clone_model(network, clone_function=cast)
        copy.set_weights(network.get_weights())
        copy.trainable = False
        return copy


def plan(config: ml_collections.ConfigDict, replicas: int = 1) -> Plan:
    """Chooses what `config` leaves to "auto".

    * ``precision``: bfloat16 where the hardware multiplies matrices of it faster (CPUs with AMX,
      AMD's from Zen 4 on, GPUs from compute capability 8.0), else float32; float32 if
      ``deterministic``.
    * ``jit_compile``: nothing on several devices (Keras fails there) or if ``deterministic``; the
      whole step on a GPU; on a CPU augmentation and weight update, which are many small operations
      that XLA fuses. The network itself is faster in TensorFlow's own kernels there.

    ``docs/performance.md`` has the measurements.

    Raises:
        ValueError: if XLA is asked for on several devices.
    """
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    precision = config.precision
    if precision == "auto":
        fast = (_gpu_has_bfloat16 if on_gpu else _cpu_has_bfloat16)()
        precision = "bfloat16" if fast and not config.deterministic else "float32"
    may_compile = config.jit_compile == "auto" and replicas == 1 and not config.deterministic
    compile_step = config.jit_compile == "on" or (may_compile and on_gpu)
    if compile_step and replicas > 1:
        raise ValueError("config.jit_compile='on' works on one device only. Use 'auto'.")
    return Plan(precision, compile_step, compile_parts=may_compile and not compile_step)


def _cpu_has_bfloat16() -> bool:
    """Whether TensorFlow's kernels are faster in bfloat16 on this processor.

    They are with matrix units (Intel's AMX), and with AMD's AVX-512 instructions for bfloat16.
    With Intel's, that is with AMX switched off, bfloat16 was slower than float32.
    """
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        return False
    try:
        words = set(_CPU_INFO.read_text().split())
    except OSError:  # not Linux
        return False
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    everything = allowed in ("ALL", "DEFAULT")
    if "amx_bf16" in words:
        return everything or "AMX" in allowed
    bfloat16 = {"AuthenticAMD", "avx512_bf16"} <= words
    return bfloat16 and (everything or allowed == "AVX512_CORE_BF16")


def _gpu_has_bfloat16() -> bool:
    gpus = tf.config.get_visible_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)
