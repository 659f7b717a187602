"""Statistics of face boxes, and landmarks outside of boxes and squares."""

import numpy as np

from tfrecords_tools.inspection.face_table import FaceTable
from wing_tf.geometry import landmark_box

TOLERANCE = 0.03  # fraction of the box's longer side
DETECTOR_TOLERANCE = 0.125  # what a network with a margin of 1.25 sees around a detector's box
_MIN_SIDE_PX, _MIN_ASPECT = 1e-6, 1e-3


def box_statistics(table: FaceTable, box_square_px: np.ndarray) -> dict[str, np.ndarray]:
    """Returns measures [n] of the n faces with a box; none if there are no such faces.

    Args:
        table: The faces.
        box_square_px: The boxes [N, 4]; NaN where there is none.

    Returns:
        Dictionary of ``side_source_px``, the longer side in pixels of the source image;
        ``width_over_height``, limited to .001 to 1000 for boxes of collinear landmarks;
        ``landmarks_over_box``, the longer side of the landmark box over that of the box; and
        ``landmarks_right_of_center`` and ``landmarks_below_center``, from the center of the box to
        that of the landmark box, over the longer side of the box.
    """
    known = np.isfinite(box_square_px).all(axis=1)
    if not known.any():
        return {}
    box = box_square_px[known].astype(np.float64)
    size = box[:, 2:] - box[:, :2]
    side = np.maximum(size.max(axis=1), _MIN_SIDE_PX)
    min_size = _MIN_ASPECT * side
    tight = landmark_box(table.landmarks_square_px[known].astype(np.float64))
    center, tight_center = ((b[:, :2] + b[:, 2:]) / 2 for b in (box, tight))
    offset = (tight_center - center) / side[:, None]
    return {
        "side_source_px": side * table.source_px_per_square_px[known],
        "width_over_height": np.maximum(size[:, 0], min_size) / np.maximum(size[:, 1], min_size),
        "landmarks_over_box": (tight[:, 2:] - tight[:, :2]).max(axis=1) / side,
        "landmarks_right_of_center": offset[:, 0],
        "landmarks_below_center": offset[:, 1],
    }


def landmarks_outside_box(
    table: FaceTable, box_square_px: np.ndarray, tolerance: float = TOLERANCE
) -> np.ndarray:
    """Returns which landmarks [N, K] lie outside of boxes by more than a tolerance.

    Args:
        table: The faces. Landmarks that are not annotated, or of faces without a box, do not count.
        box_square_px: The boxes [N, 4].
        tolerance: Fraction of the longer side of the box.
    """
    box = box_square_px[:, None].astype(np.float64)
    slack = tolerance * np.max(box[..., 2:] - box[..., :2], axis=-1, keepdims=True)
    landmarks = table.landmarks_square_px
    beyond = (landmarks < box[..., :2] - slack) | (landmarks > box[..., 2:] + slack)
    return np.any(beyond, axis=-1)


def landmarks_outside_square(table: FaceTable) -> np.ndarray:
    """Returns which landmarks [N, K] lie outside of the stored square, invisible to networks."""
    landmarks = table.landmarks_square_px
    return np.any((landmarks < -0.5) | (landmarks > table.records.side - 0.5), axis=-1)
