"""Records' faces as `wing_tf.detection.calibrate` takes them."""

from collections.abc import Iterator

import numpy as np

from wing_tf.data import record_schema as schema
from wing_tf.data.read import read_faces
from wing_tf.data.records import RecordSet


def record_faces(records: RecordSet) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields each face's stored square (uint8 RGB) and its landmarks [K, 2], NaN where missing.

    Example:
        >>> calibrate(HaarDetector(), record_faces(records))  # doctest: +SKIP
    """
    for face in read_faces(records).as_numpy_iterator():
        missing = face["visibility"][:, None] == schema.NOT_ANNOTATED
        yield face["image"], np.where(missing, np.nan, face["landmarks_square_px"].astype(float))
