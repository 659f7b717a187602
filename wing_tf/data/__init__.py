"""Reading of records, augmentation, targets and sample weights, for own `tf.data` pipelines too.

Names are imported at their first use, so that `record_schema` and `crop_rules` can be imported
without TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wing_tf.data.augment import Augmentation, Augmenter
    from wing_tf.data.batches import dataset_from_records, training_batches
    from wing_tf.data.crop import crop_faces
    from wing_tf.data.heatmap_targets import HeatmapAugmenter
    from wing_tf.data.pose_balance import PoseBalance, fit_balance
    from wing_tf.data.read import parse_face, read_faces, read_landmarks
    from wing_tf.data.records import RecordSet, open_records

_MODULES = {
    "Augmentation": "wing_tf.data.augment",
    "Augmenter": "wing_tf.data.augment",
    "HeatmapAugmenter": "wing_tf.data.heatmap_targets",
    "PoseBalance": "wing_tf.data.pose_balance",
    "RecordSet": "wing_tf.data.records",
    "crop_faces": "wing_tf.data.crop",
    "dataset_from_records": "wing_tf.data.batches",
    "fit_balance": "wing_tf.data.pose_balance",
    "open_records": "wing_tf.data.records",
    "parse_face": "wing_tf.data.read",
    "read_faces": "wing_tf.data.read",
    "read_landmarks": "wing_tf.data.read",
    "training_batches": "wing_tf.data.batches",
}

__all__ = [
    "Augmentation",
    "Augmenter",
    "HeatmapAugmenter",
    "PoseBalance",
    "RecordSet",
    "crop_faces",
    "dataset_from_records",
    "fit_balance",
    "open_records",
    "parse_face",
    "read_faces",
    "read_landmarks",
    "training_batches",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
