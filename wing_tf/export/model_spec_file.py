"""``model_spec.json``: what an exported network's input and output mean, for programs."""

from typing import Any

import keras

from wing_tf.landmarks import scheme_to_dict
from wing_tf.models.saving import ModelSpec
from wing_tf.runtime.model_spec import VERSION


def export_model_spec(
    deployed: keras.Model, spec: ModelSpec, *, format: str, precision: str
) -> dict[str, Any]:
    """Returns what stands in ``model_spec.json``.

    Args:
        deployed: as from `wing_tf.export.deployed_network`.
        spec: what the network's input and output mean.
        format: of the export.
        precision: of the export.
    """
    side = spec.input_size
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
            "color": "RGB",
        },
        "crop": {
            "center": "of the face box",
            "margin": spec.margin,
            "square": spec.square,
            "boxes": list(spec.trained_boxes),
            "outside": "black",
        },
        "outputs": {
            name: {"shape": [batch, *tensor.shape[1:]], "dtype": "float32"}
            for name, tensor in deployed.output.items()
        },
        "landmarks_frame": "pixels of the input; pixel centers are integers",
        "scheme": scheme_to_dict(spec.scheme),
        "training": {
            "trained_on": dict(spec.trained_on),
            "held_out": dict(spec.held_out),
            "trained_crops": list(spec.trained_crops),
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
        "images": {
            "signature": "images",
            "inputs": {
                "jpeg": {"shape": [None], "dtype": "string"},
                "boxes_xyxy_px": {"shape": [None, 4], "dtype": "float32"},
            },
            "outputs": outputs,
            "landmarks_frame": "pixels of the images as stored, without EXIF rotation",
        },
    }
