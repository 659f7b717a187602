"""The faces of records as JPEGs and crops in memory, for loaders of other libraries."""

import numpy as np
import tensorflow as tf

from wing_tf.data import record_schema as schema
from wing_tf.data.read import decode_ratio
from wing_tf.data.records import RecordSet
from wing_tf.geometry import crop_square


def faces_in_memory(records: RecordSet, margin: float, input_size: int) -> tuple[list, int]:
    """Returns tuples of JPEG, landmarks [K, 2] in the crop, and crop; and the decode ratio."""
    ratio = decode_ratio(records.side, records.context, margin, input_size)
    faces = []
    for record in tf.data.TFRecordDataset(list(records.files)).as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        jpeg = np.frombuffer(feature[schema.IMAGE].bytes_list.value[0], np.uint8)
        box = (np.float64(feature[schema.BOX].float_list.value) + 0.5) / ratio - 0.5
        crop = np.clip(crop_square(box, margin).round(), 0, records.side // ratio).astype(int)
        landmarks = np.float32(feature[schema.LANDMARKS].float_list.value).reshape(-1, 2)
        faces.append((jpeg, (landmarks + 0.5) / ratio - 0.5 - crop[:2], crop.tolist()))
    return faces, ratio
