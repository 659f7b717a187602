"""The faces' boxes: how large they are, how landmarks lie in them, and which points they miss."""

import dataclasses

import numpy as np

from tfrecords_tools.inspection.face_table import FaceTable
from wing_tf.geometry import landmark_box

TOLERANCE = 0.03  # of the box's longer side
_TINY_PX, _THINNEST = 1e-6, 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class BoxStatistics:
    """Of each face with a box.

    Attributes:
        side_px: [n], the longer side in pixels of the source image.
        aspect: [n], width over height; .001 to 1000, as boxes of points in a row have one only.
        fill: [n], the landmark box's longer side over the box's.
        offset: [n, 2], from the box's center to the landmark box's, over the box's longer side.
    """

    side_px: np.ndarray
    aspect: np.ndarray
    fill: np.ndarray
    offset: np.ndarray

    def summary(self) -> dict[str, list[float]]:
        """Returns the 5 %, 50 % and 95 % quantiles of each figure."""
        figures = {
            "side_source_px": self.side_px,
            "width_over_height": self.aspect,
            "landmarks_over_box": self.fill,
            "landmarks_right_of_center": self.offset[:, 0],
            "landmarks_below_center": self.offset[:, 1],
        }
        return {
            name: [round(float(q), 4) for q in np.quantile(values, [0.05, 0.5, 0.95])]
            for name, values in figures.items()
        }


def box_statistics(table: FaceTable, box_square_px: np.ndarray) -> BoxStatistics | None:
    """Returns the figures of boxes [N, 4] of a table's faces; None where no face has one."""
    there = np.isfinite(box_square_px).all(axis=1)
    if not there.any():
        return None
    box = box_square_px[there].astype(np.float64)
    size = box[:, 2:] - box[:, :2]
    side = np.maximum(size.max(axis=1), _TINY_PX)
    least = _THINNEST * side
    tight = landmark_box(table.landmarks_square_px[there].astype(np.float64))
    middle, tight_middle = ((b[:, :2] + b[:, 2:]) / 2 for b in (box, tight))
    return BoxStatistics(
        side_px=side * table.source_px_per_square_px[there],
        aspect=np.maximum(size[:, 0], least) / np.maximum(size[:, 1], least),
        fill=(tight[:, 2:] - tight[:, :2]).max(axis=1) / side,
        offset=(tight_middle - middle) / side[:, None],
    )


def landmarks_outside_box(
    table: FaceTable, box_square_px: np.ndarray, tolerance: float = TOLERANCE
) -> np.ndarray:
    """Returns which landmarks [N, K] lie outside of boxes [N, 4] by more than a share of them.

    Args:
        table: the faces. Missing landmarks, and those of faces without a box, lie nowhere.
        box_square_px: the boxes.
        tolerance: a share of the box's longer side.
    """
    box = box_square_px[:, None].astype(np.float64)
    slack = tolerance * np.max(box[..., 2:] - box[..., :2], axis=-1, keepdims=True)
    landmarks = table.landmarks_square_px
    beyond = (landmarks < box[..., :2] - slack) | (landmarks > box[..., 2:] + slack)
    return np.any(beyond, axis=-1)


def landmarks_outside_square(table: FaceTable) -> np.ndarray:
    """Returns which landmarks [N, K] lie outside of the stored square: networks don't see them."""
    landmarks = table.landmarks_square_px
    return np.any((landmarks < -0.5) | (landmarks > table.records.side - 0.5), axis=-1)
