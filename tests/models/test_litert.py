"""Two-stage networks as LiteRT files of built-in operations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from wing_tf.geometry import similarity_matrix
from wing_tf.layers import AffineCrop
from wing_tf.models import cnn6, correction, two_stage
from wing_tf.models.two_stage import reference_in_crop

litert = pytest.importorskip("ai_edge_litert.interpreter")


def _run(content, *inputs):
    """Runs a file's content, checks its operations and returns the output."""
    interpreter = litert.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    by_shape = {x.shape: x for x in inputs}
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], by_shape[tuple(detail["shape"])])
    interpreter.invoke()
    names = {op["op_name"] for op in interpreter._get_ops_details()}
    assert not any(name.startswith("Flex") for name in names)
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_affine_crop_equals_keras():
    inputs = np.random.default_rng(0).uniform(0, 1, (1, 40, 40, 3)).astype(np.float32)
    matrix = similarity_matrix(np.array([[20.0, 20.0]]), np.array([0.5]), np.array([0.8]),
                            np.array([[-8.0, -9.0]])).astype(np.float32)  # fmt: skip
    layer = AffineCrop(24)
    graph = tf.function(lambda image, to_crop: layer(image, to_crop)).get_concrete_function(
        tf.TensorSpec(inputs.shape), tf.TensorSpec(matrix.shape)
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph], layer)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    out = _run(converter.convert(), inputs, matrix)
    np.testing.assert_allclose(out, layer(inputs, matrix), atol=1e-5)


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("correct", [pytest.param(False, marks=pytest.mark.slow), True])
def test_two_stage_network_equals_keras(correct, broken, tmp_path):
    keras.utils.set_random_seed(0)
    reference = reference_in_crop(np.random.default_rng(0).uniform(0, 1, (5, 2)), 128, 1.2)
    first = cnn6(5, width=0.1)
    first.get_layer("output").bias.assign(np.full(10, np.nan) if broken else reference.ravel() / 2)
    second = cnn6(5, width=0.1, input_size=128, name="second")
    second.get_layer("output").bias.assign(reference.ravel())
    second = correction(second, reference) if correct else second
    network = two_stage(first, second, reference, first_margin=1.2, second_margin=1.2)
    rows, columns = np.mgrid[:208, :208]
    waves = 127 + 127 * np.sin(rows / 17 + 1) * np.cos(columns / 23)
    inputs = np.repeat(waves[None, ..., None], 3, axis=3).astype(np.float32)
    path = tmp_path / "two_stage.tflite"
    network.export(
        path,
        format="litert",
        verbose=False,
        input_signature=[keras.InputSpec(shape=inputs.shape, dtype="float32")],
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
    )
    out = _run(path.read_bytes(), inputs)
    expected = np.asarray(network(inputs))
    assert np.isfinite(expected).all()  # also if the first stage emits NaN
    np.testing.assert_allclose(out, expected, atol=2e-3)
