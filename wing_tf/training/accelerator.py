"""Precision, XLA compilation, devices and faster CPU kernels of the train step.

The functions that change layers and optimizers change how they compute, up to rounding; what is
saved is the plain Keras layer and optimizer.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator

import keras
import ml_collections
import tensorflow as tf

PRECISIONS = ("auto", "float32", "bfloat16", "float16")

_CPU_INFO = pathlib.Path("/proc/cpuinfo")
_LARGEST_MAP = {"float32": 5 * 5, "bfloat16": 7 * 7}  # pixels
_MOST_FUSED_VARIABLES = 64


@dataclasses.dataclass(frozen=True)
class ExecutionPlan:
    """How the train step is executed; see `plan_execution`.

    Attributes:
        precision: Of activations and gradients: "float32", "bfloat16" or "float16". Weights,
            optimizer state, loss, the output layer and the saved network are always float32.
        compile_step: Compile the whole step with XLA; on several devices all of it that each device
            computes by itself: augmentation, forward pass, loss and gradients.
        compile_parts: Compile augmentation and weight update (see `fuse_update`) with XLA, each by
            itself, compute convolutions of small maps as matrix products, and fuse batch
            normalization; on several devices without the weight update.
    """

    precision: str
    compile_step: bool
    compile_parts: bool

    @contextlib.contextmanager
    def dtype_policy(self) -> Iterator[None]:
        """Sets Keras' dtype policy to this precision within a ``with`` block."""
        former = keras.config.dtype_policy()
        name = "float32" if self.precision == "float32" else f"mixed_{self.precision}"
        keras.config.set_dtype_policy(name)
        try:
            yield
        finally:
            keras.config.set_dtype_policy(former)

    def copy(self, network: keras.Model) -> keras.Model:
        """Returns a frozen copy of a float32 network that computes in this precision.

        Its scaling of the input and its output layer stay float32, as in training.
        """

        def cast(layer):
            if not isinstance(layer, keras.layers.Layer):
                return layer  # an operation, which has no dtype of its own
            config = layer.get_config()
            if layer.name not in ("output", "landmarks") and not isinstance(
                layer, keras.layers.Rescaling
            ):
                config.pop("dtype", None)  # the current policy's
            return type(layer).from_config(config)

        with self.dtype_policy():
            copy = keras.models.clone_model(network, clone_function=cast)
        copy.set_weights(network.get_weights())
        copy.trainable = False
        return copy


def plan_execution(config: ml_collections.ConfigDict) -> ExecutionPlan:
    """Chooses the values that `config` leaves to "auto".

    * ``precision``: bfloat16 where the hardware multiplies its matrices faster (CPUs with AMX,
      AMD's from Zen 4 on, GPUs from compute capability 8.0), else float32; float32 if
      ``deterministic``.
    * ``jit_compile``: Nothing if ``deterministic``; the whole step on GPUs; augmentation and weight
      update on CPUs, which are many small operations that XLA fuses. TensorFlow's own kernels for
      the network are faster than XLA's on CPUs.

    ``docs/performance/training.md`` has the measurements.

    Args:
        config: A complete config (`wing_tf.training.resolve`).
    """
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    precision = config.precision
    if precision == "auto":
        fast = (_gpu_has_bfloat16 if on_gpu else _cpu_has_bfloat16)()
        precision = "bfloat16" if fast and not config.deterministic else "float32"
    may_compile = config.jit_compile == "auto" and not config.deterministic
    compile_step = config.jit_compile == "on" or (may_compile and on_gpu)
    return ExecutionPlan(precision, compile_step, compile_parts=may_compile and not compile_step)


def plan_synchronized(
    execution: ExecutionPlan, network: keras.Model, *, required: bool = False
) -> tuple[ExecutionPlan, ExecutionPlan]:
    """Plans the steps of a network whose batch statistics may be those of several devices.

    Such devices wait for each other in the forward pass, which XLA can't compile; it compiles the
    augmentation by itself instead.

    Args:
        execution: The plan without regard to the network.
        network: The network that is trained.
        required: Whether the config asks for a compiled step.

    Returns:
        The plan of the step, and that of the augmentation.

    Raises:
        ValueError: If the step can't be compiled and ``required`` is True.
    """
    synchronized = any(
        isinstance(layer, keras.layers.BatchNormalization)
        and layer.trainable
        and layer.synchronized
        for layer in network.layers
    )
    if not (synchronized and execution.compile_step):
        return execution, execution
    if required:
        raise ValueError(
            f"config.jit_compile='on': on several devices, {network.name} can't be compiled, "
            "because its batch normalization shares statistics between them. Use 'auto'."
        )
    step = dataclasses.replace(execution, compile_step=False)
    return step, dataclasses.replace(step, compile_parts=True)


