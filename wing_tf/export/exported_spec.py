"""Model specs of exported files: the network's spec and the facts of the file's format."""

from typing import Any

import keras

from wing_tf.model_spec import ModelSpec


def exported_spec(
    deployed: keras.Model, spec: ModelSpec, *, format: str, precision: str, batch_size: int = 1
) -> dict[str, Any]:
    """Returns the content of an export's ``model_spec.json``.

    Args:
        deployed: As from `wing_tf.export.deployed_network`.
        spec: What the network's input and output mean.
        format: Format of the export.
        precision: Precision of the export.
        batch_size: Number of crops that a LiteRT or ONNX file takes at a time. A SavedModel takes
            any number.
    """
    values = spec.to_dict()
    # With a fixed size nothing is left to choose at run time.
    batch = None if format == "saved_model" else batch_size
    values["input"]["shape"][0] = batch
    outputs = {
        name: {"shape": [batch, *tensor.shape[1:]], "dtype": "float32"}
        for name, tensor in deployed.output.items()
    }
    facts = {"format": format, "precision": precision, "outputs": outputs}
    return values | facts | _signatures(outputs, format)


def _signatures(outputs: dict[str, dict], format: str) -> dict[str, Any]:
    """Returns the signatures of a format's file."""
    if format == "onnx":
        return {}
    if format == "litert":
        return {"signature": "serving_default"}
    count = outputs["landmarks"]["shape"][1]
    landmarks = {"landmarks_px": {"shape": [None, count, 2], "dtype": "float32"}}
    return {
        "signature": "serving_default",
        "images": {
            "signature": "images",
            "inputs": {
                "jpeg": {"shape": [None], "dtype": "string"},
                "boxes_xyxy_px": {"shape": [None, 4], "dtype": "float32"},
            },
            "outputs": landmarks | {k: v for k, v in outputs.items() if k != "landmarks"},
            "landmarks_frame": "pixels of the images as stored, without EXIF rotation",
        },
    }
