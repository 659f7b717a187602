"""Networks as LiteRT (TFLite) files."""

import dataclasses
import json
import os
import pathlib
from typing import Any

import keras
import tensorflow as tf

from wing_tf.landmarks import scheme_to_dict
from wing_tf.models.saving import Contract


def export_litert(
    network: keras.Model, contract: Contract, folder: str | pathlib.Path
) -> dict[str, Any]:
    """Writes ``model.tflite`` and ``contract.json`` into a folder.

    The file takes the face crop, uint8 RGB [1, side, side, 3], and gives ``landmarks`` float32
    [1, K, 2] in the crop's pixels, and ``scores`` [1, K] where the network has them. It is made of
    built-in operations only, so that no other library is needed to run it.

    Args:
        network: as from `wing_tf.models.saving.load_network`.
        contract: what its input and output mean.
        folder: that exists.

    Returns:
        What ``contract.json`` holds: how the crop is cut, the outputs' names and the mark-up.

    Raises:
        Exception: of the converter, which names the operation, if one is not built in.
    """
    folder = pathlib.Path(folder)
    image = keras.Input((contract.input_size, contract.input_size, 3), dtype="uint8", name="image")
    outputs = network(keras.ops.cast(image, "float32"))
    if not isinstance(outputs, dict):
        outputs = {"landmarks": outputs}
    deployed = keras.Model(image, outputs, name=network.name)
    temporary = folder / ".model.writing.tflite"
    deployed.export(
        str(temporary),
        format="litert",
        verbose=False,
        input_signature=[keras.InputSpec(shape=(1, *deployed.input_shape[1:]), dtype="uint8")],
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
    )
    facts = {
        "input": {"shape": [1, contract.input_size, contract.input_size, 3], "dtype": "uint8",
                  "colour": "RGB"},
        "crop": {"centre": "of the face box", "margin": contract.margin, "square": contract.square},
        "outputs": {name: [1, *tensor.shape[1:]] for name, tensor in outputs.items()},
        "landmarks_frame": "pixels of the input; pixel centres are integers",
        "scheme": scheme_to_dict(contract.scheme),
        "contract": dataclasses.asdict(contract),
    }  # fmt: skip
    os.replace(temporary, folder / "model.tflite")
    (folder / "contract.json").write_text(json.dumps(facts, indent=1) + "\n")
    return facts
