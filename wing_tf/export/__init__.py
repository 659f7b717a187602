"""Models for other programs: one file from a face crop to landmarks, and what it means."""

from wing_tf.export.deployed import deployed_network
from wing_tf.export.export import export_model
from wing_tf.export.litert import write_litert
from wing_tf.export.onnx import write_onnx
from wing_tf.export.saved_model import write_saved_model

__all__ = [
    "deployed_network",
    "export_model",
    "write_litert",
    "write_onnx",
    "write_saved_model",
]
