"""The head's pose from its landmarks, and how much these are like a face at all."""

import dataclasses
from functools import lru_cache

import numpy as np

from wing_tf.landmarks import SCHEME_MAPS, LandmarkScheme
from wing_tf.landmarks.head import AVERAGE_HEAD_MM

_FEWEST = 5  # landmarks that a pose is told from
_OUTLINE = slice(0, 17)  # it lies elsewhere on the head in every view
_ROUNDS, _TURNED_ENOUGH_RAD = 20, 1e-4
_TYPICAL_RESIDUAL = 0.12


@dataclasses.dataclass(frozen=True)
class HeadPose:
    """How a head is turned.

    Attributes:
        angles_deg: float64 [3]: yaw, pitch, roll, applied in this order. Positive yaw: the nose
            points to the image's right. Positive pitch: it points up. Positive roll: the head
            leans clockwise as seen in the image.
        residual: how far the landmarks are from those of the average head in this pose: the root
            of the mean squared distance over the root of the head's own spread. About .08 for real
            faces; it grows with what is not a face.
    """

    angles_deg: np.ndarray
    residual: float

    @property
    def score(self) -> float:
        """How much the landmarks are like a face's, in 0..1; .5 at a residual of .12."""
        return float(0.5 ** ((self.residual / _TYPICAL_RESIDUAL) ** 2))


def head_pose(landmarks_px: np.ndarray, scheme: LandmarkScheme) -> HeadPose | None:
    """Fits the average head to landmarks, as seen from afar (scaled orthographic projection).

    The least-squares rotation, scale and shift, by Gauss-Newton steps from the closed-form affine
    fit on. The face's outline is left out: which part of a head makes it changes with the view.

    Args:
        landmarks_px: [K, 2] of the scheme; NaN where missing.
        scheme: the scheme.

    Returns:
        The pose; None for a scheme whose landmarks are not known on the head (the built-in ones
        are), and where fewer than five of those are there or all lie in one point.

    Example:
        >>> from wing_tf.landmarks import get_scheme
        >>> from wing_tf.landmarks.head import AVERAGE_HEAD_MM
        >>> head_pose(AVERAGE_HEAD_MM[:, :2] + 100, get_scheme("ibug_68")).angles_deg.round(6)
        array([0., 0., 0.])
    """
    placed = _on_head(scheme.name)
    if placed is None:
        return None
    matrix, head = placed
    seen = np.asarray(landmarks_px, np.float64)
    if matrix is not None:
        seen = matrix(seen)
    there = np.isfinite(seen).all(axis=1) & np.isfinite(head).all(axis=1)
    if there.sum() < _FEWEST:
        return None
    seen, head = seen[there], head[there]
    seen, head = seen - seen.mean(axis=0), head - head.mean(axis=0)
    spread = float(np.sqrt(np.mean(np.sum(seen**2, axis=1))))
    if spread < 1e-6:
        return None
    rotation, scale = _fit(seen, head)
    left = seen - scale * head @ rotation[:2].T
    residual = float(np.sqrt(np.mean(np.sum(left**2, axis=1)))) / (
        scale * float(np.sqrt(np.mean(np.sum(head**2, axis=1)))) + 1e-12 * spread
    )
    return HeadPose(_angles_deg(rotation), residual)


def rotation_matrix(yaw_deg: float, pitch_deg: float, roll_deg: float) -> np.ndarray:
    """Returns the rotation [3, 3] of a head (x right, y down, z to the viewer); see `HeadPose`."""
    a, b, c = np.radians([yaw_deg, pitch_deg, roll_deg])
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    nod = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    lean = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return lean @ nod @ turn


def _fit(seen: np.ndarray, head: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the rotation [3, 3] and the scale; points [N, 2] and [N, 3] have no mean."""
    affine, *_ = np.linalg.lstsq(head, seen, rcond=None)
    left, _, right = np.linalg.svd(affine.T, full_matrices=False)
    rotation = _completed(left @ right)
    turned = head @ rotation.T
    scale = _best_scale(turned, seen)
    error = np.sum((seen - scale * turned[:, :2]) ** 2)
    for _ in range(_ROUNDS):
        # Derivatives by small turns about x, y and z, and by the scale.
        x, y, z = turned.T
        none = np.zeros_like(x)
        by_x = np.stack([scale * none, scale * z, -scale * y, x])
        by_y = np.stack([-scale * z, scale * none, scale * x, y])
        slopes = np.concatenate([by_x, by_y], axis=1).T
        left_over = (seen - scale * turned[:, :2]).T.ravel()
        step, *_ = np.linalg.lstsq(slopes, left_over, rcond=None)
        tried = _turn(step[:3]) @ rotation
        tried_points = head @ tried.T
        tried_scale = _best_scale(tried_points, seen)
        tried_error = np.sum((seen - tried_scale * tried_points[:, :2]) ** 2)
        if not tried_error < error:
            break
        rotation, turned, scale, error = tried, tried_points, tried_scale, tried_error
        if np.abs(step[:3]).max() < _TURNED_ENOUGH_RAD:
            break
    return rotation, scale


def _best_scale(turned: np.ndarray, seen: np.ndarray) -> float:
    flat = turned[:, :2]
    return max(float(np.sum(flat * seen) / max(np.sum(flat * flat), 1e-12)), 1e-12)


def _turn(axis_rad: np.ndarray) -> np.ndarray:
    """Returns the rotation [3, 3] about an axis by its length (Rodrigues)."""
    angle = float(np.linalg.norm(axis_rad))
    x, y, z = axis_rad / max(angle, 1e-12)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _completed(two_rows: np.ndarray) -> np.ndarray:
    return np.concatenate([two_rows, np.cross(*two_rows)[None]])


def _angles_deg(rotation: np.ndarray) -> np.ndarray:
    """Returns yaw, pitch and roll; the inverse of `rotation_matrix`."""
    pitch = np.arcsin(np.clip(rotation[2, 1], -1, 1))
    yaw = np.arctan2(-rotation[2, 0], rotation[2, 2])
    roll = np.arctan2(-rotation[0, 1], rotation[1, 1])
    return np.degrees([yaw, pitch, roll])


@lru_cache
def _on_head(name: str):
    """Returns a map to the landmarks that are known on the head, if it takes one, and these."""
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
