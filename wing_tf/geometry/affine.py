"""Batched affine maps between pixel frames, for NumPy and for ``keras.ops``."""

from typing import Any

import numpy as np


def stack_matrix(xp: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    """Returns matrices [..., 2, 3] of six arrays [...], row by row."""
    if xp is np and not np.ndim(a):  # a tenth of the time
        return np.array([[a, b, c], [d, e, f]])
    return xp.stack([xp.stack([a, b, c], axis=-1), xp.stack([d, e, f], axis=-1)], axis=-2)


def apply_affine(matrix: Any, points: Any, xp: Any = np) -> Any:
    """Maps points [..., K, 2] by matrices [..., 2, 3].

    The products are written out instead of calling a matrix product, which some accelerators
    compute in a less precise format such as TF32.

    Examples:
        >>> apply_affine(np.array([[2.0, 0, 1], [0, 2, 0]]), np.array([[3.0, 4.0]]))
        array([[7., 8.]])
    """
    x, y = points[..., 0], points[..., 1]
    m = matrix[..., None, :, :]
    return xp.stack(
        [
            m[..., 0, 0] * x + m[..., 0, 1] * y + m[..., 0, 2],
            m[..., 1, 0] * x + m[..., 1, 1] * y + m[..., 1, 2],
        ],
        axis=-1,
    )


def compose(outer: Any, inner: Any, xp: Any = np) -> Any:
    """Returns the map [..., 2, 3] that applies ``inner`` first and ``outer`` second."""
    a, b, c = outer[..., 0, 0], outer[..., 0, 1], outer[..., 0, 2]
    d, e, f = outer[..., 1, 0], outer[..., 1, 1], outer[..., 1, 2]
    p, q, r = inner[..., 0, 0], inner[..., 0, 1], inner[..., 0, 2]
    s, t, u = inner[..., 1, 0], inner[..., 1, 1], inner[..., 1, 2]
    return stack_matrix(
        xp,
        a * p + b * s, a * q + b * t, a * r + b * u + c,
        d * p + e * s, d * q + e * t, d * r + e * u + f,
    )  # fmt: skip


def invert(matrix: Any, xp: Any = np) -> Any:
    """Returns the inverse maps [..., 2, 3]. The inverse of a singular map is not finite."""
    a, b, c = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 0, 2]
    d, e, f = matrix[..., 1, 0], matrix[..., 1, 1], matrix[..., 1, 2]
    determinant = a * e - b * d
    return stack_matrix(
        xp,
        e / determinant, -b / determinant, (b * f - c * e) / determinant,
        -d / determinant, a / determinant, (c * d - a * f) / determinant,
    )  # fmt: skip


def crop_matrix(box_xyxy_px: Any, size_hw: tuple[int, int], xp: Any = np) -> Any:
    """Returns the map from an image to a crop of it that is resized to ``size_hw``.

    The box's left edge is mapped to -0.5 and its right edge to W - 0.5: the areas of the pixels
    are aligned, not their centers.

    Args:
        box_xyxy_px: Boxes [..., 4] in pixels of the image.
        size_hw: Height and width of the resized crop in pixels.
        xp: Array namespace. Defaults to NumPy.

    Returns:
        Matrices [..., 2, 3].

    Examples:
        >>> crop_matrix(np.array([-0.5, -0.5, 127.5, 127.5]), (64, 64))
        array([[ 0.5 ,  0.  , -0.25],
               [ 0.  ,  0.5 , -0.25]])
    """
    height, width = size_hw
    x0, y0 = box_xyxy_px[..., 0], box_xyxy_px[..., 1]
    scale_x = width / (box_xyxy_px[..., 2] - x0)
    scale_y = height / (box_xyxy_px[..., 3] - y0)
    zero = xp.zeros_like(x0)
    return stack_matrix(xp, scale_x, zero, -x0 * scale_x - 0.5, zero, scale_y, -y0 * scale_y - 0.5)


def flip_matrix(width: int) -> np.ndarray:
    """Returns the map [2, 3] of a horizontal flip of an image of ``width`` pixels."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]])


def similarity_matrix(
    center_px: Any, angle_rad: Any, scale: Any, translation_px: Any, xp: Any = np
) -> Any:
    """Returns the map that rotates and scales about a center and then translates.

    Args:
        center_px: Centers [..., 2].
        angle_rad: Angles [...]. Positive angles rotate the image clockwise (y points down).
        scale: Scales [...]. Scales above 1 enlarge.
        translation_px: Translations [..., 2].
        xp: Array namespace. Defaults to NumPy.

    Returns:
        Matrices [..., 2, 3].
    """
    cos, sin = scale * xp.cos(angle_rad), scale * xp.sin(angle_rad)
    x, y = center_px[..., 0], center_px[..., 1]
    return stack_matrix(
        xp,
        cos, -sin, x - cos * x + sin * y + translation_px[..., 0],
        sin, cos, y - sin * x - cos * y + translation_px[..., 1],
    )  # fmt: skip
