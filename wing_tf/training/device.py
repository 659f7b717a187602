"""What the device that trains is good at: number format, and what XLA should compile."""

import dataclasses
import pathlib

import ml_collections
import tensorflow as tf

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the train step is run; see `plan`.

    Attributes:
        precision: of activations and gradients: float32, bfloat16 or float16. Weights, optimizer
            state, loss and the output layer are float32 always, and so is the saved network.
        compile_step: compile the whole step with XLA.
        compile_parts: compile augmentation and weight update with XLA, each by itself, and
            multiply matrices for convolutions of small maps.
    """

    precision: str
    compile_step: bool
    compile_parts: bool

    @property
    def policy(self) -> str:
        """The Keras dtype policy that the network is built under."""
        return "float32" if self.precision == "float32" else f"mixed_{self.precision}"


def plan(config: ml_collections.ConfigDict, replicas: int = 1) -> Plan:
    """Chooses what `config` leaves to "auto".

    * ``precision``: bfloat16 where the hardware multiplies matrices of it faster (CPUs with AMX,
      GPUs from compute capability 8.0), else float32; float32 if ``deterministic``.
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
    """Whether the CPU has matrix units for it; AVX-512 alone is slower than in float32."""
    try:
        return "amx_bf16" in pathlib.Path("/proc/cpuinfo").read_text().split()
    except OSError:  # not Linux
        return False


def _gpu_has_bfloat16() -> bool:
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)
