"""Grids of ears, torso and long hair, and the layout of the texture atlas.

Every part is a grid `[rows, columns, 3]` in the head frame and has a block of the atlas, so that
all parts are shaded and rasterized together.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from tfrecords_tools.synthetic.deterministic_linalg import matmul
from tfrecords_tools.synthetic.head import GRID_SHAPE

ATLAS_SHAPE = (320, 256)
NECK_PIVOT = np.array([0.0, 95.0, -95.0])


class Block(NamedTuple):
    """Position of a part in the atlas, and the shape of its grid."""

    top: int
    left: int
    height: int
    width: int
    rows: int
    columns: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The block as an index into the atlas."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


BLOCKS = {
    "head": Block(0, 0, 256, 256, *GRID_SHAPE),
    "left_ear": Block(256, 0, 64, 48, 9, 7),
    "right_ear": Block(256, 48, 64, 48, 9, 7),
    "torso": Block(256, 96, 64, 96, 12, 29),
    "long_hair": Block(256, 192, 64, 64, 10, 25),
}
# Visible from both sides; the other parts are closed surfaces.
_TWO_SIDED = ("left_ear", "right_ear", "long_hair")
# Millimeters by which a part is sorted as if nearer. Otherwise the order of intersecting parts
# would alternate from quad to quad.
_LIFT = {"head": 0.0, "left_ear": 8.0, "right_ear": 8.0, "torso": -28.0, "long_hair": 5.0}


class Topology(NamedTuple):
    """Quads of all parts: vertices, atlas position per vertex, culling, lift in mm, part starts."""

    quads: np.ndarray
    atlas_xy: np.ndarray
    two_sided: np.ndarray
    lift: np.ndarray
    starts: dict[str, int]


@cache
def topology() -> Topology:
    """Returns the constant mesh: the vertices of each quad, and the positions of their texels."""
    quads, atlas_xy, two_sided, lift, starts, count = [], [], [], [], {}, 0
    for name, block in BLOCKS.items():
        starts[name] = count
        number = count + np.arange(block.rows * block.columns).reshape(block.rows, block.columns)
        a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]
        quads.append(np.stack([a, b, c, d], -1).reshape(-1, 4))
        two_sided.append(np.full(len(quads[-1]), name in _TWO_SIDED))
        lift.append(np.full(len(quads[-1]), _LIFT[name], np.float32))
        y, x = np.meshgrid(
            np.linspace(block.top, block.top + block.height - 1, block.rows),
            np.linspace(block.left, block.left + block.width - 1, block.columns),
            indexing="ij",
        )
        atlas_xy.append(np.stack([x, y], -1).reshape(-1, 2))
        count += number.size
    places = np.concatenate(atlas_xy).astype(np.float32)
    per_quad = np.concatenate(two_sided), np.concatenate(lift)
    return Topology(np.concatenate(quads), places, *per_quad, starts)


def ears(head: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns the two ears, fitted to the sides of the head.

    Args:
        head: Head grid `[rows, columns, 3]`, in millimeters.
        rng: Generator for the size and angle of the ears.

    Returns:
        The left and the right ear in the image.
    """
    block = BLOCKS["left_ear"]
    b = np.linspace(-1, 1, block.rows)[:, None]
    a = np.linspace(0, 1, block.columns)[None]
    half = rng.uniform(28, 34)
    outline = np.sqrt(np.clip(1 - b**2, 0, 1)) ** 0.7 * np.where(b < 0, 31, 31 - 10 * b)
    stand = rng.uniform(0.25, 0.75)
    back = outline * a
    out = stand * back * (0.6 + 0.4 * a) + 2.0 * np.sin(3.0 * a) + 0 * b
    made = []
    for side in (-1, 1):
        off = np.abs(head[..., 1] - 14) + np.abs(head[..., 2] + 82)
        near = np.where(head[..., 0] * side > 0, off, np.inf)
        root = head.reshape(-1, 3)[near.argmin()]
        y = 14 + half * b * (0.6 + 0.4 * np.sqrt(a)) + 0.08 * back
        z = -76 - back * 0.95 - 6 * (b > 0) * b
        x = root[0] + side * (out - 1.5 - 3.0 * b**2)
        made.append(np.stack([x, y, z + 0 * a], -1))
    return made[0], made[1]


def torso(rng: np.random.Generator, jaw_width: float) -> np.ndarray:
    """Returns upright neck and shoulders; see `follow_head`."""
    block = BLOCKS["torso"]
    neck = jaw_width * rng.uniform(0.70, 1.06)
    slope = rng.uniform(0, 14)
    low = rng.uniform(-22, 10)
    levels = np.array([55, 85, 110, 130, 148, 162, 174, 186, 205, 235, 280, 340.0])
    levels[5:] += low
    width = np.array([neck * 0.96] * 2 + [neck * 0.97, neck, neck * 1.1, neck * 1.4, 100, 135, 168])
    width = np.concatenate([width, [190, 200, 205]])
    depth = np.array([50, 50, 50, 51, 54, 58, 63, 70, 78, 86, 92, 95.0])
    center = np.array([-100, -104, -106, -108, -110, -111, -112, -112, -110, -106, -102, -100.0])
    angle = np.linspace(-np.pi, np.pi, block.columns)
    x = width[:, None] * np.sin(angle)
    z = center[:, None] + depth[:, None] * np.cos(angle)
    sag = slope * (np.abs(np.sin(angle)) ** 2) * np.clip(np.arange(block.rows) - 5, 0, 3)[:, None]
    return np.stack([x, levels[:, None] + sag + 0 * x, z], -1)


def follow_head(
    grid: np.ndarray, head_rotation: np.ndarray, torso_rotation: np.ndarray
) -> np.ndarray:
    """Rotates the torso: the top of the neck with the head, the shoulders on their own."""
    fraction = np.clip((165 - grid[..., 1:2]) / 90, 0, 1)
    offset = grid - NECK_PIVOT
    pivot = head_rotation @ NECK_PIVOT
    with_head, own = (matmul(offset, r.T) for r in (head_rotation, torso_rotation))
    return pivot + fraction * with_head + (1 - fraction) * own


def long_hair(rng: np.random.Generator, head: np.ndarray) -> np.ndarray:
    """Returns a sheet of hair around the back of the head that hangs to the shoulders."""
    block = BLOCKS["long_hair"]
    wide = np.abs(head[..., 0]).max()
    t = np.linspace(0, 1, block.rows)[:, None]
    low = 36 if rng.random() < 0.35 else 62
    opening = np.radians(rng.uniform(low, 95)) + 0.18 * np.sin(
        np.pi * t * rng.uniform(0.6, 2) + rng.uniform(0, 6)
    )
    length = rng.uniform(110, 240)
    angle = opening + np.linspace(0, 1, block.columns)[None] * (2 * np.pi - 2 * opening)
    swell = rng.uniform(0, 5) + rng.uniform(0, 16) * t
    wave = rng.uniform(0, 6) * np.sin(angle * rng.integers(5, 14) + 4 * t)
    top = -42 - 12 * np.cos(angle)
    x = (wide + swell + wave) * np.sin(angle) * (0.93 + 0.07 * np.minimum(1, 4 * t))
    z = -84 + (92 + swell + wave) * np.cos(angle)
    y = top + (length - top) * t
    return np.stack([x, y, z + 0 * y], -1)


def grid_normals(grid: np.ndarray) -> np.ndarray:
    """Returns unit normals of a grid `[rows, columns, 3]`; outward for azimuth by elevation."""
    down, across = np.gradient(grid, axis=(0, 1))
    normal = np.cross(across, down)
    return normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
