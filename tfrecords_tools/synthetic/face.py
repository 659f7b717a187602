"""Rendering of one face with exact landmarks from two integers."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from tfrecords_tools.synthetic.accessories import glasses, hair_locks, visor
from tfrecords_tools.synthetic.appearance import paint
from tfrecords_tools.synthetic.camera_effects import cast_shadow, degrade
from tfrecords_tools.synthetic.deterministic_linalg import matmul
from tfrecords_tools.synthetic.head import GRID_SHAPE, chart_controls, chart_of_points
from tfrecords_tools.synthetic.mesh_parts import (
    BLOCKS,
    ears,
    follow_head,
    grid_normals,
    long_hair,
    topology,
    torso,
)
from tfrecords_tools.synthetic.occluders import occlude
from tfrecords_tools.synthetic.outline import visible_outline
from tfrecords_tools.synthetic.random_head import random_head
from tfrecords_tools.synthetic.rasterizer import Camera, Frame, rasterize
from tfrecords_tools.synthetic.scene import background, other_face
from tfrecords_tools.synthetic.shading import atlas_normals, shade
from tfrecords_tools.synthetic.style import grow_hair, random_style
from wing_tf.geometry.pose import rotation_matrix

_SUPERSAMPLING = 2


@dataclass(frozen=True)
class SyntheticFace:
    """A rendered face and its annotations.

    Attributes:
        image: uint8 RGB `[size, size, 3]`.
        landmarks_px: float32 `[68, 2]`, (x, y) in iBUG-68 order, pixel centers at integers.
            Occluded landmarks are at their projected position. Those of the outline (0 to 16) are
            where annotators put them: on the far side of a rotated face on the visible outline, on
            the near side along the edge of the jaw and in front of the ear.
        visibility: float32 `[68]`, 1 visible, 0 occluded by the head, its hair or an occluder.
        angles_deg: float32 `[3]`, yaw, pitch and roll. At positive yaw, the nose points to the
            right of the image; at positive pitch, up; at positive roll, the head is rotated
            clockwise in the image.
        box_xyxy_px: float32 `[4]`, tight box of the landmarks.
    """

    image: np.ndarray
    landmarks_px: np.ndarray
    visibility: np.ndarray
    angles_deg: np.ndarray
    box_xyxy_px: np.ndarray


def check_yaw_distribution(wide_yaw_fraction: float, yaw_std_deg: float) -> None:
    """Raises ValueError if these arguments of `render_face` are out of range."""
    if not 0 <= wide_yaw_fraction <= 1:
        raise ValueError(f"`wide_yaw_fraction` must be in [0, 1]. Received: {wide_yaw_fraction}.")
    if not 0 <= yaw_std_deg <= 90:
        raise ValueError(f"`yaw_std_deg` must be in [0, 90]. Received: {yaw_std_deg}.")


def _random_angles(
    rng: np.random.Generator, wide_yaw_fraction: float, yaw_std_deg: float
) -> np.ndarray:
    is_wide = rng.random() >= 1 - wide_yaw_fraction
    yaw = rng.uniform(-90, 90) if is_wide else rng.normal(0, yaw_std_deg)
    pitch, roll = rng.normal(0, 10), rng.normal(0, 11)
    return np.clip([yaw, pitch, roll], [-90, -30, -30], [90, 30, 30])


def _frame_camera(
    landmarks: np.ndarray, rotation: np.ndarray, size: int, rng: np.random.Generator
) -> Camera:
    """Returns a camera with the landmark box near the center, about half as large as the image."""
    camera = Camera(rotation, np.exp(rng.uniform(*np.log([650, 3000]))), 1.0, np.zeros(2))
    xy, _ = camera.project(landmarks)
    low, high = xy.min(0), xy.max(0)
    scale = size * rng.uniform(0.45, 0.56) / (high - low).max()
    middle = (size - 1) / 2 + size * rng.uniform(-0.04, 0.04, 2)
    return camera._replace(scale=scale, shift=middle - scale * (low + high) / 2)


def _visible(
    frame: Frame, camera: Camera, points: np.ndarray, normals: np.ndarray, reach: float
) -> np.ndarray:
    """Returns which landmarks pass a depth test at any place within `reach` pixels of them."""
    xy, near = camera.project(points)
    facing = matmul(normals, camera.rotation[2][:, None])[:, 0] > -0.65
    seen = np.zeros(len(points), bool)
    for step in ((0, 0), (reach, 0), (-reach, 0), (0, reach), (0, -reach)):
        seen |= frame.is_clear(xy + step, near, 8.0)
    return facing & seen


@cache
def _landmark_vertices() -> np.ndarray:
    """Returns the grid vertex next to each landmark; `[68]`."""
    rows, columns = GRID_SHAPE
    s, t = chart_of_points(chart_controls()[:68]).T
    return np.rint(t * (rows - 1)).astype(int) * columns + np.rint(s * (columns - 1)).astype(int)


def render_face(
    seed: int,
    index: int,
    *,
    size: int = 192,
    wide_yaw_fraction: float = 0.38,
    yaw_std_deg: float = 22.0,
) -> SyntheticFace:
    """Renders face `index` of the endless set `seed`.

    The same arguments give the same bytes, in any order and in any process.

    Args:
        seed: Number of the set, at least 0.
        index: Number of the face in the set, at least 0.
        size: Side of the image in pixels, at least 32; the landmark box spans about half of it.
        wide_yaw_fraction: Probability of a yaw that is uniform within +-90 degrees.
        yaw_std_deg: Standard deviation of the other yaws, which are normal, in degrees.

    Raises:
        ValueError: If an argument is out of range.
    """
    check_yaw_distribution(wide_yaw_fraction, yaw_std_deg)
    if size < 32:
        raise ValueError(f"`size` must be at least 32. Received: size={size}.")
    if seed < 0 or index < 0:
        raise ValueError(
            f"`seed` and `index` must not be negative. Received: seed={seed}, index={index}."
        )
    rng = np.random.default_rng([seed, index])
    angles = _random_angles(rng, wide_yaw_fraction, yaw_std_deg)
    head, style = random_head(rng), random_style(rng)
    rotation = rotation_matrix(*angles)
    camera = _frame_camera(head.landmarks, rotation, size, rng)

    skull = grow_hair(head.vertices, style, rng)
    left_ear, right_ear = ears(head.vertices, rng)
    torso_rotation = rotation_matrix(*(angles * rng.uniform([0.2, 0.0, 0.0], [0.8, 0.3, 0.5])))
    jaw_width = np.abs(head.landmarks[[4, 12], 0]).mean()
    rotated_torso = follow_head(torso(rng, jaw_width), rotation, torso_rotation)
    grids = {
        "head": skull,
        "left_ear": left_ear,
        "right_ear": right_ear,
        "torso": matmul(rotated_torso, rotation),
        "long_hair": long_hair(rng, skull),
    }
    normals = {name: grid_normals(grid) for name, grid in grids.items()}
    normals["left_ear"] = -normals["left_ear"]  # its chart has the opposite orientation
    painted = paint(head, style, float(angles[0]), rng)
    mesh = topology()
    drawn = np.ones(len(mesh.quads), bool)
    if not style.long_hair:
        drawn &= mesh.quads[:, 0] < mesh.starts["long_hair"]
    charted = atlas_normals(normals, painted.relief)
    atlas = shade(painted, charted, rotation, grids, drawn, rng)

    rotated = matmul(np.concatenate([grids[name].reshape(-1, 3) for name in BLOCKS]), rotation.T)
    fine = camera.zoomed(_SUPERSAMPLING)
    frame = rasterize(rotated, fine, drawn, size * _SUPERSAMPLING)
    scene = background(size, rng)
    scene = cv2.resize(scene, None, fx=_SUPERSAMPLING, fy=_SUPERSAMPLING)
    atlas_x, atlas_y = frame.atlas_xy()
    foreground = cv2.remap(atlas, atlas_x, atlas_y, cv2.INTER_LINEAR)
    silhouette = (frame.numbers > 0).astype(np.uint8)
    if rng.random() < 0.2:
        other_face(scene, foreground, silhouette, rng)
    cv2.copyTo(foreground, silhouette, scene)

    points = head.landmarks.copy()
    points[:17] = visible_outline(head, camera)
    landmark_normals = grid_normals(head.vertices).reshape(-1, 3)[_landmark_vertices()]
    landmark_normals[(points != head.landmarks).any(axis=1)] = 0  # visible edge-on
    visible = _visible(frame, fine, points, landmark_normals, 2.0 * size / 192)
    if rng.random() < 0.24 and glasses(scene, head.landmarks, fine, frame, rng):
        visible[36:48] = False
    landmarks = camera.project(points)[0].astype(np.float32)
    at = np.clip(np.rint(landmarks).astype(int), 0, size - 1)
    if style.visor and abs(angles[0]) < 60:
        hat_rgb = 255 * np.sqrt(style.hair)
        shade_of_hat = cv2.resize(visor(scene, hat_rgb, fine, rng), (size, size))
        visible &= shade_of_hat[at[:, 1], at[:, 0]] < 128
    if not style.bald and not style.hat and rng.random() < 0.3:
        hair_rgb = 255 * np.sqrt(style.hair) * rng.uniform(0.4, 1.2)
        locks = cv2.resize(hair_locks(scene, hair_rgb, fine, rng), (size, size))
        visible &= locks[at[:, 1], at[:, 0]] < 128
    image = cv2.resize(scene, (size, size), interpolation=cv2.INTER_AREA)

    box = np.concatenate([landmarks.min(0), landmarks.max(0)])
    if rng.random() < 0.28:
        cover = occlude(image, landmarks, 255 * np.sqrt(style.skin), rng)
        visible &= cover[at[:, 1], at[:, 0]] < 0.5
    if rng.random() < 0.25:
        image = cast_shadow(image, rng)
    return SyntheticFace(
        image=np.ascontiguousarray(degrade(image, rng)),
        landmarks_px=landmarks,
        visibility=visible.astype(np.float32),
        angles_deg=angles.astype(np.float32),
        box_xyxy_px=box,
    )
