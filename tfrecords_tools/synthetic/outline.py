"""Landmarks of the outline where annotators put them on rotated heads."""

import cv2
import numpy as np

from tfrecords_tools.synthetic.curves import spaced_along
from tfrecords_tools.synthetic.head import GRID_SHAPE, Head, chart_of_points, mean_controls
from tfrecords_tools.synthetic.rasterizer import Camera

_OUTLINE, _STEPS = slice(0, 17), 48
# Annotators distribute landmarks evenly, whatever the shape of the jaw. Fractions of the length of
# one half, from the temple to the chin.
_SPACING = np.cumsum([0, 0.97, 0.98, 1, 1.02, 1.03, 1.04, 1.03, 0.93]) / 8
# Where annotators put the outline: a few millimeters below the jaw of the average head, and above
# its temples.
_BELOW = np.array([-3.5, -2.6, -2.0, -0.6, 0.1, -0.1, -0.8, -0.8, -0.3])
_BELOW = np.concatenate([_BELOW, _BELOW[-2::-1]])
# On the edge of the jaw and in front of the ear of a cheek that is turned to the camera, by depths
# in millimeters behind the widest part of a frontal face.
_BEHIND = np.array([14, 14, 15, 15, 11, 5, 1, 0, 0, 0, 1, 5, 11, 15, 15, 14, 14])
# Shifts downwards of the left half of the outline at a yaw of 90 degrees, in millimeters; of the
# right half at -90 degrees. Landmarks stay evenly spaced along the visible outline.
_NEAR_SHIFT = np.array([3, 6, 12, 17, 17, 12, 7, 2, 0])
_FAR_SHIFT = np.array([8, 2, -5, -15, -25, -25, -15, -6, 0])
# Shifts upwards, in millimeters by the sine of the pitch.
_RISE = np.array([9.7, 8.8, 8.3, 7.6, 7.0, 3.0, 0, 0, 0])
# How far annotators follow the edge of the jaw below the chin of a face that looks up, in the
# chart of the head; the neck begins there.
_CHIN = slice(5, 12)
_UNDER_CHIN = np.array([0.02, 0.035, 0.05, 0.05, 0.05, 0.035, 0.02])
_ACROSS_CHIN = np.array([-1.0, -0.66, -0.37, 0, 0.37, 0.66, 1.0])  # outward, by downward


def _grid_points(head: Head, chart: np.ndarray) -> np.ndarray:
    """Returns positions on the head, in the head frame, at chart coordinates (s, t) `[..., 2]`."""
    rows, columns = GRID_SHAPE
    at = (chart * [columns - 1, rows - 1]).astype(np.float32)
    grid = head.vertices.astype(np.float32)
    return cv2.remap(grid, at[..., 0], at[..., 1], cv2.INTER_LINEAR).astype(np.float64)


def visible_outline(head: Head, camera: Camera) -> np.ndarray:
    """Moves outline landmarks to where annotators see them on a rotated head.

    On the far side of the face, they are on the visible outline, which is the cheek's; on the near
    side, on the edge of the jaw; at the bottom, on the lowest edge of the chin.

    Returns:
        `[17, 3]`, in the head frame.

    Reference:
        Zhu et al., High-fidelity pose and expression normalization, CVPR 2015: landmark marching.
    """
    down = camera.rotation[:2, 1] / np.linalg.norm(camera.rotation[:2, 1])
    sideways = np.array([down[1], -down[0]])  # the horizontal axis itself may point at the camera
    turn = camera.rotation[:2, 2] @ sideways  # sine of the yaw
    nod = -camera.rotation[:2, 2] @ down  # of the pitch
    near, far = max(turn, 0), max(-turn, 0)
    left = near * _NEAR_SHIFT + far * _FAR_SHIFT - nod * _RISE
    right = far * _NEAR_SHIFT + near * _FAR_SHIFT - nod * _RISE
    start = mean_controls()[_OUTLINE].copy()
    own = chart_of_points(start)
    start[:, 1] += np.concatenate([left, right[-2::-1]])
    start[:, 2] -= _BEHIND
    s, t = chart_of_points(start).T
    path = np.linspace(s, 0.5 + 0.3 * (own[:, 0] - 0.5), _STEPS, axis=1)
    paths = _grid_points(head, np.stack([path, np.broadcast_to(t[:, None], path.shape)], -1))
    # The grid is close to the landmarks, but does not contain them.
    from_grid = (head.landmarks[_OUTLINE] - _grid_points(head, own[:, None])[:, 0])[:, None]
    xy, _ = camera.project((paths + from_grid).reshape(-1, 3))
    sides = np.sign(8 - np.arange(17))[:, None]  # outward is left for the left half
    outward = -sides * (xy @ sideways).reshape(17, -1)
    chosen = outward.argmax(axis=1)
    points = paths[np.arange(17), chosen]

    # From the chin backwards, as far as it is seen from below.
    s = path[np.arange(17), chosen][_CHIN]
    under = np.linspace(t[_CHIN], t[_CHIN] + _UNDER_CHIN, _STEPS, axis=1)
    paths = _grid_points(head, np.stack([np.broadcast_to(s[:, None], under.shape), under], -1))
    xy, _ = camera.project(paths.reshape(-1, 3))
    beyond = _ACROSS_CHIN[:, None] * (xy @ sideways).reshape(len(s), -1)
    beyond += (xy @ down).reshape(len(s), -1)
    lowest = beyond.argmax(axis=1)
    points[_CHIN] = paths[np.arange(len(s)), lowest]
    points += from_grid[:, 0]
    points[:, 1] += _BELOW

    def project(path: np.ndarray) -> np.ndarray:
        return camera.project(path)[0]

    left = spaced_along(points[:9], _SPACING, project)
    right = spaced_along(points[:7:-1], _SPACING, project)
    return np.concatenate([left, right[-2::-1]])
