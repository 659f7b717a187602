"""Pixel grid, boxes, affine matrices and shapes.

Conventions of the whole package:

* Points are (x, y). Pixel centers are integers: the center of the top left pixel is (0, 0), and an
  image of width W spans x from -0.5 to W - 0.5.
* A box is (x0, y0, x1, y1) in continuous coordinates of the same grid: the whole image is
  (-0.5, -0.5, W - 0.5, H - 0.5).
* A resize by s maps x to ``(x + 0.5) * s - 0.5``; a horizontal flip maps x to ``W - 1 - x``.
* An affine map is a matrix [..., 2, 3] that multiplies columns (x, y, 1).

Functions that take ``xp`` work on NumPy arrays (``xp=numpy``, the default) and on tensors
(``xp=keras.ops``), so that the host and the device share one implementation.
"""

from wing_tf.geometry.affine import (
    apply_affine,
    compose,
    crop_matrix,
    flip_matrix,
    invert,
    similarity_matrix,
)
from wing_tf.geometry.boxes import (
    box_iou,
    crop_region,
    crop_square,
    landmark_box,
    perturb_box,
    place_box,
    relative_box,
    shrink_ratio,
)
from wing_tf.geometry.shapes import (
    align_to,
    fit_similarity,
    mean_shape,
    place_shape_in_boxes,
    procrustes,
)

__all__ = [
    "align_to",
    "apply_affine",
    "box_iou",
    "compose",
    "crop_matrix",
    "crop_region",
    "crop_square",
    "fit_similarity",
    "flip_matrix",
    "invert",
    "landmark_box",
    "mean_shape",
    "perturb_box",
    "place_box",
    "place_shape_in_boxes",
    "procrustes",
    "relative_box",
    "shrink_ratio",
    "similarity_matrix",
]
