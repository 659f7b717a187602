"""Networks as ONNX files."""

import logging
import os
import pathlib
from types import ModuleType

import keras
import numpy as np
import tensorflow as tf

from wing_tf.export.formats import calibration_batches, check_precision
from wing_tf.utils.atomic import temporary_folder, write_bytes

_OPSET = 18
_MIN_HALVED = 256
"""Number of values; smaller constants are grids, shapes and biases, where float16 saves little."""

_PRODUCTS = ("Conv", "Gemm", "MatMul")


def write_onnx(
    deployed: keras.Model,
    path: str | pathlib.Path,
    *,
    precision: str = "float32",
    calibration: np.ndarray | None = None,
    batch_size: int = 1,
) -> None:
    """Writes a network as one ONNX file of standard operations (opset 18).

    The input is ``image`` uint8 [B, side, side, 3], the outputs are ``landmarks`` float32 [B, K, 2]
    and, if the network has them, ``scores`` [B, K]. B is fixed.

    * float16: weights are stored as float16 and converted to float32 when the file is loaded.
    * dynamic: weights are stored in 8 bits; ranges of activations are measured at run time.
    * int8: weights and the inputs of matrix products are 8 bits in fixed ranges. All other
      operations (rescaling, alignment, warps, decoding of heatmaps) stay float32.

    8-bit values are unsigned, weights too: signed ones saturate on x86 processors without VNNI
    (with observed errors of 6 px of 64).

    Args:
        deployed: As from `wing_tf.export.deployed_network.deployed_network`.
        path: The file.
        precision: One of `wing_tf.export.formats.PRECISIONS`.
        calibration: uint8 [N, side, side, 3], typical crops from which int8's ranges are measured.
        batch_size: Number of crops B.

    Raises:
        ModuleNotFoundError: If tf2onnx or onnxruntime is not installed; the message says how to.
        ValueError: For an unknown precision, or if int8 has no calibration.
    """
    check_precision(precision, calibration)
    converter = import_onnx()

    def serve(image):
        outputs = deployed(image, training=False)
        return {name: tf.identity(value, name) for name, value in outputs.items()}

    signature = [tf.TensorSpec((batch_size, *deployed.input_shape[1:]), tf.uint8, name="image")]
    model, _ = converter.from_function(
        tf.function(serve, input_signature=signature, autograph=False),
        input_signature=signature,
        opset=_OPSET,
        # tf2onnx's own handler multiplies by the condition: NaN that was not selected would stay.
        custom_op_handlers={"SelectV2": (lambda *_: None, ["Where"])},
    )
    if precision == "float16":
        _halve_weights(model)
    if precision in ("dynamic", "int8"):
        crops = calibration if precision == "int8" else None
        found = None if crops is None else calibration_batches(crops, batch_size)
        model = _quantize(model, found, path)
    write_bytes(path, model.SerializeToString())


def import_onnx() -> ModuleType:
    """Returns tf2onnx's converter.

    Raises:
        ModuleNotFoundError: If a package for ONNX is not installed; the message says how to.
    """
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL")
    try:
        import onnxruntime  # noqa: F401
        import tf2onnx
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"ONNX files need {error.name}: pip install -e '.[onnx]'."
        ) from None
    # tf2onnx sets this variable for the whole process and logs every step.
    if level is None:
        os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
    else:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = level
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    return tf2onnx.convert


def _halve_weights(model) -> None:
    """Stores large float32 constants as float16, each followed by a cast."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    casts = []
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < _MIN_HALVED:
            continue
        name = constant.name
        limit = float(np.finfo(np.float16).max)
        half = np.clip(values, -limit, limit).astype(np.float16)
        constant.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _quantize(model, calibration: list[np.ndarray] | None, target: str | pathlib.Path):
    """Returns the model with 8-bit products, in ranges measured on the crops if there are any.

    Intermediate files are beside the target file.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with temporary_folder(target) as folder:
        plain, prepared, path = (folder / f"{number}.onnx" for number in range(3))
        plain.write_bytes(model.SerializeToString())
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)  # all shapes are fixed
        model = onnx.load(prepared)
        weights = {constant.name for constant in model.graph.initializer}
        # Products of two activations compute geometry, not features.
        geometry = [
            node.name
            for node in model.graph.node
            if node.op_type in _PRODUCTS and node.input[1] not in weights
        ]
        unsigned = quantization.QuantType.QUInt8
        options = {"nodes_to_exclude": geometry, "weight_type": unsigned}
        if calibration is None:
            kinds = list(_PRODUCTS)
            quantization.quantize_dynamic(model, path, op_types_to_quantize=kinds, **options)
        else:
            quantization.quantize_static(
                model,
                path,
                _Crops(calibration),
                op_types_to_quantize=[*_PRODUCTS, "MaxPool"],
                activation_type=unsigned,
                # 256 steps over an image are too coarse for coordinates.
                extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
                **options,
            )
        return onnx.load(path)


class _Crops:
    """Batches of crops as a calibration data reader of ONNX Runtime."""

    def __init__(self, batches: list[np.ndarray]):
        self._rest = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Returns the next batch, or None at the end."""
        batch = next(self._rest, None)
        return None if batch is None else {"image": batch}
