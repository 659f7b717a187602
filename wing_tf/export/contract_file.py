"""``contract.json``: what an exported network's input and output mean, for programs."""

from typing import Any

import keras

from wing_tf.landmarks import scheme_to_dict
from wing_tf.models.saving import Contract
from wing_tf.runtime.contract import VERSION


def contract_facts(
    deployed: keras.Model, contract: Contract, *, format: str, precision: str
) -> dict[str, Any]:
    """Returns what stands in ``contract.json``.

    Args:
        deployed: as from `wing_tf.export.deployed_network`.
        contract: what the network's input and output mean.
        format: of the export.
        precision: of the export.
    """
    side = contract.input_size
    # LiteRT files are of one crop: with a fixed size nothing is left to choose at run time.
    batch = None if format == "saved_model" else 1
    return {
        "version": VERSION,
        "format": format,
        "precision": precision,
        "input": {
            "name": "image",
            "shape": [batch, side, side, 3],
            "dtype": "uint8",
            "colour": "RGB",
        },
        "crop": {
            "centre": "of the face box",
            "margin": contract.margin,
            "square": contract.square,
            "boxes": list(contract.trained_boxes),
            "outside": "black",
        },
        "outputs": {
            name: {"shape": [batch, *tensor.shape[1:]], "dtype": "float32"}
            for name, tensor in deployed.output.items()
        },
        "landmarks_frame": "pixels of the input; pixel centres are integers",
        "scheme": scheme_to_dict(contract.scheme),
        "training": {
            "trained_on": dict(contract.trained_on),
            "held_out": dict(contract.held_out),
            "trained_crops": list(contract.trained_crops),
        },
    } | _signatures(deployed, format)


def _signatures(deployed: keras.Model, format: str) -> dict[str, Any]:
    """Returns what a format's file is called by."""
    if format == "onnx":
        return {}
    if format == "litert":
        return {"signature": "serving_default"}
    (count,) = {tensor.shape[1] for tensor in deployed.output.values()}
    outputs = {"landmarks_px": {"shape": [None, count, 2], "dtype": "float32"}}
    if "scores" in deployed.output:
        outputs["scores"] = {"shape": [None, count], "dtype": "float32"}
    return {
        "signature": "serving_default",
        "pictures": {
            "signature": "pictures",
            "inputs": {
                "jpeg": {"shape": [None], "dtype": "string"},
                "boxes_xyxy_px": {"shape": [None, 4], "dtype": "float32"},
            },
            "outputs": outputs,
            "landmarks_frame": "pixels of the pictures as stored, without EXIF rotation",
        },
    }
