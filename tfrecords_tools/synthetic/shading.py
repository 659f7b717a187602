"""Shading of the texture atlas: wrapped diffuse light, gloss and an ambient gradient."""

import cv2
import numpy as np

from tfrecords_tools.synthetic.appearance import Paint
from tfrecords_tools.synthetic.deterministic_linalg import matmul
from tfrecords_tools.synthetic.mesh_parts import ATLAS_SHAPE, BLOCKS
from tfrecords_tools.synthetic.rasterizer import Camera, rasterize
from tfrecords_tools.synthetic.texture_maps import SIDE, stretch, texel_angles, triple

# Subsurface scattering extends light beyond the terminator, red the furthest.
_WRAP = np.array([0.42, 0.26, 0.20], np.float32)


def atlas_normals(normals: dict[str, np.ndarray], relief: np.ndarray) -> np.ndarray:
    """Returns unit normals `[h, w, 3]` of the atlas, tilted by the relief of the face; float32."""
    atlas = np.zeros((*ATLAS_SHAPE, 3), np.float32)
    atlas[..., 2] = 1
    for name, block in BLOCKS.items():
        atlas[block.slices] = stretch(normals[name], block.height, block.width)
    face = atlas[:SIDE, :SIDE]
    azimuth = np.radians(texel_angles()[1][0])
    slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3)
    slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3)
    face[..., 0] -= slope_x * np.cos(azimuth)
    face[..., 2] += slope_x * np.sin(azimuth)
    face[..., 1] -= slope_y
    # At the poles of the chart, a quad degenerates to a line and has no normal.
    length = np.sqrt(np.einsum("hwc,hwc->hw", atlas, atlas))
    atlas /= triple(np.maximum(length, 1e-6))
    return atlas


def _direction(side: float, up: float) -> np.ndarray:
    a, e = np.radians([side, up])
    return np.array([np.sin(a) * np.cos(e), -np.sin(e), np.cos(a) * np.cos(e)])


def _by_cosine(
    normals: np.ndarray, rotation: np.ndarray, direction: np.ndarray, table: np.ndarray
) -> np.ndarray:
    """Looks up light `[256, 3]` by the cosine between the normals and a direction."""
    # Three equal rows, because the lookup needs one index per color.
    factors = np.tile(np.append(127.5 * (rotation.T @ direction), 127.5), (3, 1))
    steps = cv2.transform(normals, factors).astype(np.uint8)
    return cv2.LUT(steps, table.astype(np.float32)[None])


def cast_by_head(
    grids: dict[str, np.ndarray], rotation: np.ndarray, direction: np.ndarray, drawn: np.ndarray
) -> np.ndarray:
    """Returns the fraction `[h, w]` of a distant lamp's light that reaches each texel."""
    ahead = np.cross([0, 1.0, 0], direction)
    ahead /= np.linalg.norm(ahead)
    lamp = np.stack([ahead, np.cross(direction, ahead), direction]) @ rotation
    far = 1e5
    side = 128
    camera = Camera(lamp, far, far * side / 420, np.full(2, side / 2))
    flat = {name: grids[name].reshape(-1, 3) for name in BLOCKS}
    rotated = matmul(np.concatenate([*flat.values()]), lamp.T)
    frame = rasterize(rotated, camera, drawn, side)
    clear = frame.is_clear(*camera.project_rotated(rotated), 7.0).astype(np.float32)
    atlas = np.ones(ATLAS_SHAPE, np.float32)
    start = 0
    for name, block in BLOCKS.items():
        grid = clear[start : start + len(flat[name])].reshape(block.rows, block.columns)
        start += len(flat[name])
        if name in ("head", "torso"):
            soft = cv2.GaussianBlur(grid, (3, 3), 0.8)
            atlas[block.slices] = np.clip(stretch(soft, block.height, block.width), 0, 1)
    return atlas


def shade(
    paint: Paint,
    normals: np.ndarray,
    rotation: np.ndarray,
    grids: dict[str, np.ndarray],
    drawn: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Lights the atlas.

    Args:
        paint: Reflectance and gloss.
        normals: Unit normals `[h, w, 3]` in the head frame.
        rotation: `[3, 3]` from the head frame to the camera frame, in which lamps are defined.
        grids: Parts `[rows, columns, 3]` in the head frame, for cast shadows.
        drawn: Boolean `[Q]`, the quads that are drawn.
        rng: Generator for the lamps and the exposure.

    Returns:
        uint8 RGB `[h, w, 3]`, gamma encoded.
    """
    view = np.array([0, 0, 1.0])
    warmth = rng.normal(0.03, 0.10) + (rng.uniform(0, 0.45) if rng.random() < 0.2 else 0)
    tint = np.array([1 + warmth, 1 + 0.15 * rng.normal(0, 0.2), 1 - warmth])
    hard = rng.beta(1.6, 1.9)  # fraction of the key lamp in all light
    lamps = [(_direction(rng.normal(0, 52), rng.normal(28, 26)), 1.7 * hard * tint)]
    if rng.random() < 0.35:
        side = rng.choice([-1, 1]) * rng.uniform(60, 140)
        other = np.exp(rng.normal(0, 0.2, 3)) * rng.uniform(0.15, 0.7)
        lamps.append((_direction(side, rng.normal(15, 20)), other))
    # Light depends on a cosine only, so it is looked up in a table of 256 steps for all texels.
    cosines = np.linspace(-1, 1, 256)[:, None]
    sky = (1 - hard) * np.exp(rng.normal(0, 0.06, 3)) + 0.05
    below = np.array([0, 1.0, 0])
    total = _by_cosine(normals, rotation, below, (1 - rng.uniform(0.1, 0.55) * cosines) * sky)
    total += _by_cosine(normals, rotation, view, 0.25 * cosines * sky)
    sparkle = np.zeros_like(total)
    sharpness = rng.uniform(8, 40)
    for number, (direction, strength) in enumerate(lamps):
        lit = np.maximum(cosines + _WRAP, 0) / (1 + _WRAP) * strength
        lit = _by_cosine(normals, rotation, direction, lit)
        half = direction + view
        spark = 0.5 * np.maximum(cosines, 0) ** sharpness * strength
        spark = _by_cosine(normals, rotation, half / np.linalg.norm(half), spark)
        if number == 0 and hard > 0.3:
            reaching = triple(cast_by_head(grids, rotation, direction, drawn))
            lit *= 0.15 + 0.85 * reaching
            spark *= reaching
        total += lit
        sparkle += spark
    face = total[60:220, 70:186].mean()
    exposure = rng.uniform(*((0.5, 1.12) if rng.random() < 0.8 else (0.22, 1.6)))
    exposure /= max(float(face), 0.05)
    linear = paint.color * total
    sparkle *= triple(paint.gloss)
    linear += sparkle
    return cv2.convertScaleAbs(cv2.sqrt(np.maximum(linear, 0)), alpha=255 * exposure**0.5)
