"""The network as it leaves: bytes of a face crop in, named outputs."""

from typing import Any

import keras

from wing_tf.model_spec import ModelSpec


def deployed_network(network: keras.Model, spec: ModelSpec) -> keras.Model:
    """Returns a network that takes the crop as it is stored and names what it emits.

    Args:
        network: as from `wing_tf.models.saving.load_network`. Its weights are shared, or copied
            where it computes in another format than float32: graphs of mixed precision convert to
            operations that LiteRT has no kernels for.
        spec: what its input means.

    Returns:
        A functional model from ``image`` uint8 RGB [B, side, side, 3] to a dictionary of
        ``landmarks`` float32 [B, K, 2] in its pixels and, where the network has them, ``scores``
        [B, K].
    """
    side = spec.input_size
    image = keras.Input((side, side, 3), dtype="uint8", name="image")
    outputs = _in_float32(network)(keras.ops.cast(image, "float32"))
    if not isinstance(outputs, dict):
        outputs = {"landmarks": outputs}
    return keras.Model(image, outputs, name=network.name)


def _in_float32(network: keras.Model) -> keras.Model:
    config = network.get_config()
    plain = _with_plain_policies(config)
    if plain == config:
        return network
    rebuilt = type(network).from_config(plain)
    rebuilt.set_weights(network.get_weights())
    return rebuilt


def _with_plain_policies(value: Any) -> Any:
    """Returns a config in which every dtype policy is float32; whole-number dtypes stay."""
    if isinstance(value, dict):
        if value.get("class_name") == "DTypePolicy":
            return value | {"config": {"name": "float32"}}
        return {key: _with_plain_policies(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_with_plain_policies(item) for item in value)
    return value
