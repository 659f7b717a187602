"""LiteRT export of heatmap localizers, for tests."""

import keras
import numpy as np
import tensorflow as tf


def litert_outputs(localizer, image, path):
    """Exports a localizer with built-in operations only, runs it, returns landmarks and scores."""
    from ai_edge_litert.interpreter import Interpreter

    localizer.export(
        path,
        format="litert",
        verbose=False,
        input_signature=[keras.InputSpec(shape=image.shape, dtype="float32")],
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
    )
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    names = {op["op_name"] for op in interpreter._get_ops_details()}
    assert not any(name.startswith("Flex") for name in names)
    out = {
        len(detail["shape"]): interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_output_details()
    }
    return out[3], out[2]


def noise_image(side, count=1):
    """Float32 noise images."""
    generator = np.random.default_rng(0)
    return generator.uniform(0, 255, (count, side, side, 3)).astype(np.float32)
