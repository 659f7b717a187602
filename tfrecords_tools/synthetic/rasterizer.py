"""Pinhole camera, and rasterizer of quads in back-to-front order.

`cv2.fillConvexPoly` writes quad numbers to a buffer. NumPy converts these to atlas coordinates for
all pixels at once, and `cv2.remap` samples the shaded texture.
"""

from typing import NamedTuple

import cv2
import numpy as np

from tfrecords_tools.synthetic.deterministic_linalg import matmul
from tfrecords_tools.synthetic.mesh_parts import topology

_SUBPIXEL_BITS = 4


class Camera(NamedTuple):
    """Pinhole camera in front of the head.

    Attributes:
        rotation: `[3, 3]`, from the head frame to the camera frame (x right, y down, z nearer).
        distance: Distance from the origin of the head frame to the pinhole, in millimeters.
        scale: Pixels per unit of x / depth.
        shift: `[2]`, principal point in pixels.
    """

    rotation: np.ndarray
    distance: float
    scale: float
    shift: np.ndarray

    def project_rotated(self, rotated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns pixels `[N, 2]` and nearness `[N]` of points in the camera frame."""
        depth = self.distance - rotated[:, 2]
        return rotated[:, :2] / depth[:, None] * self.scale + self.shift, rotated[:, 2]

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns pixels `[N, 2]` and nearness `[N]` of points `[N, 3]` in the head frame.

        The nearness is z in the camera frame: larger is nearer.
        """
        return self.project_rotated(matmul(points, self.rotation.T))

    def zoomed(self, factor: int) -> "Camera":
        """Returns the camera of an image scaled by `factor`; pixel centers stay integers."""
        return self._replace(scale=self.scale * factor, shift=(self.shift + 0.5) * factor - 0.5)


class Frame(NamedTuple):
    """Result of the rasterizer.

    Attributes:
        numbers: Int32 `[H, W]`, 1 + index of the drawn quad, 0 for the background.
        planes: Float32 `[3, 3, Q + 1]`: atlas column, atlas row and nearness of each drawn quad,
            as linear functions of x, y and 1.
    """

    numbers: np.ndarray
    planes: np.ndarray

    def atlas_xy(self) -> np.ndarray:
        """Returns atlas column and row per pixel, float32 `[2, H, W]`; -1 for the background."""
        size = self.numbers.shape[1]
        covered = np.flatnonzero(self.numbers)
        number = self.numbers.ravel()[covered]
        rows, columns = np.divmod(covered.astype(np.int32), np.int32(size))
        rows, columns = rows.astype(np.float32), columns.astype(np.float32)
        atlas = np.full((2, self.numbers.size), -1, np.float32)
        for axis, (by_x, by_y, offset) in enumerate(self.planes[:2]):
            atlas[axis, covered] = by_x[number] * columns + by_y[number] * rows + offset[number]
        return atlas.reshape(2, -1, size)

    def is_clear(self, xy: np.ndarray, nearness: np.ndarray, tolerance: float) -> np.ndarray:
        """Returns which points `[N, 2]` have no surface in front of them by `tolerance` mm."""
        height, width = self.numbers.shape
        column = np.clip(np.rint(xy[:, 0]).astype(int), 0, width - 1)
        row = np.clip(np.rint(xy[:, 1]).astype(int), 0, height - 1)
        by_x, by_y, offset = self.planes[2][:, self.numbers[row, column]]
        return by_x * column + by_y * row + offset < nearness + tolerance


def rasterize(rotated: np.ndarray, camera: Camera, drawn: np.ndarray, size: int) -> Frame:
    """Draws the quads of a mesh.

    Args:
        rotated: Vertices `[N, 3]` in the camera frame, in millimeters.
        camera: Camera of the image.
        drawn: Boolean `[Q]`: the quads of the topology to draw.
        size: Side of the square image, in pixels.
    """
    mesh = topology()
    xy, nearness = camera.project_rotated(rotated)
    x, y = xy.astype(np.float32).T.copy()
    near = nearness.astype(np.float32)
    a, b, c, d = mesh.quads.T
    x1, y1, x2, y2 = x[c] - x[a], y[c] - y[a], x[d] - x[b], y[d] - y[b]
    area = x1 * y2 - y1 * x2
    inside = (x > -0.1 * size) & (x < 1.1 * size) & (y > -0.1 * size) & (y < 1.1 * size)
    keep = drawn & (inside[a] | inside[c]) & (np.where(mesh.two_sided, abs(area), area) > 2e-4)
    keep = np.flatnonzero(keep)
    middle = near[a[keep]] + near[b[keep]] + near[c[keep]] + near[d[keep]]
    keep = keep[np.argsort(middle + 4 * mesh.lift[keep])]
    quads = mesh.quads[keep]
    x1, y1, x2, y2 = (diagonal[keep] / area[keep] for diagonal in (x1, y1, x2, y2))

    numbers = np.zeros((size, size), np.int32)
    fixed = np.rint(xy[quads] * 2**_SUBPIXEL_BITS).astype(np.int32)
    fill = cv2.fillConvexPoly
    for number, points in enumerate(fixed, 1):
        fill(numbers, points, number, 8, _SUBPIXEL_BITS)

    # Atlas position and nearness are linear over the pixels of a quad, fitted to its diagonals.
    planes = np.zeros((3, 3, len(keep) + 1), np.float32)
    planes[:, 2, 0] = -1e6
    a, b, c, d = quads.T
    middle_x, middle_y = x[quads].mean(1), y[quads].mean(1)
    for plane, value in zip(planes, (*mesh.atlas_xy.T, near), strict=True):
        v1, v2 = value[c] - value[a], value[d] - value[b]
        plane[0, 1:] = v1 * y2 - v2 * y1
        plane[1, 1:] = v2 * x1 - v1 * x2
        middle = 0.25 * (value[a] + value[b] + value[c] + value[d])
        plane[2, 1:] = middle - plane[0, 1:] * middle_x - plane[1, 1:] * middle_y
    return Frame(numbers, planes)
