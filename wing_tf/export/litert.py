"""Networks as LiteRT (TFLite) files in four precisions."""

import pathlib
import re
import warnings

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from wing_tf.export.formats import calibration_batches, check_precision
from wing_tf.utils.atomic import temporary_folder, write_bytes

_PRODUCTS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
_FEATURES = _PRODUCTS | {
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC",
    "MAX_POOL_2D", "MEAN", "MUL", "PAD", "PADV2", "PRELU", "RELU", "RELU6", "RESHAPE",
    "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SUB", "TRANSPOSE",
}  # fmt: skip
"""Operations on features, which are int8 between two products."""

# Three image channels would be padded to eight: in int8 slower and less accurate than in float32.
_MIN_CHANNELS = 8


def write_litert(
    deployed: keras.Model,
    path: str | pathlib.Path,
    *,
    precision: str = "float32",
    calibration: np.ndarray | None = None,
    batch_size: int = 1,
) -> None:
    """Writes a network as one file of built-in operations.

    The signature's input is ``image`` uint8 [B, side, side, 3], its outputs are ``landmarks``
    float32 [B, K, 2] and, where the network has them, ``scores`` [B, K]. B is fixed.

    * float16: weights are stored as float16; most processors compute with them in float32.
    * dynamic: weights are stored as int8, activations are float32.
    * int8: weights and features are int8. Operations before the first and after the last matrix
      product of the network (rescaling of the input, alignment, warps, decoding of heatmaps) stay
      float32, because 256 steps over an image are too coarse for coordinates. So do convolutions
      of the image itself, which int8 makes slower.

    Args:
        deployed: As from `wing_tf.export.deployed_network.deployed_network`.
        path: The file.
        precision: One of `wing_tf.export.formats.PRECISIONS`.
        calibration: uint8 [N, side, side, 3], typical crops from which int8's ranges are measured.
        batch_size: Number of crops B.

    Raises:
        ValueError: If int8 has no calibration, or if an operation of the network is not built into
            LiteRT; the message names it.
    """
    check_precision(precision, calibration)
    with temporary_folder(path) as folder:
        _write_fixed_batch(deployed, str(folder), batch_size)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(folder), signature_keys=["serving_default"]
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        try:
            if precision == "int8" and calibration is not None:
                content = _quantize(converter, calibration_batches(calibration, batch_size))
            else:
                content = converter.convert()
        except Exception as error:
            if names := _missing_operations(str(error)):
                raise ValueError(f"LiteRT has no built-in operation for {names}.") from None
            raise
    if custom := _custom_operations(content):
        raise ValueError(f"LiteRT has no built-in operation for {', '.join(custom)}.")
    write_bytes(path, content)


def _write_fixed_batch(deployed: keras.Model, folder: str, batch_size: int) -> None:
    archive = keras.export.ExportArchive()
    archive.track(deployed)
    archive.add_endpoint(
        "serving_default",
        lambda image: deployed(image, training=False),
        [tf.TensorSpec((batch_size, *deployed.input_shape[1:]), tf.uint8, name="image")],
    )
    archive.write_out(folder, verbose=False)


def _quantize(converter: tf.lite.TFLiteConverter, calibration: list[np.ndarray]) -> bytes:
    """Converts weights and features to int8, except those that must stay float32."""
    converter.representative_dataset = lambda: ([batch] for batch in calibration)
    options = tf.lite.experimental.QuantizationDebugOptions
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that its own interpreter is deprecated
        # The only interface that excludes operations from quantization; nothing is debugged.
        quantizer = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=converter.representative_dataset,
            debug_options=options(),
        )
        outside = _outside_of_products(quantizer.calibrated_model)
        quantizer.options = options(denylisted_nodes=outside)
        return quantizer.get_nondebug_quantized_model()


def _outside_of_products(content: bytes) -> list[str]:
    """Names the operations that are not between two matrix products of one chain of features."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    (graph,) = model.subgraphs
    steps = []
    for op in graph.operators:
        kind = _kind(model.operatorCodes[op.opcodeIndex])
        if kind == "CONV_2D" and graph.tensors[op.inputs[1]].shape[-1] < _MIN_CHANNELS:
            kind = "CONV_2D of an image"
        steps.append((kind, op))
    behind: set[int] = set()  # tensors that depend on a product
    before: set[int] = set()  # tensors that a product depends on
    for kind, op in steps:
        if kind in _PRODUCTS or kind in _FEATURES and behind.intersection(op.inputs):
            behind.update(op.outputs)
    for kind, op in reversed(steps):
        if kind in _PRODUCTS or kind in _FEATURES and before.intersection(op.outputs):
            before.update(op.inputs)
    return [
        graph.tensors[op.outputs[0]].name.decode()
        for kind, op in steps
        if kind not in _PRODUCTS
        and not (
            kind in _FEATURES and behind.intersection(op.inputs) and before.intersection(op.outputs)
        )
    ]


_KINDS = {number: name for name, number in vars(schema.BuiltinOperator).items()}


def _kind(code: schema.OperatorCodeT) -> str:
    # Codes that fit into a byte are in a field of their own.
    return _KINDS[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _custom_operations(content: bytes) -> list[str]:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    return [code.customCode.decode() for code in model.operatorCodes if _kind(code) == "CUSTOM"]


def _missing_operations(message: str) -> str:
    """Returns the operations that a converter's message reports as missing, or ""."""
    return ", ".join(sorted(set(re.findall(r"'(tf\.\w+)' op is neither a custom op", message))))
