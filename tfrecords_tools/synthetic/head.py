"""A parametric 3-D head with the iBUG 68 landmarks.

The head is a grid of azimuth by elevation, deformed by a thin-plate spline through about 140
control points. The first 68 of these are the landmarks. Identity and expression move the control
points only, and one cached matrix computes the grid from them.

Head frame: millimeters, origin at the nasion (landmark 27), x to the right of the image, y down,
z towards the camera of a frontal face.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from tfrecords_tools.synthetic.deterministic_linalg import inverse, matmul
from wing_tf.landmarks.head import AVERAGE_HEAD_MM

CENTER = np.array([0.0, 10.0, -80.0])
RADII = np.array([76.0, 108.0, 94.0])
GRID_SHAPE = (52, 61)  # elevation rows, azimuth columns; the first and last column coincide

# Control points beyond the landmarks: nostrils, eyeballs, cheeks, forehead, chin and skull.
_SIDE_EXTRAS = [
    *[(-18, 39.5, 2.5), (-16.5, 34.5, 2), (-24, 40, -10), (-10, 12.5, -6), (-11.5, 25, -1)],
    *[(-7.5, 37, 15.5), (-7, 44, 11), (-17, 14, -11), (-20, 28, -9)],
    *[(-32.5, 1.5, -11), (-32.5, -9, -12), (-20, -6.5, -8), (-46, -8, -18), (-32, 10.5, -12.5)],
    *[(-30, 22, -12.5), (-48, 24, -23), (-61, 16, -42), (-40, 42, -16), (-55, 46, -40)],
    *[(-32, 58, -12), (-46, 66, -30), (-36, 71, -17), (-26, 86, -13), (-14, 100, -6)],
    *[(-30, 97, -23), (-12, 57, 0), (-24, -36, 0), (-50, -36, -20), (-66, -22, -47)],
    *[(-30, -62, -10), (-56, -58, -38), (-69, -6, -60), (-24, 95, -56), (-46, 83, -72)],
    *[(-60, 52, -85), (-65, 15, -95), (-68, -40, -85), (-58, 30, -130), (-45, -85, -80)],
    *[(-50, 74, -110)],
]
_MIDDLE_EXTRAS = [
    *[(0, 43.5, 19), (0, 57, 5), (0, 72, -5), (0, 93, -3), (0, 105, 1.5), (0, 101, -48)],
    *[(0, -9, 2), (0, -36, 4), (0, -62, -3), (0, -85, -28), (0, -98, -80), (0, -60, -155)],
    *[(0, 10, -174), (0, 70, -150), (0, 108, -90)],
]
# Mean distance of photographed faces, in millimeters. What lies behind the nasion is larger than
# photographs from there show it.
_MEAN_DISTANCE = 1400


class Head(NamedTuple):
    """Geometry of a head in the head frame, and measures for its texture.

    Attributes:
        vertices: Float64 array `[rows, columns, 3]`, in millimeters.
        landmarks: Float64 array `[68, 3]`, in millimeters, on the surface.
        eye_gaps: Opening of the lids, left and right in the image, in millimeters.
        mouth_gap: Distance of the inner lips, in millimeters.
        smile: 0 for a neutral mouth, 1 for a broad smile.
        brow_raise: Rise of the brows, in millimeters.
    """

    vertices: np.ndarray
    landmarks: np.ndarray
    eye_gaps: tuple[float, float]
    mouth_gap: float
    smile: float
    brow_raise: float


@cache
def mean_controls() -> np.ndarray:
    """Returns the control points `[N, 3]` of the average head, landmarks first, in millimeters."""
    side = np.array(_SIDE_EXTRAS, float)
    middle = np.array(_MIDDLE_EXTRAS, float)
    points = np.concatenate([AVERAGE_HEAD_MM, side, side * [-1, 1, 1], middle])
    points[:, :2] *= 1 - points[:, 2:] / _MEAN_DISTANCE
    return points


@cache
def chart_controls() -> np.ndarray:
    """Returns the points `[N, 3]` whose directions are the chart positions of the control points.

    These are the control points of the average head, with the lips apart: open mouths are
    stretched from the texture of the average one, which would otherwise be too coarse.
    """
    points = mean_controls().copy()
    points[[61, 62, 63], 1] -= 1.5
    points[[65, 66, 67], 1] += 6.5
    points[[55, 56, 57, 58, 59], 1] += [3.0, 4.5, 4.5, 4.5, 3.0]
    return points


@cache
def _axis_tables() -> tuple[np.ndarray, ...]:
    # The face has a higher resolution than the back of the head.
    azimuth, elevation = np.linspace(-180, 180, 2001), np.linspace(-90, 90, 2001)
    dense_azimuth = 1 + 3 * np.exp(-((azimuth / 75) ** 4))
    dense_elevation = 1 + 3 * np.exp(-(((elevation - 22) / 50) ** 4))
    tables = []
    for angles, density in ((azimuth, dense_azimuth), (elevation, dense_elevation)):
        position = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
        tables += [angles, position / position[-1]]
    return tuple(tables)


def angles_of_grid(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns elevations `[rows]` and azimuths `[columns]` in degrees of a regular head chart."""
    azimuth, s, elevation, t = _axis_tables()
    return (
        np.interp(np.linspace(0, 1, rows), t, elevation),
        np.interp(np.linspace(0, 1, columns), s, azimuth),
    )


