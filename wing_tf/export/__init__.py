"""Models for other programs: one file from a face crop to landmarks, and what it means."""

from wing_tf.export.litert import export_litert

__all__ = ["export_litert"]
