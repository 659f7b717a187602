"""Head pose from landmarks."""

import dataclasses
from functools import lru_cache

import numpy as np

from wing_tf.landmarks import SCHEME_MAPS, LandmarkScheme, SchemeMap
from wing_tf.landmarks.head import AVERAGE_HEAD_MM

_MIN_LANDMARKS = 5
_OUTLINE = slice(0, 17)  # Its points are not fixed on the head: they depend on the view.
_MAX_STEPS, _TOLERANCE_RAD = 20, 1e-4


@dataclasses.dataclass(frozen=True)
class HeadPose:
    """Orientation of a head, and the error of its fit.

    Attributes:
        angles_deg: Yaw, pitch and roll, float64 [3], applied in this order. Positive yaw: the nose
            points to the image's right. Positive pitch: the nose points up. Positive roll: the
            head is rotated clockwise in the image.
        residual: Root mean square distance of the landmarks to those of the average head in this
            pose, divided by the root mean square distance of the latter to their center. About .08
            for real faces, and larger for landmarks that are not a face.
    """

    angles_deg: np.ndarray
    residual: float


def head_pose(landmarks_px: np.ndarray, scheme: LandmarkScheme) -> HeadPose | None:
    """Fits the average head to landmarks by scaled orthographic projection.

    The rotation, scale and translation have the least squared error. They are found by
    Gauss-Newton steps that start from the closed-form affine fit. The outline of the face is
    excluded, because its points lie on different parts of the head in each view.

    Args:
        landmarks_px: Landmarks [K, 2]; NaN where not annotated.
        scheme: Scheme of the landmarks.

    Returns:
        The pose, or None if the scheme has no known positions on the head (`lsp_14` and custom
        schemes), if fewer than five of its landmarks are finite, or if they coincide.

    Examples:
        >>> from wing_tf.landmarks import get_scheme
        >>> from wing_tf.landmarks.head import AVERAGE_HEAD_MM
        >>> points_mm = AVERAGE_HEAD_MM @ rotation_matrix(30, 10, 5).T
        >>> head_pose(points_mm[:, :2], get_scheme("ibug_68")).angles_deg.round()
        array([30., 10.,  5.])
    """
    positions = _head_positions(scheme.name)
    if positions is None:
        return None
    scheme_map, head = positions
    seen = np.asarray(landmarks_px, np.float64)
    if scheme_map is not None:
        seen = scheme_map(seen)
    finite = np.isfinite(seen).all(axis=1) & np.isfinite(head).all(axis=1)
    if finite.sum() < _MIN_LANDMARKS:
        return None
    seen, head = seen[finite], head[finite]
    seen, head = seen - seen.mean(axis=0), head - head.mean(axis=0)
    spread = float(np.sqrt(np.mean(np.sum(seen**2, axis=1))))
    if spread < 1e-6:
        return None
    rotation, scale = _fit(seen, head)
    error = seen - scale * head @ rotation[:2].T
    residual = float(np.sqrt(np.mean(np.sum(error**2, axis=1)))) / (
        scale * float(np.sqrt(np.mean(np.sum(head**2, axis=1)))) + 1e-12 * spread
    )
    return HeadPose(_angles_deg(rotation), residual)


def rotation_matrix(yaw_deg: float, pitch_deg: float, roll_deg: float) -> np.ndarray:
    """Returns the rotation matrix [3, 3] of a head pose: x right, y down, z towards the viewer."""
    a, b, c = np.radians([yaw_deg, pitch_deg, roll_deg])
    yaw = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    pitch = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    roll = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return roll @ pitch @ yaw


def _fit(seen: np.ndarray, head: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the rotation [3, 3] and the scale that fit centered points [N, 3] to [N, 2]."""
    affine, *_ = np.linalg.lstsq(head, seen, rcond=None)
    left, _, right = np.linalg.svd(affine.T, full_matrices=False)
    two_rows = left @ right
    rotation = np.concatenate([two_rows, np.cross(*two_rows)[None]])
    rotated = head @ rotation.T
    scale = _fit_scale(rotated, seen)
    error = np.sum((seen - scale * rotated[:, :2]) ** 2)
    for _ in range(_MAX_STEPS):
        # Jacobian with respect to small rotations about x, y and z, and to the scale.
        x, y, z = rotated.T
        zero = np.zeros_like(x)
        d_x = np.stack([scale * zero, scale * z, -scale * y, x])
        d_y = np.stack([-scale * z, scale * zero, scale * x, y])
        jacobian = np.concatenate([d_x, d_y], axis=1).T
        residuals = (seen - scale * rotated[:, :2]).T.ravel()
        step, *_ = np.linalg.lstsq(jacobian, residuals, rcond=None)
        new_rotation = _axis_rotation(step[:3]) @ rotation
        new_rotated = head @ new_rotation.T
        new_scale = _fit_scale(new_rotated, seen)
        new_error = np.sum((seen - new_scale * new_rotated[:, :2]) ** 2)
        if not new_error < error:
            break
        rotation, rotated, scale, error = new_rotation, new_rotated, new_scale, new_error
        if np.abs(step[:3]).max() < _TOLERANCE_RAD:
            break
    return rotation, scale


def _fit_scale(rotated: np.ndarray, seen: np.ndarray) -> float:
    projected = rotated[:, :2]
    return max(float(np.sum(projected * seen) / max(np.sum(projected**2), 1e-12)), 1e-12)


def _axis_rotation(axis_rad: np.ndarray) -> np.ndarray:
    """Returns the rotation [3, 3] about an axis whose length is the angle (Rodrigues)."""
    angle = float(np.linalg.norm(axis_rad))
    x, y, z = axis_rad / max(angle, 1e-12)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _angles_deg(rotation: np.ndarray) -> np.ndarray:
    """Returns yaw, pitch and roll; the inverse of `rotation_matrix`."""
    pitch = np.arcsin(np.clip(rotation[2, 1], -1, 1))
    yaw = np.arctan2(-rotation[2, 0], rotation[2, 2])
    roll = np.arctan2(-rotation[0, 1], rotation[1, 1])
    return np.degrees([yaw, pitch, roll])


@lru_cache
def _head_positions(name: str) -> tuple[SchemeMap | None, np.ndarray] | None:
    """Returns the positions on the head of a scheme's landmarks, or of what they map to."""
    head = AVERAGE_HEAD_MM.copy()
    head[_OUTLINE] = np.nan
    if name == "ibug_68":
        return None, head
    if ("ibug_68", name) in SCHEME_MAPS:
        groups = SCHEME_MAPS["ibug_68", name].groups
        return None, np.array(
            [head[list(group)].mean(axis=0) if group else np.full(3, np.nan) for group in groups]
        )
    if (name, "ibug_68") in SCHEME_MAPS:
        return SCHEME_MAPS[name, "ibug_68"], head
    return None