def chart_of_points(points: np.ndarray) -> np.ndarray:
    """Returns chart coordinates (s, t) in [0, 1] of points `[..., 3]` of the average head."""
    x, y, z = np.moveaxis(points - CENTER, -1, 0)
    azimuth, s, elevation, t = _axis_tables()
    found_azimuth = np.degrees(np.arctan2(x, z))
    found_elevation = np.degrees(np.arctan2(y, np.hypot(x, z)))
    return np.stack(
        [np.interp(found_azimuth, azimuth, s), np.interp(found_elevation, elevation, t)], -1
    )


def _ellipsoid(azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    a, e = np.radians(azimuth), np.radians(elevation)
    direction = np.stack([np.sin(a) * np.cos(e), np.sin(e) + 0 * a, np.cos(a) * np.cos(e)], -1)
    return CENTER + direction / np.linalg.norm(direction / RADII, axis=-1, keepdims=True)


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squared = np.maximum(((a[:, None] - b[None]) ** 2).sum(-1), 1e-12)
    return squared * np.log(squared) / 1e4


@cache
def _control_bases() -> np.ndarray:
    x, y, z = (chart_controls() - CENTER).T
    return _ellipsoid(np.degrees(np.arctan2(x, z)), np.degrees(np.arctan2(y, np.hypot(x, z))))


@cache
def _spline(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the base grid `[rows * columns, 3]` and the matrix from control to grid offsets."""
    centers = _control_bases()
    count = len(centers)
    system = np.zeros((count + 4, count + 4))
    system[:count, :count] = _kernel(centers, centers)
    system[:count, count] = system[count, :count] = 1
    system[:count, count + 1 :] = centers / 100
    system[count + 1 :, :count] = centers.T / 100
    elevation, azimuth = angles_of_grid(rows, columns)
    base = _ellipsoid(*np.meshgrid(azimuth, elevation)).reshape(-1, 3)
    solution = inverse(system)[:, :count]
    terms = np.concatenate([_kernel(base, centers), np.ones((len(base), 1)), base / 100], 1)
    return base.astype(np.float32), matmul(terms, solution).astype(np.float32)


def surface(controls: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Returns the surface `[rows, columns, 3]` of a head through control points `[N, 3]`."""
    base, matrix = _spline(rows, columns)
    offsets = (controls - _control_bases()).astype(np.float32)
    return (base + matmul(matrix, offsets)).reshape(rows, columns, 3)