def _cpu_has_bfloat16() -> bool:
    """Returns whether TensorFlow's kernels are faster in bfloat16 on this processor.

    They are with matrix units (Intel's AMX), and with AMD's AVX-512 instructions for bfloat16. With
    Intel's AVX-512 instructions (AMX switched off) bfloat16 was slower than float32.
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


def make_strategy() -> tf.distribute.Strategy | None:
    """Returns a strategy over all visible devices, or None where there is one device."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        return None
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def multiply_small_maps(network: keras.Model) -> list[str]:
    """Computes 3x3 convolutions of small maps with many channels as matrix products.

    oneDNN's gradients of such convolutions rearrange more weights than there are pixels: for 256 to
    512 channels on 4 x 4 pixels, forward and backward take 4/5 (float32) and half (bfloat16) of
    the time this way (``docs/performance/training.md``).

    Args:
        network: Changed in place.

    Returns:
        The names of the layers that were changed.
    """
    changed = []
    for layer in network.layers:
        # A shared layer may have maps of several sizes.
        used_once = len(layer._inbound_nodes) == 1
        if type(layer) is keras.layers.Conv2D and used_once and _is_small(layer):
            layer.convolution_op = _convolve_3x3
            changed.append(layer.name)
    return changed


def _is_small(layer: keras.layers.Conv2D) -> bool:
    height, width, channels = layer.input.shape[1:]
    return (
        (layer.kernel_size, layer.strides, layer.dilation_rate) == ((3, 3), (1, 1), (1, 1))
        and (layer.padding, layer.groups, layer.data_format) == ("same", 1, "channels_last")
        and None not in (height, width)
        and height * width <= _LARGEST_MAP.get(layer.compute_dtype, 0)
        and min(channels, layer.filters) >= 256
    )


def _convolve_3x3(x, kernel):
    """Convolves [B, H, W, C] with [3, 3, C, D], zeros beyond the border."""
    return _convolve_by_matmul(x, tf.convert_to_tensor(kernel))


@tf.custom_gradient
def _convolve_by_matmul(x, kernel):
    height, width, channels = x.shape[1:]
    matrix = tf.reshape(kernel, (9 * channels, -1))
    padded = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    patches = tf.reshape(tf.concat(taps, axis=-1), (-1, 9 * channels))

    def gradient(upstream):
        upstream = tf.reshape(upstream, (-1, matrix.shape[1]))
        d_kernel = tf.reshape(tf.matmul(patches, upstream, transpose_a=True), kernel.shape)
        d_patches = tf.matmul(upstream, matrix, transpose_b=True)
        # Nine terms are added: in float32, as a convolution does.
        d_patches = tf.cast(tf.reshape(d_patches, (-1, height, width, 9 * channels)), tf.float32)
        d_taps = tf.split(d_patches, 9, axis=-1)
        d_padded = tf.add_n(
            [
                tf.pad(tap, ((0, 0), (k // 3, 2 - k // 3), (k % 3, 2 - k % 3), (0, 0)))
                for k, tap in enumerate(d_taps)
            ]
        )
        return tf.cast(d_padded[:, 1:-1, 1:-1], x.dtype), d_kernel

    return tf.reshape(patches @ matrix, (-1, height, width, matrix.shape[1])), gradient


def fuse_update(optimizer: keras.optimizers.Optimizer, variables: list) -> None:
    """Compiles an optimizer's update with XLA: one pass over the weights instead of ten.

    With more than 64 variables the update stays as it is: XLA compiles the update of each one for
    itself, which takes seconds and memory that TensorFlow keeps until the process ends (12 seconds
    and 550 MB for two hourglasses), and the update of such networks is a small part of a step.

    Args:
        optimizer: Changed in place, and built if necessary.
        variables: All variables that it will be applied to, in the order of the gradients.
    """
    if len(variables) > _MOST_FUSED_VARIABLES:
        return
    optimizer.build(variables)
    update = optimizer.apply

    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def compiled(grads):
        update(grads, variables)

    def apply(grads, trainable_variables=None):
        given = variables if trainable_variables is None else list(trainable_variables)
        if list(map(id, given)) != list(map(id, variables)):
            raise ValueError("The update was compiled for other variables.")
        compiled(list(grads))

    optimizer.apply = apply
