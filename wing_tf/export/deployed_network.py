"""Networks as they are exported: uint8 face crops in, named float32 outputs."""

from typing import Any

import keras

from wing_tf.model_spec import ModelSpec


def deployed_network(network: keras.Model, spec: ModelSpec) -> keras.Model:
    """Returns a network that takes uint8 crops and names its outputs.

    Args:
        network: As from `wing_tf.models.saving.load_network`. Its weights are shared, or copied if
            it computes in mixed precision: such graphs convert to operations that LiteRT has no
            kernels for, so they are rebuilt in float32.
        spec: Meaning of its input.

    Returns:
        A functional model from ``image`` uint8 RGB [B, side, side, 3] to a dictionary of
        ``landmarks`` float32 [B, K, 2] in its pixels and, if the network has them, ``scores``
        and ``visibility`` [B, K].
    """
    side = spec.input_size
    image = keras.Input((side, side, 3), dtype="uint8", name="image")
    outputs = _in_float32(network)(keras.ops.cast(image, "float32"))
    if not isinstance(outputs, dict):
        outputs = {"landmarks": outputs}
    return keras.Model(image, outputs, name=network.name)


def _in_float32(network: keras.Model) -> keras.Model:
    config = network.get_config()
    in_float32 = _with_float32_policies(config)
    if in_float32 == config:
        return network
    rebuilt = type(network).from_config(in_float32)
    rebuilt.set_weights(network.get_weights())
    return rebuilt


def _with_float32_policies(value: Any) -> Any:
    """Returns a config in which every dtype policy is float32; integer dtypes are unchanged."""
    if isinstance(value, dict):
        if value.get("class_name") == "DTypePolicy":
            return value | {"config": {"name": "float32"}}
        return {key: _with_float32_policies(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_with_float32_policies(item) for item in value)
    return value
