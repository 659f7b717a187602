"""Camera and rasteriser: a triangle buffer in painter's order, textured per pixel.

`cv2.fillConvexPoly` writes triangle numbers, far ones first; NumPy then turns numbers into atlas
coordinates for all pixels at once and `cv2.remap` fetches the shaded texture.
"""

from typing import NamedTuple

import cv2
import numpy as np

from tfrecords_tools.synthetic.parts import topology

_SUBPIXEL_BITS = 4


class Camera(NamedTuple):
    """A pinhole camera in front of the head.

    Attributes:
        rotation: `[3, 3]`, from the head frame to the camera frame (x right, y down, z nearer).
        distance: From the head frame's origin to the pinhole, in millimetres.
        scale: Pixels per unit of x / depth.
        shift: `[2]`, in pixels, added last.
    """

    rotation: np.ndarray
    distance: float
    scale: float
    shift: np.ndarray

    def project_turned(self, turned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels `[N, 2]` and nearness `[N]` (larger is nearer) of points already turned."""
        depth = self.distance - turned[:, 2]
        return turned[:, :2] / depth[:, None] * self.scale + self.shift, turned[:, 2]

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels `[N, 2]` and nearness `[N]` of points `[N, 3]` in the head frame."""
        return self.project_turned(points @ self.rotation.T)

    def zoomed(self, factor: int) -> "Camera":
        """The same view on a grid `factor` times as fine; pixel centres stay integers."""
        return self._replace(
            scale=self.scale * factor, shift=(self.shift + 0.5) * factor - 0.5
        )


def rotation_matrix(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation for angles in degrees: yaw first, then pitch, then roll.

    Positive yaw moves the nose towards the right border of the picture (and hides the half of the
    face that is on the picture's right), positive pitch lifts the nose towards the upper border,
    positive roll turns the picture of the face clockwise.
    """
    a, b, c = np.radians([yaw, pitch, roll])
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    nod = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    lean = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return lean @ nod @ turn


class Frame(NamedTuple):
    """What the rasteriser leaves behind.

    Attributes:
        numbers: Int32 `[H, W]`, 1 + drawn triangle, 0 for background.
        atlas_x: Float32 `[H, W]`, atlas column per pixel; -1 for background.
        atlas_y: Float32 `[H, W]`, atlas row per pixel.
        planes: Float32 `[T + 1, 3]`, nearness of each drawn triangle as a plane over (x, y, 1).
    """

    numbers: np.ndarray
    atlas_x: np.ndarray
    atlas_y: np.ndarray
    planes: np.ndarray

    def is_clear(self, xy: np.ndarray, nearness: np.ndarray, tolerance: float) -> np.ndarray:
        """Tells which points `[N, 2]` are not covered by a surface nearer than `tolerance` mm."""
        height, width = self.numbers.shape
        column = np.clip(np.rint(xy[:, 0]).astype(int), 0, width - 1)
        row = np.clip(np.rint(xy[:, 1]).astype(int), 0, height - 1)
        plane = self.planes[self.numbers[row, column]]
        return plane[:, 0] * column + plane[:, 1] * row + plane[:, 2] < nearness + tolerance


def rasterise(turned: np.ndarray, camera: Camera, drawn: np.ndarray, size: int) -> Frame:
    """Draws the triangle buffer of a turned mesh.

    Args:
        turned: Vertices `[N, 3]` in the camera frame, in millimetres.
        camera: Camera of the picture to draw.
        drawn: Boolean `[T]`: which triangles of the topology take part.
        size: Side of the square picture, in pixels.

    Returns:
        The buffers, each `[size, size]`.
    """
    mesh = topology()
    xy, nearness = camera.project_turned(turned)
    corners = xy[mesh.triangles]
    edge_1, edge_2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = edge_1[:, 0] * edge_2[:, 1] - edge_1[:, 1] * edge_2[:, 0]
    inside = (corners.max(1) > 0).all(1) & (corners.min(1) < size).all(1)
    keep = np.flatnonzero(drawn & inside & ((area > 1e-4) | (mesh.two_sided & (area < -1e-4))))
    triangles, area = mesh.triangles[keep], area[keep]
    order = np.argsort(nearness[triangles].sum(1))
    keep, triangles, area = keep[order], triangles[order], area[order]

    numbers = np.zeros((size, size), np.int32)
    fixed = np.rint(corners[keep] * 2**_SUBPIXEL_BITS).astype(np.int32)
    fill = cv2.fillConvexPoly
    for number, points in enumerate(fixed, 1):
        fill(numbers, points, number, 8, _SUBPIXEL_BITS)

    values = np.concatenate([mesh.atlas_xy, nearness[:, None]], 1)[triangles]
    step_1, step_2 = values[:, 1] - values[:, 0], values[:, 2] - values[:, 0]
    e1, e2 = edge_1[keep] / area[:, None], edge_2[keep] / area[:, None]
    by_x = step_1 * e2[:, 1:] - step_2 * e1[:, 1:]
    by_y = step_2 * e1[:, :1] - step_1 * e2[:, :1]
    start = corners[keep, 0]
    offset = values[:, 0] - by_x * start[:, :1] - by_y * start[:, 1:]
    planes = np.zeros((len(keep) + 1, 3, 3), np.float32)
    planes[0, :, 2] = -1e6
    planes[1:] = np.stack([by_x, by_y, offset], -1)

    rows, columns = np.nonzero(numbers)
    plane = planes[numbers[rows, columns], :2]
    found = plane[..., 0] * columns[:, None] + plane[..., 1] * rows[:, None] + plane[..., 2]
    atlas = np.full((2, size, size), -1, np.float32)
    atlas[:, rows, columns] = found.T
    return Frame(numbers, atlas[0], atlas[1], planes[:, 2])
